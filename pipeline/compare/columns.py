"""The columns of the headline table: the few numbers that stand for an SAE, as the evaluations declare them.

Every other number that an evaluation marks `aggregate` goes to scores.tsv and summary.tsv under its own
name. Columns of the tables, keys of metrics.json and axes of the figures come from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Better, Definition
from pipeline.numbers.document import Results

Key = tuple[str, str]
"""(stage, metric): an evaluation's stage and a name of its results.json."""

L0 = "l0"
"""The column that says how sparse an SAE is: each source of activations must have it."""

ARROW: dict[Better, str] = {"higher": "\u00a0↑", "lower": "\u00a0↓", "neither": ""}
"""After a no-break space, so that no arrow stands on a line of its own."""


@dataclass(frozen=True)
class Column:
    """One column: where its number comes from, which way is better, how many decimals are printed."""

    name: str
    title: str
    stage: str
    metric: str
    better: Better
    decimals: int = 3
    narrow: bool = True  # False: left out where columns are dear, the terminal's table and metrics.json
    pairs_of_seeds: bool = False  # each seed's value is a mean over its pairs with the others

    @property
    def key(self) -> Key:
        """(stage, metric), the name under which the value is looked up."""
        return self.stage, self.metric

    @property
    def head(self) -> str:
        """The title with an arrow to the better side."""
        return self.title + ARROW[self.better]

    def text(self, value: float) -> str:
        """`value` with this column's decimals, never `-0.000`."""
        return f"{round(value, self.decimals) + 0.0:.{self.decimals}f}"

    def signed(self, value: float) -> str:
        """The same with a plus sign, unless nothing but zeros is printed."""
        text = self.text(value)
        return text if text.startswith("-") or not text.strip("0.") else f"+{text}"


@dataclass(frozen=True)
class Reference:
    """A row that no training changes: the numbers of what the SAEs must beat, by column."""

    label: str
    cells: dict[str, Key]
    spread: bool  # the numbers differ between SAEs: shown from lowest to highest


def definitions(found: Iterable[Results]) -> dict[Key, Definition]:
    """What each number means; raises BadInput where two variants have other versions of it."""
    known: dict[Key, tuple[Definition, str]] = {}
    for results in found:
        for name, definition in results.definitions.items():
            first, owner = known.setdefault((results.evaluation, name), (definition, results.variant))
            if first.version != definition.version:
                raise BadInput(
                    f"{results.evaluation}: {name} is version {first.version} for {owner} but "
                    f"{definition.version} for {results.variant}, so they cannot stand in one table: "
                    f"run `dvc repro {results.evaluation}`."
                )
    return {key: definition for key, (definition, _) in known.items()}


def headlines(defined: dict[Key, Definition]) -> list[Column]:
    """L0 and the scores in the order that their definitions ask for."""
    chosen = [(key, each) for key, each in defined.items() if each.headline is not None]
    return [
        Column(each.headline.name, each.headline.title, *key, each.better, each.headline.decimals,
               each.headline.narrow, each.headline.pairs_of_seeds)
        for key, each in sorted(chosen, key=_place) if each.headline is not None
    ]  # fmt: skip


def _place(item: tuple[Key, Definition]) -> tuple[int, str]:
    headline = item[1].headline
    assert headline is not None
    return headline.order, headline.name


def references(defined: dict[Key, Definition]) -> list[Reference]:
    """The rows under the SAEs, in the order that their definitions ask for."""
    found: dict[str, tuple[int, Reference]] = {}
    for key, definition in defined.items():
        if given := definition.reference:
            _, row = found.setdefault(given.row, (given.order, Reference(given.row, {}, given.spread)))
            row.cells[given.headline] = key
    return [row for _, row in sorted(found.values(), key=lambda each: each[0])]
