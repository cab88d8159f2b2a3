"""The headline table against what the evaluations write."""

from __future__ import annotations

import pytest

from pipeline.compare.columns import Column, headlines, references
from pipeline.stages.compare import LETTERS
from tests.compare.fake import DECLARED, DEFINED

DEFINITIONS = {(stage, each.name): each for stage, found in DEFINED.items() for each in found}
COLUMNS = headlines(DEFINITIONS)
SCORE = Column("a", "a", "behavior", "a", "higher")


def test_the_columns_are_these_in_this_order() -> None:
    """A headline that an evaluation gains or loses changes the table that everyone looks at."""
    names = [
        [each.name for each in COLUMNS if (each.stage == "ground_truth") == truth] for truth in (False, True)
    ]
    assert names == [
        ["l0", "explained_variance", "kl", "dead", "miss_rate", "carrier", "letter_f1", "probing",
         "persistence", "persistence_energy", "smoothness"],
        ["l0", "recovery", "firing_f1", "exact_absorption", "flicker_parent", "onset_delay"],
    ]  # fmt: skip


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.stage}-{column.name}")
def test_each_column_stands_in_the_tables(column: Column) -> None:
    assert DEFINITIONS[column.key].aggregate
    assert (column.better == "neither") == (column.name == "l0")


def test_references_stand_in_a_column_and_have_no_direction() -> None:
    found = references(DEFINITIONS)
    assert [row.label for row in found] == [
        "untrained SAE", "decoder permuted", "raw residual, neuron", "dense probe", "token lookup (L0 1)",
        "shuffled tokens",
    ]  # fmt: skip
    names = {column.name for column in COLUMNS}
    for row in found:
        assert set(row.cells) <= names
        assert all(DEFINITIONS[key].aggregate for key in row.cells.values())


@pytest.mark.parametrize(
    "column",
    [each for each in COLUMNS if DEFINITIONS[each.key].headline.items],  # type: ignore[union-attr]
    ids=lambda column: column.name,
)
def test_items_are_made_of_columns_that_the_stage_writes(column: Column) -> None:
    items = DEFINITIONS[column.key].headline.items  # type: ignore[union-attr]
    assert items is not None
    used = {
        items.item,
        *items.numerator,
        *items.denominator,
        *items.groups,
        items.where,
        *items.over_numerator,
        *items.over_denominator,
    } - {None}
    assert used <= set(DECLARED[column.stage][items.table])


def test_the_letters_chart_reads_columns_that_absorption_writes() -> None:
    stage, file = LETTERS
    used = {"letter", "kept", "true_positives", "absorption_fraction", "full_absorption"}
    assert used <= set(DECLARED[stage][file])


def test_no_negative_zero_is_printed() -> None:
    assert SCORE.text(-0.0001) == "0.000"
    assert SCORE.text(-0.0006) == "-0.001"
    assert (SCORE.signed(0.0001), SCORE.signed(0.01), SCORE.signed(-0.01)) == ("0.000", "+0.010", "-0.010")
