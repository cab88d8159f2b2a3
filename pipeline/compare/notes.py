"""What a reader must know before believing the table."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.compare.board import Board, Entry
from pipeline.compare.differences import summary
from pipeline.compare.headline import SCORES, TRUTH
from pipeline.compare.paired.comparison import Family
from pipeline.compare.table import Report

ENOUGH_SEEDS = 5
"""Fewer training seeds than 3 to 5 establish no ranking (arXiv 2605.18229)."""

PAIRED = (
    "Differences: rows are compared at a common L0, paired over training seeds and over items (contexts, "
    "words, texts). ▲ better, ▼ worse, ~ not distinguishable: decided at 5 % by p values adjusted by Holm's "
    "method over all pairs of one score at one L0. ± and brackets are 95 % intervals of single numbers, "
    "before that adjustment, and so is the minimum detectable difference (power 80 %, two-sided 5 %, median "
    "over pairs). i: interpolated between runs in log L0; any other value stands at its own L0, at most 10 % "
    "from the target, and what that gap may be worth is allowed for."
)

ABSORPTION = (
    "Absorption is read together with letter F1 and L0: an untrained or too dense SAE absorbs nothing and "
    "scores well. The fraction follows SAEBench 0.6.0; values published with earlier "
    "versions are about ten times larger and not comparable."
)


def caption(seeds: Sequence[int]) -> list[str]:
    """How to read a cell and its marks."""
    count = len(seeds)
    listed = ", ".join(str(seed) for seed in seeds)
    if count == 1:
        return [f"One training seed ({listed}): no spread is known, so nothing is marked best."]
    return [
        f"Mean ± half the range over {count} training seeds ({listed}).",
        "* (bold): best of its column, told apart from every other row. "
        "~: not distinguishable from the best.",
        "!: reached L0 more than 10 % off its target for at least one seed; that row is not marked, and "
        "compared further down through its value interpolated in log L0.",
    ]


def notes(
    board: Board,
    report: Report,
    families: Sequence[Family],
    seeds: Sequence[int],
    profile: str,
    tokens: Sequence[int],
) -> list[str]:
    """The remarks at the foot of the page, the setting first."""
    said = [_setting(board.entries, profile, tokens), *_told_apart(families)]
    said.append("Rows at different L0 are not comparable: most scores here move with L0.")
    said.append(ABSORPTION)
    if len(seeds) < ENOUGH_SEEDS:
        plural = "seeds do" if len(seeds) > 1 else "seed does"
        said.append(
            f"{len(seeds)} training {plural} not establish a ranking: that takes at least 3 to 5 seeds and "
            "paired intervals (arXiv 2605.18229)."
        )
    if any(row.control for group in report.groups for row in group.rows):
        said.append(
            "Rows in brackets are controls: the same method trained on the batches of the temporal "
            "methods (pairs, contexts), which separates the effect of correlated batches from that of a "
            "temporal term."
        )
    said.extend(_elsewhere(board.entries))
    said.extend(_truth(board))
    said.append(f"Metric versions: {_versions(board)}.")
    return said


def _setting(entries: Sequence[Entry], profile: str, tokens: Sequence[int]) -> str:
    first = entries[0].identity
    known = [
        f"{name} {first[key]}"
        for name, key in (("model", "model"), ("layer", "layer"), ("d =", "d"), ("n =", "n"))
        if first.get(key) is not None
    ]
    if tokens:
        trained = f"{min(tokens):,}" if min(tokens) == max(tokens) else f"{min(tokens):,} to {max(tokens):,}"
        known.append(f"{trained} training tokens per SAE")
    return f"Profile {profile}: " + ", ".join(known) + "."


def _elsewhere(entries: Sequence[Entry]) -> list[str]:
    given = [entry for entry in entries if entry.external]
    if not given:
        return []
    sizes = ", ".join(f"{entry.label} (n = {entry.identity.get('n', 'unknown')})" for entry in given)
    return [
        f"Trained elsewhere, on other text and more or fewer tokens, and evaluated here like the others: "
        f"{sizes}. One SAE each, so no spread is known."
    ]


def _told_apart(families: Sequence[Family]) -> list[str]:
    """How to read the differences, and how many there are; nothing when no pair could be compared."""
    if any(pair.difference is not None for family in families for pair in family.pairs):
        return [PAIRED, *summary(families)]
    return []


def _truth(board: Board) -> list[str]:
    if not board.truth:
        return []
    seeds = sorted({entry.seed for entry in board.truth})
    return [
        "Synthetic activations: each variant trained anew on a source whose dictionary is known, "
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''} of its own ({', '.join(map(str, seeds))})."
    ]


def _versions(board: Board) -> str:
    parts = [
        f"{column.metric} {board.definitions[column.key].version}"
        for column in (*SCORES, *TRUTH)
        if column.key in board.definitions
    ]
    return ", ".join(parts) or "none"
