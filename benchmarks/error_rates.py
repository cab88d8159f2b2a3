"""`python -m benchmarks.error_rates`: how often the comparison is wrong where no method is better.

Draws tables whose methods differ in noise as real ones do, puts them through pipeline/compare/paired and
writes docs/benchmarks/error-rates.md. The tests run it small (tests/compare/paired/test_error_rates.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from pipeline.compare.paired.estimate import half, p_different, p_equal
from pipeline.compare.paired.variance import noise
from pipeline.compare.paired.verdict import holm

PAGE = Path("docs/benchmarks/error-rates.md")
TRIALS = 20_000
CHUNK = 2000
"""Tables drawn at once."""

FRACTION_4 = (10, 1.9, 21, 20, 15, 0.72, 0.8, 0.42, 8, 26, 20, 12)
FRACTION_16 = (35, 55, 13, 21, 11, 11, 14, 1.5, 5.9, 87, 26, 16)
CE_4 = (9.2, 16, 9.6, 1.4, 22, 7.3, 4.8, 68, 8.8, 190, 92, 1.8)
"""Standard deviations over two seeds of the 12 rows of real columns. What two seeds show of equal noise
spreads like a normal deviate already, so these exaggerate how unlike the methods are."""

PROFILES: Mapping[str, tuple[float, ...]] = {
    "equal noise": (1.0,) * 12,
    "absorption fraction at L0 4": FRACTION_4,
    "absorption fraction at L0 16": FRACTION_16,
    "CE score at L0 4": CE_4,
    "one row six times as noisy": (*(1.0,) * 11, 6.0),
    "two rows six times as noisy": (*(1.0,) * 10, 6.0, 6.0),
    "4 rows, one six times as noisy": (1.0, 1.0, 1.0, 6.0),
}
"""The noise of each row of a table."""

ROWS, TARGETS = 17, 2
ASKED = (((0, 1), (0, 2)), ((0, 1), (0, 2), (3, 4), (3, 5), (6, 7), (6, 8)))
"""Comparisons named in advance, each at both L0 targets: families of 4 and 12 tests, as in params.yaml."""
NOISIER = (1.0, 2.0, 3.0, 6.0)
STEPS = (3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Rates:
    """Shares over all tables in which no row is better than another."""

    families: float  # with a pair that Holm's method calls different
    pairs: float  # covered by their 95 % interval
    values: float  # rows whose true value is
    worst: float  # the same, of the row that fares worst
    equal: float  # families with a pair called equal that differs by the margin


def rates(
    spread: tuple[float, ...], seeds: int, trials: int = TRIALS, common: float = 0.0, of: int = 1
) -> Rates:
    """`seeds` values of each row, with noise of the standard deviations `spread`.

    `common`: what a seed does to all rows alike. `of`: what is drawn are language models, each value the mean
    of so many SAE seeds, one of which varies as much as the model does.
    """
    rng = np.random.default_rng(0)
    found = [_table(_drawn(rng, spread, seeds, size, common, of)) for size in _chunks(trials)]
    families, pairs, values, equal = (np.concatenate([each[i] for each in found]) for i in range(4))
    return Rates(
        float(families.mean()), float(pairs.mean()), float(values.mean()), float(values.mean(0).min()),
        float(equal.mean()),
    )  # fmt: skip


def _chunks(trials: int) -> Iterator[int]:
    for start in range(0, trials, CHUNK):
        yield min(CHUNK, trials - start)


def _drawn(
    rng: np.random.Generator, spread: tuple[float, ...], seeds: int, tables: int, common: float, of: int
) -> np.ndarray:
    """(T, K, S)."""
    size = tables, len(spread), seeds
    scale = np.reshape(spread, (-1, 1))
    alike = common * rng.normal(size=(tables, 1, seeds))
    if of == 1:
        return scale * rng.normal(size=size) + alike
    within = rng.normal(size=(*size, of)).mean(-1)
    return scale * (rng.normal(size=size) + within) / 2**0.5 + alike


def _table(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of each table: some pair called different; each pair and each row covered; some pair called equal."""
    rows = values.shape[1]
    means, found = values.mean(2), noise(values)
    a, b = np.triu_indices(rows, 1)
    variance, df = found.of_difference(a, b)
    error, gap = np.sqrt(variance), means[:, a] - means[:, b]
    p = p_different(gap, error, df)
    own, own_df = found.of_value(np.arange(rows))
    margin = 10 * np.median(error)  # each true difference is moved to the edge of this margin
    inside = holm(p_equal(gap + margin, error, df, margin))
    return (
        holm(p).min(1) < 0.05, p >= 0.05, np.abs(means) <= half(np.sqrt(own), own_df), inside.min(1) < 0.05,
    )  # fmt: skip


