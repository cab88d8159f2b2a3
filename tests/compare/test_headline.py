"""The one table of names against the stages that give them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pipeline.compare.board import SCHEMA
from pipeline.compare.headline import (
    FLICKER_SHUFFLED,
    L0,
    LETTER_FRACTION,
    LETTER_FULL,
    LETTER_KEPT,
    LETTER_WORDS,
    REFERENCES,
    SCORES,
    TRUE_L0,
    TRUTH,
    TRUTH_L0,
    Headline,
)  # fmt: skip

from pipeline.compare.paired.items import TABLES
from pipeline.metrics.absorption import results as absorption_results
from pipeline.metrics.behavior import measure as behavior
from pipeline.metrics.common import number as record
from pipeline.metrics.ground_truth import measure as ground_truth
from pipeline.metrics.probing import results as probing_results
from pipeline.metrics.probing.measure import ProbingSection
from pipeline.metrics.reconstruction import measure as reconstruction
from pipeline.metrics.reconstruction import temporal
from pipeline.stages import behavior as behavior_stage
from pipeline.stages import reconstruction as reconstruction_stage

ROOT = Path(__file__).parents[2]
NO_SETS = cast(Any, SimpleNamespace(problems=[]))
GIVEN = {
    "probing": {m.name: m for m in probing_results.metrics(NO_SETS, ProbingSection())},
    "absorption": {metric.name: metric for metric in absorption_results.METRICS},
    "reconstruction": {metric.name: metric for metric in reconstruction_stage.METRICS},
    "behavior": {metric.name: metric for metric in behavior_stage.DEFINED},
    "ground_truth": {metric.name: metric for metric in ground_truth.METRICS},
}
WRITTEN: dict[tuple[str, str], set[str]] = {
    ("reconstruction", "contexts.tsv"): {"context", *reconstruction.COLUMNS},
    ("reconstruction", "temporal.tsv"): {"context", *temporal.COLUMNS},
    ("behavior", "contexts.tsv"): {"context", *behavior.COLUMNS},
    ("absorption", "words.tsv"): set(absorption_results.WORD_COLUMNS),
    ("absorption", "predictions.tsv"): set(absorption_results.PREDICTION_COLUMNS),
    ("probing", "items.tsv"): set(probing_results.item_columns([1])),
}
COLUMNS = [L0, *SCORES, TRUTH_L0, *TRUTH]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda c: c.name)
def test_each_column_is_a_metric_with_the_same_direction(column: Headline) -> None:
    metric = GIVEN[column.stage][column.metric]
    assert metric.better == column.better
    assert metric.aggregate


@pytest.mark.parametrize(
    "key", [TRUE_L0, FLICKER_SHUFFLED, *(k for r in REFERENCES for k in r.cells.values())]
)
def test_controls_are_given(key: tuple[str, str]) -> None:
    assert key[1] in GIVEN[key[0]]


def test_names_are_unique_and_references_stand_in_a_column() -> None:
    for columns in ([L0, *SCORES], [TRUTH_L0, *TRUTH]):
        assert len({column.name for column in columns}) == len(columns)
    assert {name for reference in REFERENCES for name in reference.cells} <= {
        column.name for column in SCORES
    }


def test_the_columns_of_the_letters_are_those_that_absorption_writes() -> None:
    assert {"letter", LETTER_KEPT, LETTER_WORDS, LETTER_FRACTION, LETTER_FULL} <= set(
        absorption_results.LETTER_COLUMNS
    )


@pytest.mark.parametrize("name", list(TABLES))
def test_items_are_made_of_columns_that_the_stage_writes(name: str) -> None:
    """Every column that the score is made of is one of the stage's, and the stage writes that file."""
    table = TABLES[name]
    asked: set[str] = set()

    class Asked(dict[str, list[float]]):
        def __missing__(self, key: str) -> list[float]:
            asked.add(key)
            return [1.0, 1.0]

    table.read(Asked())
    assert asked <= WRITTEN[table.stage, table.file]
    column = next(column for column in SCORES if column.name == name)
    assert column.stage == table.stage
    code = (ROOT / f"pipeline/stages/{table.stage}.py").read_text(encoding="utf-8")
    assert f'"{table.file}"' in code


def test_the_schema_is_the_one_that_stages_write() -> None:
    assert SCHEMA == record.SCHEMA


def test_no_negative_zero_is_printed() -> None:
    assert SCORES[0].text(-0.0001) == "0.000"
    assert SCORES[0].text(-0.0006) == "-0.001"
