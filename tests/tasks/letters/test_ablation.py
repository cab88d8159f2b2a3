"""Which prompts latents may be ablated on: the model must answer them from the word's position."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.tasks.letters.ablation import (
    AblationTask,
    CutModel,
    answers,
    build,
    load_ablation,
    save_ablation,
)
from pipeline.tasks.letters.section import LetterTaskSection
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import FOLDS, Prompter, Word, folds, vocabulary
from tests.tasks.letters import test_letters

LINE = ["has", "the", "first", "letter", ":", "\n", ","]
WORDS = [letter + second + "o" for letter in string.ascii_lowercase for second in "abcde"]
SECTION = LetterTaskSection(in_context=3)
D = 30


def tokenizer(letters: str = string.ascii_uppercase) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate(["<unk>", "<bos>", *LINE, *letters, *WORDS])}
    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]"), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<bos>")


def setting(letters: str = string.ascii_uppercase) -> tuple[Prompter, list[Word], LetterTask, Tensor]:
    """Prompter, words, a task whose probes read letter i in dimension i, and an embedding with it there."""
    made = tokenizer(letters)
    words = [word for word in vocabulary(made, [1]) if word.text in WORDS]
    table = torch.zeros(len(made.get_vocab()), D)
    for word in words:
        table[word.token, word.letter] = 4.0
    letter = torch.tensor([word.letter for word in words])
    x = table[[word.token for word in words]]
    weight = torch.eye(26, D).repeat(FOLDS, 1, 1)
    which = torch.arange(0, len(words), 2)
    task = LetterTask(
        [word.text for word in words], x, letter, torch.tensor(folds(words, 0)), which, x[which], weight,
        torch.full((FOLDS, 26), -2.0), {},
    )  # fmt: skip
    return Prompter.of(made, 1), words, task, table


def model(table: Tensor, prompter: Prompter, reads: int | None, carried: bool = False) -> CutModel:
    """A model that answers what stands `reads` tokens from the end (None: a constant).

    `carried`: before the cut already, the residual of the template's word has moved to the last token.
    """
    answer = answers(prompter, Word(0, "aao"))
    assert answer is not None

    def to(ids: Tensor) -> Tensor:
        residual = table[ids].clone()
        if carried:
            residual[:, -1] = table[ids[:, -6]]
        return residual

    def onward(residual: Tensor) -> Tensor:
        logits = torch.zeros(len(residual), len(table))
        logits[:, answer] = residual[:, -1 if carried else -(reads or 1), :26] if reads or carried else 0.0
        return logits

    return CutModel(to, onward)


def test_the_template_is_taken_where_the_model_solves_it() -> None:
    prompter, words, task, table = setting()
    found = build(prompter, words, task, model(table, prompter, 6), SECTION)
    assert isinstance(found, AblationTask)
    assert found.offset == 6
    assert found.facts["line"] == "{word} has the first letter: X"
    assert found.facts["model_accuracy"] == 1
    assert found.facts["accuracy_without_word"] < 0.2
    assert torch.equal(found.word, task.scored)
    assert found.ids[:, -6].tolist() == [words[i].token for i in task.scored.tolist()]
    torch.testing.assert_close(found.x, task.x[task.scored])


def test_pairs_are_taken_where_only_they_are_solved() -> None:
    prompter, words, task, table = setting()
    found = build(prompter, words, task, model(table, prompter, 1), SECTION)
    assert isinstance(found, AblationTask)
    assert found.offset == 1
    assert found.facts["line"] == "first letter: {word} X"
    assert found.ids[:, -1].tolist() == [words[i].token for i in task.scored.tolist()]
    again = build(prompter, words, task, model(table, prompter, 1), SECTION)
    assert isinstance(again, AblationTask)
    assert torch.equal(found.ids, again.ids)


def test_a_model_that_does_not_spell_is_a_reason() -> None:
    prompter, words, task, table = setting()
    found = build(prompter, words, task, model(table, prompter, None), SECTION)
    assert isinstance(found, str)
    assert "the right letter to 5% of the words in `{word} has the first letter: X`" in found
    assert "in `first letter: {word} X`, letter_task.solved asks for 80%" in found


def test_a_letter_that_has_left_the_word_is_a_reason() -> None:
    prompter, words, task, table = setting()
    found = build(prompter, words, task, model(table, prompter, None, carried=True), SECTION)
    assert isinstance(found, str)
    assert "still gives 100% of the letters" in found


def test_letters_that_are_no_tokens_are_a_reason() -> None:
    prompter, words, task, table = setting(string.ascii_uppercase[:20])
    assert answers(prompter, words[0]) is None
    found = build(prompter, words, task, CutModel(lambda ids: table[ids], lambda r: r[:, -1]), SECTION)
    assert isinstance(found, str)
    assert found.count("does not write every letter as one token") == 2


def test_words_that_the_probe_does_not_see_are_left_out() -> None:
    prompter, words, task, table = setting()
    task.bias[:, 0] = -9.0
    found = build(prompter, words, task, model(table, prompter, 6), SECTION)
    assert isinstance(found, AblationTask)
    assert found.facts["words_left_out_by_probe"] == 3
    assert 0 not in task.letter[found.word].tolist()


def test_byte_level_prompts_of_pairs() -> None:
    made = test_letters.byte_level([" tiger", " lantern"])
    words = {word.text: word for word in vocabulary(made, [0])}
    prompter = Prompter.of(made, 0)
    assert answers(prompter, words[" tiger"]) is None  # ` X` is two bytes to it


def test_round_trip_and_damage(tmp_path: Path) -> None:
    prompter, words, task, table = setting()
    made = build(prompter, words, task, model(table, prompter, 6), SECTION)
    assert isinstance(made, AblationTask)
    save_ablation(tmp_path, made, "abc")
    found = load_ablation(tmp_path)
    assert isinstance(found, AblationTask)
    assert torch.equal(found.ids, made.ids)
    assert (found.offset, found.facts["weights_sha256"]) == (6, "abc")
    (tmp_path / "ablation.safetensors").write_bytes(b"short")
    with pytest.raises(BadInput, match="damaged"):
        load_ablation(tmp_path)
    save_ablation(tmp_path, "it cannot spell", "abc")
    assert load_ablation(tmp_path) == "it cannot spell"
    with pytest.raises(BadInput, match="letter_task"):
        load_ablation(tmp_path / "absent")
