"""Gathering: what does not belong together is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pipeline.compare.board import Board, board, label

from pipeline.console.errors import BadInput
from pipeline.sae.core.folder import Run
from pipeline.stages.compare import _index, _results
from pipeline.stages.files import EVALUATIONS
from tests.compare.fake import World

Inputs = tuple[dict[tuple[str, int], Any], dict[tuple[str, str], Any]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("world")
    world = World(variants=["standard", "topk"], papers=())
    world.write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return (
            {(v, s): _index(v, s) for v in world.variants for s in world.seeds},
            {(stage, v): _results(stage, v) for stage in EVALUATIONS for v in world.variants},
        )


def changed(found: Inputs) -> Inputs:
    return copy.deepcopy(found)


def test_every_sae_is_on_the_board_with_every_number(found: Inputs) -> None:
    whole: Board = board(*found)
    assert len(whole.entries) == 2 * (6 + 2)
    entry = next(
        e for e in whole.entries if (e.label, e.run, e.seed) == ("standard (pairs)", "pairs-l0-16", 43)
    )
    row = next(
        r for r in found[1]["probing", "standard"]["rows"] if (r["run"], r["seed"]) == ("pairs-l0-16", 43)
    )
    assert entry.get(("probing", "probing_k1")).value == row["metrics"]["probing_k1"]["value"]
    assert [e.label for e in whole.truth] == ["standard"] * 4 + ["topk"] * 4


@pytest.mark.parametrize(
    ("name", "reading"),
    [("l0-4", "pairs"), ("pairs-l0-4", "pairs"), ("paper", "contexts"), ("l0-4", "tokens")],
)
def test_labels_are_those_of_the_training_index(name: str, reading: str) -> None:
    run = Run(name, "atm", 1, reading, 4, "ok", None, 4.0, None, True)
    assert label("atm", name, reading) == run.label


def test_a_metric_that_no_stage_gives_is_missing_with_that_reason(found: Inputs) -> None:
    entry = board(*found).entries[0]
    assert entry.get(("probing", "probing_k77")).value is None
    assert entry.get(("probing", "probing_k77")).reason == "the probing stage gives no probing_k77"


def test_a_row_that_the_index_names_must_be_there(found: Inputs) -> None:
    indices, evaluations = changed(found)
    evaluations["behavior", "topk"]["rows"].pop()
    with pytest.raises(BadInput, match=r"no row for seed 43, run l0-16: run `dvc repro behavior@topk`"):
        board(indices, evaluations)


def test_numbers_of_other_weights_are_refused(found: Inputs) -> None:
    indices, evaluations = changed(found)
    evaluations["probing", "topk"]["rows"][1]["sae_sha256"] = "0" * 64
    with pytest.raises(BadInput, match=r"probing/topk was measured on other weights .*seed 42, run l0-16"):
        board(indices, evaluations)


def test_two_versions_of_a_metric_are_refused(found: Inputs) -> None:
    indices, evaluations = changed(found)
    evaluations["absorption", "topk"]["metrics"]["letter_f1_k1"]["version"] = 2
    with pytest.raises(BadInput, match="letter_f1_k1 is version 1 for standard but 2 for topk"):
        board(indices, evaluations)


def test_another_schema_is_refused(found: Inputs) -> None:
    indices, evaluations = changed(found)
    evaluations["absorption", "topk"]["schema"] = 2
    with pytest.raises(BadInput, match=r"schema 2, not 1: run `dvc repro absorption@topk`"):
        board(indices, evaluations)
