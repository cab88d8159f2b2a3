"""Gathering: what does not belong together is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pipeline.compare.scores import Scores, gather
from pipeline.console.errors import BadInput
from pipeline.numbers.document import Results, Row
from pipeline.numbers.number import Number
from pipeline.params.experiment import Experiment
from pipeline.params.read import read_params
from pipeline.sae.core.index import Run
from pipeline.stages.compare import evaluations, indices
from tests.compare.fake import World

Indices = dict[tuple[str, int], list[Run]]
Found = dict[tuple[str, str], Results]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Indices, Found]:
    root = tmp_path_factory.mktemp("world")
    World(variants=["standard", "topk"], papers=()).write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        experiment = Experiment.read(read_params())
        return indices(experiment), evaluations(experiment)


def put_together(listed: Indices, found: Found, **changed: Results) -> Scores:
    """With other results of `{evaluation}` for topk."""
    return gather(
        listed, list({**found, **{(stage, "topk"): each for stage, each in changed.items()}}.values())
    )


def with_row(results: Results, place: int, **identity: Any) -> Results:
    rows = list(results.rows)
    rows[place] = Row(replace(rows[place].identity, **identity), rows[place].numbers)
    return replace(results, rows=tuple(rows))


def with_l0(results: Results, values: Sequence[float]) -> Results:
    """The L0 of the runs l0-4, by seed."""
    left = iter(values)
    rows = [
        Row(row.identity, {**row.numbers, "l0": Number(next(left), 5)}) if row.identity.run == "l0-4" else row
        for row in results.rows
    ]
    return replace(results, rows=tuple(rows))


def test_every_sae_is_there_with_every_number(inputs: tuple[Indices, Found]) -> None:
    found = put_together(*inputs)
    assert len(found.text.saes) == 2 * (6 + 2)
    row = next(
        row for row in inputs[1]["probing", "standard"].rows
        if (row.identity.run, row.identity.seed) == ("pairs-l0-16", 43)
    )  # fmt: skip
    values = found.text.values(("probing", "probing"))
    mine = values[(values.label == "standard (pairs)") & (values.run == "pairs-l0-16") & (values.seed == 43)]
    assert mine.value.tolist() == [row.numbers["probing"].value]
    assert found.truth.saes.label.tolist() == ["standard"] * 4 + ["topk"] * 4


def test_the_seeds_of_a_run_stand_together(inputs: tuple[Indices, Found]) -> None:
    saes = put_together(*inputs).text.saes
    assert saes[["label", "run", "seed"]][:4].to_numpy().tolist() == [
        ["standard", "l0-4", 42], ["standard", "l0-4", 43],
        ["standard", "l0-16", 42], ["standard", "l0-16", 43],
    ]  # fmt: skip


def test_labels_are_those_of_the_training_index(inputs: tuple[Indices, Found]) -> None:
    listed, found = inputs
    saes = put_together(listed, found).text.saes.set_index(["variant", "seed", "run"])
    for (variant, seed), runs in listed.items():
        for run in runs:
            assert saes.label[variant, seed, run.name] == run.label


@pytest.mark.parametrize(
    ("l0", "on_target", "missed"),
    [((4.3, 3.7), True, False), ((4.3, 4.5), True, True), ((4.0, 4.0), False, True)],
)
def test_a_miss_is_more_than_ten_percent_on_either_split(
    inputs: tuple[Indices, Found], l0: tuple[float, float], on_target: bool, missed: bool
) -> None:
    listed, found = inputs
    results = with_row(with_l0(found["reconstruction", "topk"], l0), 0, on_target=on_target)
    others = {
        stage: with_row(found[stage, "topk"], 0, on_target=on_target) for stage in ("absorption", "behavior")
    }
    (run,) = [
        each for each in put_together(listed, found, reconstruction=results, **others).text.runs
        if (each.label, each.name) == ("topk", "l0-4")
    ]  # fmt: skip
    assert run.missed == missed


def test_a_metric_that_no_stage_gives_is_missing_with_that_reason(inputs: tuple[Indices, Found]) -> None:
    text = put_together(*inputs).text
    found = text.summary(text.runs[0], ("probing", "probing_k77"))
    assert (found.mean, found.of) == (None, 2)
    assert found.reasons == ("the probing stage gives no probing_k77",)


def test_a_row_that_the_index_names_must_be_there(inputs: tuple[Indices, Found]) -> None:
    listed, found = inputs
    short = replace(found["behavior", "topk"], rows=found["behavior", "topk"].rows[:-1])
    with pytest.raises(BadInput, match=r"no row for seed 43, run l0-16: run `dvc repro behavior@topk`"):
        put_together(listed, found, behavior=short)


def test_numbers_of_other_weights_are_refused(inputs: tuple[Indices, Found]) -> None:
    listed, found = inputs
    other = with_row(found["probing", "topk"], 1, sae_sha256="0" * 64)
    with pytest.raises(BadInput, match=r"probing was measured on other weights of topk .*seed 42, run l0-16"):
        put_together(listed, found, probing=other)


def test_two_versions_of_a_metric_are_refused(inputs: tuple[Indices, Found]) -> None:
    listed, found = inputs
    given = found["absorption", "topk"]
    newer = {**given.definitions, "letter_f1_k1": replace(given.definitions["letter_f1_k1"], version=2)}
    with pytest.raises(BadInput, match="letter_f1_k1 is version 1 for standard but 2 for topk"):
        put_together(listed, found, absorption=replace(given, definitions=newer))


def test_without_l0_there_is_no_table(inputs: tuple[Indices, Found]) -> None:
    listed, found = inputs
    without = [each for (stage, _), each in found.items() if stage != "reconstruction"]
    with pytest.raises(BadInput, match="no evaluation gives the L0"):
        gather(listed, without)
