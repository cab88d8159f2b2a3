"""The stages tasks@letters and absorption@VARIANT on a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.metrics.absorption import random_sae
from pipeline.metrics.letter_task import LetterTask, load_letters
from pipeline.sae.core.inference import SAE
from pipeline.stages import absorption, letters
from pipeline.stages.files import LETTERS
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
    assert len(read_table("absorption", "topk", "words.tsv")) == 2 * len(task.scored)
    reports = folder_bytes(Path("reports/absorption/topk"))
    absorption.run("topk")
    assert folder_bytes(Path("reports/absorption/topk")) == reports


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
    small = {"compute": {"threads": 1}, "harvest": {"layer": 5}}
    write_task_params(profiles={"small": small})
    with pytest.raises(BadInput, match="layer 5 does not exist"):
        letters.run()
    assert not LETTERS.exists()


def test_one_letter_answers_are_not_words() -> None:
    assert {"A", "H"} < set(TOKENS)
    assert all(len(word) > 1 for word in WORDS)
