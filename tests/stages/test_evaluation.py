"""What all evaluation stages share: controls once per run, reasons of diverged SAEs, tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from pydantic import Field

from pipeline.metrics.common.controls import of_untrained
from pipeline.numbers.definition import Definition, Headline
from pipeline.numbers.document import Measured, Results, read_beside, read_results
from pipeline.numbers.number import Number
from pipeline.params import Section
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.evaluation import Control, Evaluation, Setting, evaluate, one_by_one
from pipeline.stages.common.files import evaluation_folder
from tests.metrics.codes import random_sae
from tests.stages.evaluated import write_params, write_saes

D, N = 4, 8
LONG = Definition("long", "higher", "share", 1, "a share.", headline=Headline("long", "long", 1))


class SharesSection(Section):
    """A section."""

    share: float = Field(0.5, description="what every SAE scores")


class Shares:
    """An evaluation that counts how often it measures."""

    def __init__(self, setting: Setting[SharesSection]) -> None:
        self.setting = setting
        self.controls: list[int] = []

    def of(self, sae: SAE) -> Measured:
        share = self.setting.section.share
        return Measured({"long": Number(share, sae.n)}, {"t.tsv": [{"class": "01"}]})

    def of_control(self, sae: SAE) -> Mapping[str, Number]:
        assert sae.k is not None
        self.controls.append(sae.k)
        return {"long": Number(0.1 * sae.k + 1 / 3, sae.n)}

    def evaluation(self) -> Evaluation:
        memo = self.setting.memo({"task": 1})
        return Evaluation(
            [LONG, of_untrained(LONG)], one_by_one(self.of), {"t.tsv": {"class": str}},
            control=Control(torch.zeros(1, D), 0, self.of_control, memo),
        )  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SAEs of two variants in the current folder, one of which diverged."""
    monkeypatch.chdir(tmp_path)
    write_params(reconstruction={"share": 0.5})
    for variant in ("one", "two"):
        for seed in (1, 2):
            saes = {"l0-4": random_sae(D, N, 4, seed), "bad": random_sae(D, N, 4, seed)}
            write_saes(variant, seed, saes, diverged="bad")


def run(variant: str) -> tuple[Results, list[int]]:
    """What the stage wrote, and the L0 of each control that was measured."""
    made: list[Shares] = []

    def prepare(setting: Setting[SharesSection]) -> Evaluation:
        made.append(Shares(setting))
        return made[0].evaluation()

    evaluate("reconstruction", variant, SharesSection, prepare)
    return read_results(evaluation_folder("reconstruction", variant), "stage"), made[0].controls


def test_a_control_is_measured_once_per_run_and_the_bytes_are_the_same() -> None:
    first, measured = run("one")
    written = (evaluation_folder("reconstruction", "one") / "results.json").read_bytes()
    assert measured == [4]
    for variant in ("two", "one"):
        assert run(variant)[1] == []
    assert (evaluation_folder("reconstruction", "one") / "results.json").read_bytes() == written
    assert first.rows[0].numbers["long_random_sae"] == Number(0.1 * 4 + 1 / 3, N)


@pytest.mark.parametrize("change", ["section", "damage", "gone"])
def test_a_control_is_measured_again_when_its_inputs_change(change: str) -> None:
    run("one")
    kept = list(Path(".scratch").rglob("untrained-*.json"))
    assert len(kept) == 1
    if change == "section":
        write_params(reconstruction={"share": 0.25})
    elif change == "damage":
        kept[0].write_text("{", encoding="utf-8")
    else:
        kept[0].unlink()
    assert run("two")[1] == [4]
    assert len(list(Path(".scratch").rglob("*.json"))) == 1  # what other inputs left is gone
    assert not list(Path(".scratch").rglob("*.partial"))


def test_a_diverged_sae_has_its_reason_for_every_number() -> None:
    results, _ = run("one")
    bad = [row for row in results.rows if row.identity.run == "bad"]
    assert len(bad) == 2
    for row in bad:
        assert {number.reason for number in row.numbers.values()} == {"diverged at step 7"}
        assert set(row.numbers) == set(results.definitions)


def test_tables_say_which_sae_and_keep_text() -> None:
    results, _ = run("one")
    table = read_beside(evaluation_folder("reconstruction", "one"), results, "t.tsv")
    assert table.to_numpy().tolist() == [["one", 1, "l0-4", "01"], ["one", 2, "l0-4", "01"]]
