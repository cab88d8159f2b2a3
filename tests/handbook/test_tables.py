"""What marks stand for, from a made-up comparison."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipeline.compare.columns import Column
from pipeline.compare.report import Cell, Group, Row
from pipeline.console.errors import BadInput
from pipeline.handbook.marks import filled
from pipeline.handbook.tables import said

COLUMNS = [
    Column("l0", "L0", "reconstruction", "l0", "neither"),
    Column(
        "explained_variance",
        "explained variance",
        "reconstruction",
        "explained_variance",
        "higher",
        narrow=False,
    ),
    Column("absorption", "absorption", "absorption", "mean", "lower"),
]


def group(target: float | None) -> dict[str, Any]:
    rows = [
        Row("standard", [Cell("4.0"), Cell("0.5", notes=(1,)), Cell("0.1")]),
        Row("standard (pairs)", [Cell("4.1"), Cell("0.6"), Cell("0.2")], control=True),
        Row("atm", [Cell("4.2"), Cell("0.7", flag="!"), Cell("0.3", mark="tied")]),
        Row("untrained SAE", [Cell(""), Cell("0.01"), Cell("")], reference=True),
    ]
    return asdict(Group(f"L0 target {target}", target, COLUMNS, rows))


PLANNED = {
    "outcomes": [
        {
            "source": "truth", "title": "firing F1", "tests": 2, "targets": [5.0, 6.0],
            "rows": [
                {"title": "tsae against tsae (shuffled)",
                 "cells": [{"verdict": "better", "text": "+0.10", "half": "0.05"}, None]},
                {"title": "atm against standard",
                 "cells": [{"verdict": "not compared", "text": "", "half": ""}] * 2},
            ],
        }
    ],
    "untrained": ["atm against atm (uniform_mask): not trained"],
}  # fmt: skip
REPORT = {
    "groups": [group(4), group(None)],
    "truth": [group(5)],
    "caption": ["Mean of 2.", "*: best."],
    "planned": PLANNED,
    "ranking": {"targets": ["all", "5"], "rows": [["miss rate", "0.91 [0.80, 0.96]", "4 runs"]]},
}


def shown(asked: str, root: Path = Path()) -> str:
    """What stands in the mark that asks for it."""
    name = asked.partition(":")[0]
    text = filled(f"<!-- {asked} --><!-- /{name} -->", lambda mark: said(mark, REPORT, root))
    return text.partition("-->")[2].rpartition("<!--")[0]


def test_a_table_has_every_row_and_no_dangling_note() -> None:
    lines = shown("table: text").strip().splitlines()
    assert lines[0] == "**L0 target 4**"
    assert [line.split("|")[1].strip() for line in lines[4:]] == [
        "standard", "&emsp;standard (pairs)", "atm", "*untrained SAE*"
    ]  # fmt: skip
    assert "[1]" not in shown("table: text")
    assert "0.7 !" in lines[6]


def test_presets_without_a_target_are_left_out() -> None:
    assert "None" not in shown("table: text")


def test_rows_and_scores_can_be_chosen_and_controls_follow_their_method() -> None:
    lines = shown("table: truth; stage: absorption; rows: standard").strip().splitlines()
    assert lines[2].split("|")[2:4] == [" L0 ", " absorption\u00a0↓ "]
    # the untrained SAE has no cell under these columns
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["standard", "&emsp;standard (pairs)"]


def test_controls_and_wide_columns_can_be_left_out() -> None:
    lines = shown("table: text; columns: narrow; controls: no").strip().splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[2:-1]] == ["L0", "absorption\u00a0↓"]
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["standard", "atm"]


def test_one_number_and_the_caption() -> None:
    assert shown("value: atm, l0-4, explained_variance").startswith("0.7")
    assert shown("value: standard (pairs), truth-l0-5, absorption").startswith("0.2")
    assert shown("table: caption").strip() == "Mean of 2. \\*: best."


def test_what_was_asked_beforehand_is_a_table_per_outcome() -> None:
    assert shown("table: planned").strip().splitlines() == [
        "**firing F1** (synthetic activations, 2 judged together)",
        "",
        "|  | L0 5 | L0 6 |",
        "|---|--:|--:|",
        "| tsae against tsae (shuffled) | +0.10 ± 0.05 better |  |",
        "| atm against standard | not compared | not compared |",
        "",
        "- atm against atm (uniform\\_mask): not trained",
    ]


def test_the_measures_of_absorption_stand_as_they_rank() -> None:
    assert shown("table: ranking").strip().splitlines() == [
        "|  | all SAEs | L0 5 |", "|---|--:|--:|", "| miss rate | 0.91 \\[0.80, 0.96] | 4 runs |"
    ]  # fmt: skip


def test_a_table_of_a_file_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("method\tvalue\na_b\t0.5 [0.4, 0.6]\n")
    assert shown("table: file a.tsv", tmp_path).strip().splitlines() == [
        "| method | value |", "|---|---|", "| a\\_b | 0.5 \\[0.4, 0.6] |"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        "table: nothing", "table: text; rows: nobody", "table: text; stage: nowhere", "table: file gone.tsv",
        "value: atm, l0-99, absorption", "value: atm", "value: atm, l0-4, nothing",
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(asked: str) -> None:
    with pytest.raises(BadInput):
        shown(asked)


def test_marks_of_other_commands_stay() -> None:
    assert shown("time") == ""