def found(spread: tuple[float, ...], seeds: int, step: float, trials: int = TRIALS // 10) -> float:
    """The share of pairs told apart when the rows' true values lie `step` of their mean noise apart."""
    rng = np.random.default_rng(0)
    rows = len(spread)
    scale = np.array(spread) / np.sqrt(np.mean(np.square(spread)))
    true = rng.permuted(np.tile(np.arange(rows) * step, (trials, 1)), axis=1)
    values = scale[:, None] * rng.normal(size=(trials, rows, seeds))
    a, b = np.triu_indices(rows, 1)
    variance, df = noise(values).of_difference(a, b)
    means = values.mean(2) + true
    return float((holm(p_different(means[:, a] - means[:, b], np.sqrt(variance), df)) < 0.05).mean())


@dataclass(frozen=True)
class Asked:
    """Shares over all families of comparisons named in advance."""

    families: float  # with a comparison called different, or found so where there is a difference
    table: float  # the same by the table's analysis alone
    equal: float  # with a comparison called equal that differs by the margin


def asked(
    pairs: Sequence[tuple[int, int]], noisier: float, seeds: int, trials: int = TRIALS, step: float = 0.0
) -> Asked:
    """Families of `pairs` at two L0 targets; row 0 is `noisier` than the others, and `step` better.

    With a step, `families` and `table` are of the first comparison, which is of row 0.
    """
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(ROWS) == 0, noisier, 1.0)
    found = [
        [_asked(scale, step, pairs, rng.normal(size=(size, ROWS, seeds))) for _ in range(TARGETS)]
        for size in _chunks(trials)
    ]
    p, table, equal = (
        np.concatenate([np.concatenate([target[i] for target in chunk], axis=1) for chunk in found])
        for i in range(3)
    )
    those = slice(0, 1) if step else slice(None)
    rates = [float((holm(each)[:, those].min(1) < 0.05).mean()) for each in (p, table)]
    return Asked(*rates, float((holm(equal).min(1) < 0.05).mean()))


