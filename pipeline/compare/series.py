"""The board as long tables: for spreadsheets, for `dvc plots`, for the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.compare.board import Board, Entry
from pipeline.compare.headline import L0, LETTER_FRACTION, LETTER_FULL, LETTER_KEPT, LETTER_WORDS, SCORES
from pipeline.compare.summary import by_run, over_seeds

SCORE_COLUMNS = (
    "label",
    "run",
    "target",
    "seed",
    "stage",
    "metric",
    "value",
    "low",
    "high",
    "items",
    "reason",
)
SUMMARY_COLUMNS = (
    "label", "run", "target", "stage", "metric", "better", "unit", "version",
    "mean", "low", "high", "sd", "seeds", "of", "items", "reason",
)  # fmt: skip
PARETO_COLUMNS = ("label", "run", "target", *(column.name for column in (L0, *SCORES)))
TRAINING_COLUMNS = ("curve", "label", "run", "target", "seed", "step", "tokens", "loss", "reconstruction",
                    "explained_variance", "l0", "dead", "coefficient")  # fmt: skip
LETTER_COLUMNS = ("label", "run", "target", "letter", "seeds", "words", "fraction", "full")

POINTS = 120
"""Points kept of each training curve in training.tsv: as many as a plot can show."""

Row = dict[str, Any]


def scores(board: Board) -> list[Row]:
    """One row per SAE and metric that is meant for tables."""
    return [
        {
            "label": entry.label,
            "run": entry.run,
            "target": entry.target,
            "seed": entry.seed,
            "stage": key[0],
            "metric": key[1],
            "value": measured.value,
            "low": measured.low,
            "high": measured.high,
            "items": measured.items,
            "reason": measured.reason,
        }
        for entry in [*board.entries, *board.truth]
        for key, measured in sorted(entry.values.items())
        if board.definitions[key].aggregate
    ]


def summaries(board: Board) -> list[Row]:
    """One row per run and metric: mean, range (low, high) and standard deviation over seeds."""
    rows = []
    for run in [*by_run(board.entries), *by_run(board.truth)]:
        for key in sorted({key for entry in run for key in entry.values}):
            definition = board.definitions[key]
            if definition.aggregate:
                rows.append(_named(run[0]) | _summary(run, key) | {
                    "better": definition.better, "unit": definition.unit, "version": definition.version,
                })  # fmt: skip
    return rows


def pareto(board: Board) -> list[Row]:
    """One row per run that reached an L0: the means of the headline columns."""
    rows = []
    for run in by_run(board.entries):
        means = {column.name: over_seeds(run, column.key).mean for column in (L0, *SCORES)}
        if means["l0"] is not None:
            rows.append(_named(run[0]) | means)
    return rows


def training(curves: Iterable[tuple[Entry, Sequence[Row]]]) -> list[Row]:
    """Training curves thinned to `POINTS` points each, the last one kept; absent columns stay empty."""
    rows = []
    for entry, points in curves:
        name = {**_named(entry), "seed": entry.seed, "curve": f"{entry.label} {entry.run} {entry.seed}"}
        for point in thin(points):
            rows.append({column: point.get(column) for column in TRAINING_COLUMNS} | name)
    return rows


def thin(points: Sequence[Row]) -> list[Row]:
    """Every k-th of `points`, counted from the last, so that at most `POINTS` are left."""
    every = -(-len(points) // POINTS) if points else 1
    return list(points[::-1][::every][::-1])


def letters(found: Iterable[tuple[Entry, Sequence[Row]]]) -> list[Row]:
    """Per run and letter, the means over seeds of absorption `fraction` and `full`, and the scored words.

    A letter that the absorption stage dropped (its linear probe is too weak) has no numbers.
    """
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    entries: dict[tuple[str, str], Entry] = {}
    for entry, rows in found:
        place = (entry.label, entry.run)
        entries.setdefault(place, entry)
        for row in rows:
            kept = row if row.get(LETTER_KEPT) else {}
            groups.setdefault(place, {}).setdefault(str(row["letter"]), []).append(kept)
    return [
        _named(entries[place])
        | {
            "letter": letter,
            "seeds": sum(bool(row) for row in rows),
            "words": _total([row.get(LETTER_WORDS) for row in rows]),
            "fraction": _mean([row.get(LETTER_FRACTION) for row in rows]),
            "full": _mean([row.get(LETTER_FULL) for row in rows]),
        }
        for place, by_letter in groups.items()
        for letter, rows in sorted(by_letter.items())
    ]


def _named(entry: Entry) -> Row:
    return {"label": entry.label, "run": entry.run, "target": entry.target}


def _summary(run: Sequence[Entry], key: tuple[str, str]) -> Row:
    found = over_seeds(run, key)
    return {
        "stage": key[0], "metric": key[1], "mean": found.mean, "low": found.low, "high": found.high,
        "sd": found.sd, "seeds": found.seeds, "of": found.of, "items": found.items,
        "reason": "; ".join(found.reasons),
    }  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _total(values: Sequence[float | None]) -> int | None:
    known = [value for value in values if value is not None]
    return int(sum(known)) if known else None
