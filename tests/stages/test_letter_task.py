"""The stages letter_task and absorption@VARIANT on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.metrics.common.controls import random_sae
from pipeline.sae.core.inference import SAE
from pipeline.stages import absorption
from pipeline.stages import letter_task as letters
from pipeline.stages.common.files import LETTERS
from pipeline.stats.intervals import wilson
from pipeline.tasks.letters.ablation import AblationTask, load_ablation
from pipeline.tasks.letters.task import LetterTask, load_letters
from tests.stages.evaluated import read_results, read_table, write_saes
from tests.stages.lettered import TOKENS, WORDS, D, write_lm, write_task_params


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def oracle() -> SAE:
    """Reads letter i in dimension i."""
    eye = torch.eye(D)
    return SAE("topk", eye.clone(), eye.clone(), torch.zeros(D), torch.zeros(D), k=2)


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_letters_to_absorption() -> None:
    write_lm(WORDS)
    write_task_params()
    letters.run()
    task = load_letters(LETTERS)
    assert isinstance(task, LetterTask)
    assert task.words == ["has", "the", "first", "letter", *WORDS]
    assert task.x.shape == (len(WORDS) + 4, D)
    # the residual stream is read at the word: nearly its embedding, whose letter stands out
    assert (task.x[:, :8].argmax(-1) == task.letter)[4:].float().mean() > 0.95
    assert (task.x_scored[:, :8].argmax(-1) == task.letter[task.scored]).float().mean() > 0.9
    assert not torch.equal(task.x_scored, task.x[task.scored])  # other examples in front
    first = folder_bytes(LETTERS)
    letters.run()
    assert folder_bytes(LETTERS) == first
    assert b"tmp" not in first["letters.json"]

    untrained = random_sae(task.x, D, 2, 0)
    write_saes("topk", 1, {"l0-2": oracle(), "l0-4": untrained}, diverged="l0-4")
    write_saes("topk", 2, {"l0-2": untrained})
    absorption.run("topk")
    results = read_results("absorption", "topk")
    good, bad, random = results["rows"]
    assert bad["metrics"]["mean_absorption_fraction"]["reason"] == "diverged at step 7"
    assert good["metrics"]["letter_f1_k1"]["value"] > random["metrics"]["letter_f1_k1"]["value"] + 0.2
    assert good["metrics"]["letters_kept"]["value"] >= 5
    assert good["metrics"]["mean_full_absorption"]["value"] < 0.1
    assert good["metrics"]["letter_f1_k1_random_sae"] == random["metrics"]["letter_f1_k1_random_sae"]
    assert set(good["metrics"]) == set(bad["metrics"]) == set(results["metrics"])
    table = read_table("absorption", "topk", "letters.tsv")
    assert [row["letter"] for row in table[:8]] == list("abcdefgh")
    assert {(row["seed"], row["run"]) for row in table} == {("1", "l0-2"), ("2", "l0-2")}
    scored = [row for row in table if row["true_positives"] != "0"]
    assert scored
    for row in scored:
        bounds = wilson(int(row["fully_absorbed"]), int(row["true_positives"]))
        found = [float(row[f"full_absorption_{end}"]) for end in ("low", "high")]
        assert found == pytest.approx([bounds.low, bounds.high], rel=1e-6)
        assert found[0] <= float(row["full_absorption"]) <= found[1]
    assert len(read_table("absorption", "topk", "words.tsv")) == 2 * len(task.scored)
    reports = folder_bytes(Path("reports/evaluations/absorption/topk"))
    absorption.run("topk")
    assert folder_bytes(Path("reports/evaluations/absorption/topk")) == reports


def test_an_sae_of_another_width_is_refused() -> None:
    write_lm(WORDS)
    write_task_params()
    letters.run()
    for seed in (1, 2):
        write_saes("topk", seed, {"l0-2": random_sae(torch.randn(9, D + 1), 48, 2, 0)})
    with pytest.raises(BadInput, match=f"width {D + 1} but {LETTERS} holds width {D}:"):
        absorption.run("topk")


def test_the_order_of_the_vocabulary_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAEBench's words come in the order of a hash map, and its splits and probes with them."""
    write_lm(WORDS)
    write_task_params()
    letters.run()
    first = folder_bytes(LETTERS)
    load, orders = letters.load_lm, []

    def shuffled(*arguments: Any) -> Any:
        lm = load(*arguments)
        known = lm.tokenizer.get_vocab()
        turned = dict(sorted(known.items(), key=lambda item: item[1] * 7919 % len(known)))
        orders.append(list(turned) != list(known))
        lm.tokenizer.get_vocab = lambda: turned
        return lm

    monkeypatch.setattr(letters, "load_lm", shuffled)
    letters.run()
    assert orders == [True]
    assert folder_bytes(LETTERS) == first