def _asked(
    scale: np.ndarray, step: float, pairs: Sequence[tuple[int, int]], drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, P) each: the larger p of both analyses, that of the table, and the larger p of equality."""
    values = scale[:, None] * drawn
    values[:, 0] += step
    a, b = np.array(pairs).T
    gap = (values[:, a] - values[:, b]).mean(-1)
    alone = [noise(values[:, list(pair)]).of_difference(0, 1) for pair in pairs]
    analyses = [
        noise(values).of_difference(a, b),
        (np.stack([variance for variance, _ in alone], 1), np.stack([df for _, df in alone], 1)),
    ]
    margin = 10 * scale.max()  # each true difference is moved to the edge of it
    p = [p_different(gap, np.sqrt(variance), df) for variance, df in analyses]
    equal = [p_equal(gap + margin, np.sqrt(variance), df, margin) for variance, df in analyses]
    return np.maximum(*p), p[0], np.maximum(*equal)


def page(trials: int) -> str:
    """The page's content."""
    lines = [
        "# How often the comparison is wrong",
        "",
        f"Written by `python -m benchmarks.error_rates` from {trials:,} tables per line, in which no row is "
        "better than another (docs/compare.md has the model). Families: tables with a pair called different "
        "after Holm (aim: at most .05). Pairs, rows: 95 % intervals that hold the truth, before Holm; worst "
        "row: of the row that fares worst. Equal: tables with a pair called equal, where each differs by "
        "exactly the margin (ten standard errors).",
        "",
        "| noise | seeds | families | pairs | rows | worst row | equal |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, spread in PROFILES.items():
        lines += [_line(name, seeds, rates(spread, seeds, trials)) for seeds in (2, 3, 5)]
    equal = PROFILES["equal noise"]
    lines += [
        _line("equal noise, and ten times as much that a seed does to all rows", seeds,
              rates(equal, seeds, trials, common=10.0))
        for seeds in (2, 3, 5)
    ]  # fmt: skip
    lines += [_line(f"3 language models, 5 SAE seeds each: {name}", 3, rates(PROFILES[name], 3, trials, of=5))
              for name in ("equal noise", "one row six times as noisy")]  # fmt: skip
    lines += [
        "", "## What is found", "",
        "Share of the 66 pairs told apart after Holm when the true values of 12 rows lie evenly, by a "
        "multiple of the noise of one SAE.", "",
        "| noise | seeds | 1 apart | 3 apart |", "|---|--:|--:|--:|",
    ]  # fmt: skip
    for name in ("equal noise", "absorption fraction at L0 16", "one row six times as noisy"):
        for seeds in (2, 3, 5):
            apart = " | ".join(_share(found(PROFILES[name], seeds, step)) for step in (1.0, 3.0))
            lines.append(f"| {name} | {seeds} | {apart} |")
    return "\n".join([*lines, *_of_asked(trials)]) + "\n"


def _of_asked(trials: int) -> Iterator[str]:
    yield from (
        "", "## What is asked beforehand", "",
        f"Families of comparisons named in advance, at {TARGETS} L0 targets, in tables of {ROWS} rows, one "
        "of which is judged and is noisier than the others. Families: with a comparison called different "
        "(aim: at most .05); table: the same by the table's analysis alone, without the paired t test. "
        "Equal: with a comparison called equal, where each differs by exactly the margin.", "",
        "| tests | its noise | seeds | families | table | equal |", "|--:|--:|--:|--:|--:|--:|",
    )  # fmt: skip
    for pairs, noisier, seeds in product(ASKED, NOISIER, (2, 3, 5)):
        found = asked(pairs, noisier, seeds, trials)
        shares = " | ".join(map(_share, (found.families, found.table, found.equal)))
        yield f"| {TARGETS * len(pairs)} | x {noisier:g} | {seeds} | {shares} |"
    yield from (
        "", "How often a comparison is found whose row is better by a multiple of the noise of one SAE; "
        "equal noise.", "",
        "| tests | seeds | " + " | ".join(f"{step:g} apart" for step in STEPS) + " |",
        "|--:|--:|" + "--:|" * len(STEPS),
    )  # fmt: skip
    for pairs, seeds in product(ASKED, (2, 3, 5)):
        power = [asked(pairs, 1.0, seeds, trials // 10, step).families for step in STEPS]
        yield f"| {TARGETS * len(pairs)} | {seeds} | {' | '.join(map(_share, power))} |"


def _line(name: str, seeds: int, found: Rates) -> str:
    numbers = (found.families, found.pairs, found.values, found.worst, found.equal)
    return f"| {name} | {seeds} | {' | '.join(map(_share, numbers))} |"


_share: Callable[[float], str] = "{:.3f}".format


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.error_rates", description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS, help="tables per line")
    PAGE.write_text(page(parser.parse_args().trials), encoding="utf-8")
    print(f"Written: {PAGE}")


if __name__ == "__main__":
    main()
