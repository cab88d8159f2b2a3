"""Words, prompts, folds and letter probes."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pipeline.console.errors import BadInput
from pipeline.tasks.letters.task import (
    LetterTask,
    load_letters,
    probe_report,
    save_letters,
    save_unusable,
)
from pipeline.tasks.letters.words import (
    FOLDS,
    Prompter,
    Word,
    alphabetic,
    choose_examples,
    fit_probes,
    fold_pools,
    folds,
    limited,
    out_of_fold,
    unusable,
    vocabulary,
)

TEMPLATE = ["has", "the", "first", "letter", ":", "\n", "A", "L", "T", "<unk>", "<bos>"]


def word_level(words: list[str], blanks_only: bool = False) -> Any:
    """A word-level tokenizer; `blanks_only` splits at spaces alone, so `letter:` is unknown to it."""
    ids = {token: index for index, token in enumerate([*TEMPLATE, *words])}
    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    pattern = r"[^ ]+" if blanks_only else r"\n|\w+|[^\w\s]"
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<bos>")


def byte_level(words: list[str]) -> Any:
    """A byte-level BPE tokenizer, GPT-2's kind, that knows each of `words` (with its leading space)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {"<bos>": 0} | {token: index + 1 for index, token in enumerate(alphabet)}
    merges = []
    for word in words:
        made = word.replace(" ", "Ġ")
        for end in range(2, len(made) + 1):
            if made[:end] not in ids:
                ids[made[:end]] = len(ids)
                merges.append((made[: end - 1], made[end - 1]))
    backend = Tokenizer(models.BPE(ids, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<bos>")


@pytest.mark.parametrize(
    ("text", "word"),
    [("cat", True), (" cat", True), ("Cat", True), ("  cat", False), ("c", False), (" c", False),
     ("ca7", False), ("café", False), ("", False), (" ", False), ("ca-t", False)],
)  # fmt: skip
def test_what_a_word_is(text: str, word: bool) -> None:
    assert alphabetic(text) is word


@pytest.mark.parametrize("blanks_only", [False, True])
def test_word_level_prompts(blanks_only: bool) -> None:
    tokenizer = word_level(["lantern", "tiger", "x9"], blanks_only)
    words = vocabulary(tokenizer, [tokenizer.bos_token_id])
    assert [word.text for word in words][-2:] == ["lantern", "tiger"]
    prompter = Prompter.of(tokenizer, tokenizer.bos_token_id)
    lantern, tiger = words[-2:]
    ids = prompter.ids(lantern, [tiger])
    tokens = tokenizer.convert_ids_to_tokens(ids)
    line = ["has", "the", "first", "letter", ":"]
    assert tokens == ["<bos>", "\n", "tiger", *line, "T", "\n", "lantern", *line]
    assert prompter.offset == 6  # SAEBench reads position -6
    assert prompter.finds(lantern, ids)
    assert not prompter.finds(tiger, ids)


def test_byte_level_prompts() -> None:
    tokenizer = byte_level([" tiger", " lantern", "lantern"])
    words = {word.text: word for word in vocabulary(tokenizer, [0])}
    assert {" tiger", " lantern", "lantern", " ti", "la"} <= set(words)
    assert " l" not in words  # one letter
    prompter = Prompter.of(tokenizer, 0)
    text = tokenizer.decode(prompter.ids(words[" lantern"], [words[" tiger"]]))
    assert text == "<bos>\n tiger has the first letter: T\n lantern has the first letter:"
    kept = prompter.readable(list(words.values()))
    assert words[" lantern"] in kept
    assert words["lantern"] in kept  # after a line feed


def test_a_word_that_is_split_in_the_prompt_is_dropped() -> None:
    tokenizer = byte_level([" lantern"])
    prompter = Prompter.of(tokenizer, 0)
    assert prompter.readable([Word(tokenizer.convert_tokens_to_ids("Ġlantern"), " lantern")])
    # a token of the vocabulary that no text ever gives
    assert not prompter.readable([Word(5, " tiger")])


def words_of(counts: list[int]) -> list[Word]:
    texts = [f"{chr(97 + letter)}{'b' * (i + 1)}" for letter, n in enumerate(counts) for i in range(n)]
    return [Word(token, text) for token, text in enumerate(texts)]


def test_folds_are_equal_within_each_letter() -> None:
    words = words_of([7, 1, 23, 5] + [0] * 22)
    fold = folds(words, 3)
    assert sorted(np.bincount(fold)) == [7, 7, 7, 7, 8]
    for letter in range(4):
        counts = np.bincount(
            [f for f, w in zip(fold, words, strict=True) if w.letter == letter], minlength=FOLDS
        )
        assert counts.max() - counts.min() <= 1
    assert fold == folds(words, 3)
    assert fold != folds(words, 4)


def in_forms(words: list[Word]) -> list[Word]:
    """Each word as `word`, ` word` and ` Word`, as in a real vocabulary."""
    texts = [form for word in words for form in (word.text, f" {word.text}", f" {word.text.title()}")]
    return [Word(token, text) for token, text in enumerate(texts)]


def test_the_forms_of_a_word_share_a_fold_and_are_no_examples_of_each_other() -> None:
    plain = words_of([15] * 6)
    words = in_forms(plain)
    fold = folds(words, 3)
    assert fold[::3] == fold[1::3] == fold[2::3] == folds(plain, 3)
    for pools in (fold_pools(fold), [list(range(len(words)))] * len(words)):
        for word, chosen in zip(
            words, choose_examples(words, list(range(len(words))), pools, 10, Random("0")), strict=True
        ):
            assert len(set(chosen)) == 10
            assert word.spelling not in {words[j].spelling for j in chosen}


def test_forms_of_one_word_do_not_make_a_vocabulary_large_enough() -> None:
    plain = words_of([20] * 4)
    assert "has 80 whole words" in str(unusable(in_forms(plain), 10))


def test_examples_come_from_the_words_own_fold() -> None:
    words = words_of([20] * 4)
    fold = folds(words, 0)
    chosen = choose_examples(words, list(range(80)), fold_pools(fold), 10, Random("0"))
    for i, each in enumerate(chosen):
        assert len(set(each)) == 10
        assert i not in each
        assert {fold[j] for j in each} == {fold[i]}


def test_limited_and_unusable() -> None:
    words = words_of([40] * 4)
    assert limited(words, 160, 0) is words
    few = limited(words, 100, 0)
    assert len(few) == 100
    assert few == sorted(few, key=lambda word: word.token)
    assert unusable(words, 10) is None
    assert "has 20 whole words" in str(unusable(words[:20], 10))
    assert "1 first letter" in str(unusable(words_of([100]), 10))


def made_task() -> LetterTask:
    g = torch.Generator().manual_seed(0)
    words = words_of([9] * 26)
    letter = torch.tensor([word.letter for word in words])
    fold = torch.tensor(folds(words, 0))
    x = torch.randn(26, 12, generator=g)[letter] + 0.4 * torch.randn(len(words), 12, generator=g) + 3
    weight, bias = fit_probes(x, letter, fold)
    scored = torch.arange(0, len(words), 2)
    return LetterTask(
        [w.text for w in words], x, letter, fold, scored, x[scored], weight, bias, {"model": "m"}
    )


def test_probes_minimise_saebenchs_objective_out_of_fold() -> None:
    task = made_task()
    for fold, letter in [(0, 0), (3, 25)]:
        train = (task.fold != fold).numpy()
        y = (task.letter == letter).numpy()[train]
        weight = np.where(y, (~y).sum() / y.sum(), 1.0) / len(y)
        # scikit-learn leaves its intercept alone, so the penalised one is a feature
        x = np.concatenate([task.x.double().numpy()[train], np.ones((len(y), 1))], 1)
        model = LogisticRegression(
            C=1 / 26e-4, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000
        ).fit(x, y, sample_weight=weight)
        found = torch.cat([task.weight[fold, letter], task.bias[fold, letter, None]])
        np.testing.assert_allclose(found, model.coef_[0], rtol=1e-3, atol=1e-4)
    logits = out_of_fold(task.x, task.fold, task.weight, task.bias)
    word = 17
    f = task.fold[word]
    torch.testing.assert_close(logits[word], task.weight[f] @ task.x[word] + task.bias[f])


def test_a_letter_without_training_words_gets_a_silent_probe() -> None:
    g = torch.Generator().manual_seed(0)
    letter, fold = torch.tensor([0, 1] * 10 + [2]), torch.tensor([0, 1, 2, 3, 4] * 4 + [0])
    weight, bias = fit_probes(torch.randn(21, 4, generator=g), letter, fold)
    assert not weight[0, 2].any()
    assert weight[1, 2].any()
    assert not weight[:, 5].any()
    assert not bias[:, 5].any()


def test_round_trip(tmp_path: Path) -> None:
    task = made_task()
    save_letters(tmp_path, task)
    found = load_letters(tmp_path)
    assert isinstance(found, LetterTask)
    assert found.words == task.words
    torch.testing.assert_close(found.x_scored, task.x_scored)
    report = probe_report(task)
    assert found.facts["f1_probe"] == report["f1_probe"]
    assert math.isclose(report["macro_accuracy"], 1.0, abs_tol=0.2)
    save_unusable(tmp_path, "too few", {})
    assert load_letters(tmp_path) == "too few"


def test_absent_and_damaged_tasks(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="letter_task"):
        load_letters(tmp_path)
    save_letters(tmp_path, made_task())
    (tmp_path / "letters.safetensors").write_bytes(b"short")
    with pytest.raises(BadInput, match="damaged"):
        load_letters(tmp_path)
