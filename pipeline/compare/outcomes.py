"""The comparisons named in advance as text: what Markdown, the terminal and the page print first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.compare.columns import Column
from pipeline.compare.planned import Plan, Planned
from pipeline.compare.scores import Name
from pipeline.compare.standing import Difference, Level, difference, of_difference, of_level
from pipeline.numbers.files import SCHEMAS


@dataclass(frozen=True)
class Outcome:
    """One outcome: its comparisons, each with a difference per L0 target."""

    source: Name
    column: Column
    tests: int  # judged together
    targets: list[float]
    rows: Mapping[str, Mapping[float, Difference]]

    @property
    def heading(self) -> str:
        """The outcome and how many comparisons are judged together."""
        where = "synthetic activations, " if self.source == "truth" else ""
        return f"{self.column.head} ({where}{self.tests} comparisons judged together)"


@dataclass(frozen=True)
class Answers:
    """All outcomes, and what was asked of rows that this run did not train."""

    outcomes: list[Outcome]
    untrained: list[str]


def answers(plan: Plan) -> Answers:
    """The tests of `plan`, outcome by outcome in the order of the columns."""
    keys = dict.fromkeys((test.source, test.column) for test in plan.tests)
    found = [_outcome([test for test in plan.tests if (test.source, test.column) == key]) for key in keys]
    absent = [f"{asked.variant} against {asked.against}: {reason}" for asked, reason in plan.untrained]
    return Answers(found, absent)


def _outcome(tests: Sequence[Planned]) -> Outcome:
    rows: dict[str, dict[float, Difference]] = {}
    for test in tests:
        rows.setdefault(test.title, {})[test.target] = difference(test.pair, test.column)
    first = tests[0]
    return Outcome(first.source, first.column, first.tests, sorted({test.target for test in tests}), rows)


def content(found: Answers) -> dict[str, Any]:
    """What was asked beforehand, for standing.json and report.json."""
    return {"outcomes": [_of_outcome(each) for each in found.outcomes], "untrained": found.untrained}


def document(levels: Sequence[Level], found: Answers) -> dict[str, Any]:
    """The content of standing.json."""
    return {
        "schema": SCHEMAS["standing.json"],
        "planned": content(found),
        "groups": [of_level(level) for level in levels],
    }  # fmt: skip


def _of_outcome(found: Outcome) -> dict[str, Any]:
    return {
        "source": found.source, "name": found.column.name, "title": found.column.head,
        "tests": found.tests, "targets": found.targets,
        "rows": [
            {"title": title, "cells": [_content(cells.get(target)) for target in found.targets]}
            for title, cells in found.rows.items()
        ],
    }  # fmt: skip


def _content(found: Difference | None) -> dict[str, Any] | None:
    return None if found is None else of_difference(found)
