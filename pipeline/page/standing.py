"""Every row of every score at a common L0, and which rows lead: from curves.tsv and pairs.tsv."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.compare.headline import ARROW, SCORES, TRUTH, TRUTH_STAGE, Headline

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One score of one row; `order` is what it is sorted by, None where there is no value."""

    text: str
    interval: str = ""
    mark: str = ""  # best | tied
    detail: str = ""
    order: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One row against another, the row first."""

    text: str
    verdict: str  # better | worse | not distinguishable | not compared
    detail: str = ""


@dataclass(frozen=True)
class Column:
    """One score at one L0: a cell per row, its leaders, and every pair."""

    name: str
    title: str
    better: str
    cells: dict[str, Cell]
    leaders: list[str]  # the best row alone, or it and all not told apart from it, best value first
    beaten: list[str]  # rows that the best one is told apart from
    compared: int
    pairs: dict[str, dict[str, Verdict]]
    detectable: str

    @property
    def open(self) -> bool:
        """Whether the best row is told apart from fewer than half of the others."""
        return 2 * len(self.beaten) < self.compared


@dataclass(frozen=True)
class Group:
    """All scores of one source of activations at one L0 target."""

    source: str  # text | truth
    target: float
    labels: list[str]
    l0: dict[str, str]
    columns: list[Column]


def groups(curves: Sequence[Row], pairs: Sequence[Row]) -> list[Group]:
    """Text first, then ground truth; each in rising L0 targets."""
    found = []
    for source, headlines in (("text", SCORES), ("truth", TRUTH)):
        mine = [row for row in curves if (row["stage"] == TRUTH_STAGE) == (source == "truth")]
        for target in sorted({row["target"] for row in mine}):
            here = [row for row in mine if row["target"] == target]
            both = [row for row in pairs if row["target"] == target]
            labels = list(dict.fromkeys(str(row["label"]) for row in here))
            l0 = {
                str(row["label"]): "" if row["matched_l0"] is None else f"{row['matched_l0']:.3g}"
                for row in reversed(here)
            }
            columns = [_column(each, _of(here, each), _of(both, each), labels) for each in headlines]
            found.append(Group(source, target, labels, l0, columns))
    return found


def _of(rows: Iterable[Row], column: Headline) -> list[Row]:
    return [row for row in rows if (row["stage"], row["metric"]) == column.key]


def _column(column: Headline, rows: Sequence[Row], pairs: Sequence[Row], labels: Sequence[str]) -> Column:
    verdicts = {
        label: {other: _verdict(pairs, label, other, column) for other in labels if other != label}
        for label in labels
    }
    best, leaders = _leaders(rows, verdicts, column)
    marks = dict.fromkeys(leaders, "best" if len(leaders) == 1 else "tied")
    against = verdicts[best] if best else {}
    least = sorted(row["minimum_detectable"] for row in pairs if row["minimum_detectable"] is not None)
    return Column(
        column.name,
        column.title + ARROW[column.better],
        column.better,
        {str(row["label"]): _cell(row, column, marks.get(str(row["label"]), "")) for row in rows},
        leaders,
        [label for label, each in against.items() if each.verdict == "better"],
        sum(each.verdict != "not compared" for each in against.values()),
        verdicts,
        column.text(least[len(least) // 2]) if least else "",
    )


def _leaders(
    rows: Sequence[Row], verdicts: Mapping[str, Mapping[str, Verdict]], column: Headline
) -> tuple[str | None, list[str]]:
    """The row of the best value, and it with every row that it is not found better than; none if no pair was
    compared."""
    sign = 1 if column.better == "higher" else -1
    running = [row for row in rows if row["matched"] is not None]
    if not running:
        return None, []
    labels = [str(row["label"]) for row in sorted(running, key=lambda row: -sign * row["matched"])]
    best, others = labels[0], labels[1:]
    against = verdicts[best]
    if all(each.verdict == "not compared" for each in against.values()):
        return None, []
    return best, [best, *(each for each in others if against[each].verdict != "better")]


def _cell(row: Row, column: Headline, mark: str) -> Cell:
    if row["matched"] is None:
        return Cell("missing", detail=str(row["reason"] or "no value"))
    interval = ""
    if row["interval_low"] is not None:
        interval = f"{column.text(row['interval_low'])} to {column.text(row['interval_high'])}"
    detail = f"{row['how']} at L0 {row['matched_l0']:.3g}; {row['seeds']} of {row['of']} seeds"
    return Cell(column.text(row["matched"]), interval, mark, detail, row["matched"])


OPPOSITE = {"better": "worse", "worse": "better"}


def _verdict(pairs: Sequence[Row], a: str, b: str, column: Headline) -> Verdict:
    for row in pairs:
        if (row["a"], row["b"]) == (a, b):
            return _read(row, column, 1, str(row["verdict"]))
        if (row["a"], row["b"]) == (b, a):
            return _read(row, column, -1, OPPOSITE.get(str(row["verdict"]), str(row["verdict"])))
    return Verdict("", "not compared")


def _read(row: Row, column: Headline, sign: int, verdict: str) -> Verdict:
    if row["difference"] is None or verdict == "not compared":
        return Verdict("", "not compared", str(row["reason"] or ""))
    low, high = sorted((sign * row["low"], sign * row["high"]))
    detail = (
        f"95 % interval {_signed(low, column)} to {_signed(high, column)}; p after Holm {row['p_holm']:.2g}; "
        f"minimum detectable {column.text(row['minimum_detectable'])}"
    )
    return Verdict(_signed(sign * row["difference"], column), verdict, detail)


def _signed(value: float, column: Headline) -> str:
    text = column.text(value)
    return text if text.startswith("-") or not text.strip("0.") else f"+{text}"
