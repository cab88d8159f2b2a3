"""What a metric means and where it is shown: all that `compare` and the page know of an evaluation.

A definition without `headline` and `reference` stands in scores.tsv and summary.tsv only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Better = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Items:
    """Where a score's items are listed, so that they can be drawn again (paired comparisons).

    The score is the mean over groups of sum(numerator) / sum(denominator), sums over the group's rows of
    `table`; with `over_numerator` it is divided by sum(over_numerator) / sum(over_denominator) over all rows,
    such as what chance gives. Rows with equal `item` are drawn together. An item column of numbers is taken
    in ascending order, one of text as listed: equal order draws equal items for all SAEs.
    """

    table: str  # a file beside results.json
    item: str  # the column that says which item a row belongs to
    unit: str  # what an item is, in the plural: contexts, words, texts
    numerator: Mapping[str, float]  # column: its factor
    denominator: Mapping[str, float] = field(default_factory=dict)  # empty: the number of rows
    groups: tuple[str, ...] = ()  # columns; several are nested: the mean over the last one first
    where: str | None = None  # an integer column: rows with 0 are items of no group
    complement: bool = False  # the score is 1 minus that
    over_numerator: Mapping[str, float] = field(default_factory=dict)
    over_denominator: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Headline:
    """A metric's column in the headline table."""

    name: str  # in metrics.json, and what references name
    title: str
    order: int  # columns of all evaluations are sorted by it, then by name
    decimals: int = 3
    narrow: bool = True  # False: left out where columns are dear, the terminal's table and metrics.json
    items: Items | None = None  # None: the score is compared over seeds only
    pairs_of_seeds: bool = False  # the score is of pairs of seeds: the rows of two seeds share one


@dataclass(frozen=True)
class Reference:
    """A metric's cell in a row under the SAEs: what a score must beat, which no training changes."""

    row: str  # the row's name
    headline: str  # the name of the column
    order: int  # of the row
    spread: bool = False  # it differs between the SAEs of a group: shown from lowest to highest


@dataclass(frozen=True)
class Definition:
    """What one metric of an evaluation means."""

    name: str
    better: Better
    unit: str  # "share", "nats", "tokens", "count", "squared model units", ...
    version: int  # raised when the meaning changes, so that old numbers are not laid beside new ones
    definition: str  # one sentence, with its source
    aggregate: bool = True  # False: kept in results.json only, not in the tables
    headline: Headline | None = None
    reference: Reference | None = None

    @classmethod
    def parsed(cls, content: Mapping[str, Any]) -> Definition:
        """The definition that results.json holds as `content`."""
        values = dict(content)
        if headline := values.get("headline"):
            items = headline.get("items")
            parsed = Items(**{**items, "groups": tuple(items["groups"])}) if items else None
            values["headline"] = Headline(**{**headline, "items": parsed})
        if reference := values.get("reference"):
            values["reference"] = Reference(**reference)
        return cls(**values)