def test_another_seed_gives_other_splits() -> None:
    write_lm(WORDS)
    write_task_params()
    letters.run()
    before = load_letters(LETTERS)
    write_task_params(letter_task={"seed": 1, "in_context": 3})
    letters.run()
    after = load_letters(LETTERS)
    assert isinstance(before, LetterTask)
    assert isinstance(after, LetterTask)
    assert before.words == after.words
    assert not torch.equal(before.fold, after.fold)
    assert not torch.equal(before.weight, after.weight)


def test_latents_are_ablated_where_the_model_spells() -> None:
    # four words of the template itself are words too, of letters f, h, l and t: the model cannot know them
    write_lm(WORDS, spells=True)
    write_task_params()
    letters.run()
    prompts = load_ablation(LETTERS)
    assert isinstance(prompts, AblationTask)
    assert prompts.facts["line"] == "first letter: {word} X"
    untrained = random_sae(prompts.x, D, 2, 0)
    for seed, sae in ((1, oracle()), (2, untrained)):
        write_saes("topk", seed, {"l0-4": sae})
    absorption.run("topk")
    results = read_results("absorption", "topk")
    good, random = (row["metrics"] for row in results["rows"])
    assert set(good) == set(results["metrics"])
    assert good["mean_ablation_absorption"]["value"] is not None
    assert good["ablation_words_silent"]["value"] < random["ablation_words_silent"]["value"]
    assert random["ablation_model_accuracy"]["value"] > 0.9
    table = read_table("absorption", "topk", "ablation.tsv")
    assert len(table) == sum(row["ablation_words_examined"]["value"] for row in (good, random))
    reports = folder_bytes(Path("reports/evaluations/absorption/topk"))
    absorption.run("topk")
    assert folder_bytes(Path("reports/evaluations/absorption/topk")) == reports
    write_lm(WORDS[:-1], spells=True)
    with pytest.raises(BadInput, match="other weights than"):
        absorption.run("topk")


def test_a_model_that_does_not_spell_leaves_the_ablation_missing() -> None:
    write_lm(WORDS)
    write_task_params()
    letters.run()
    for seed in (1, 2):
        write_saes("topk", seed, {"l0-2": oracle()})
    absorption.run("topk")
    values = read_results("absorption", "topk")["rows"][0]["metrics"]
    assert values["mean_full_absorption"]["value"] is not None
    for name in ("mean_ablation_absorption", "mean_ablation_absorption_random_sae"):
        assert "letter_task.solved asks for 80%" in values[name]["reason"]
    assert read_table("absorption", "topk", "ablation.tsv") == []


def test_a_small_vocabulary_is_a_reason_not_an_error() -> None:
    write_lm(WORDS[:20])
    write_task_params()
    letters.run()
    facts = json.loads((LETTERS / "letters.json").read_text())
    assert facts["usable"] is False
    write_saes("topk", 1, {"l0-2": oracle()})
    write_saes("topk", 2, {"l0-2": oracle()})
    absorption.run("topk")
    values = read_results("absorption", "topk")["rows"][0]["metrics"]
    assert values["mean_full_absorption"]["value"] is None
    assert "whole words" in values["mean_full_absorption"]["reason"]


def test_too_few_letters_are_counted() -> None:
    write_lm(WORDS)
    write_task_params(absorption={"min_letters": 20})
    letters.run()
    for seed in (1, 2):
        write_saes("topk", seed, {"l0-2": oracle()})
    absorption.run("topk")
    values = read_results("absorption", "topk")["rows"][0]["metrics"]
    assert values["mean_absorption_fraction"]["value"] is None
    assert "absorption.min_letters asks for 20" in values["mean_absorption_fraction"]["reason"]
    assert values["letters_kept"]["value"] <= 8


def test_a_layer_that_does_not_exist() -> None:
    write_lm(WORDS)
    small = {"compute": {"threads": 1}, "harvest": {"site": "resid_post.5"}}
    write_task_params(profiles={"small": small})
    with pytest.raises(BadInput, match="layer 5 does not exist"):
        letters.run()
    assert not LETTERS.exists()


def test_one_letter_answers_are_not_words() -> None:
    assert {"A", "H"} < set(TOKENS)
    assert all(len(word) > 1 for word in WORDS)
