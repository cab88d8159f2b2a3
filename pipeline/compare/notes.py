"""What a reader must know before believing the table."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from pipeline.compare.resolved import resolved
from pipeline.compare.scores import Scores, Source
from pipeline.compare.standing import Level, Standing
from pipeline.sae.core.index import EXTERNAL

ENOUGH_SEEDS = 5
"""Fewer training seeds than 3 to 5 establish no ranking (arXiv 2605.18229)."""

PAIRED = (
    "Differences: rows are compared at a common L0, paired over training seeds and over items (contexts, "
    "words, texts). ▲ better, ▼ worse, = equal within the margin stated beforehand, ~ not distinguishable: "
    "decided at 5 % by p values adjusted by Holm's method, of what was asked beforehand over its comparisons "
    "at all L0, in the exploration of all pairs over those of one score at one L0. ± and brackets are 95 % "
    "intervals of single numbers, before that adjustment, and so is the minimum "
    "detectable difference (power 80 %, two-sided 5 %, median "
    "over pairs). i: interpolated between runs in log L0; any other value stands at its own L0, at most 10 % "
    "from the target, and what that gap may be worth is allowed for."
)

ELSEWHERE = (
    "Another processor, or another number of threads, gives other digits: training carries a last bit to the "
    "first. The intervals hold what SAE seeds and test items change, not another language model: "
    "`python -m pipeline verify` holds a run against them."
)

ABSORPTION = (
    "Absorption is two columns: letters missed, and misses carried by another latent beyond chance (0: as "
    "often as along random directions). Both are read with letter F1 and L0: too dense an SAE misses "
    "nothing. SAEBench's rates are in tables/scores.tsv."
)


def caption(seeds: Sequence[int]) -> list[str]:
    """How to read a cell and its marks."""
    count = len(seeds)
    listed = ", ".join(str(seed) for seed in seeds)
    if count == 1:
        return [
            f"One training seed ({listed}): no spread is known, so no number has an interval and nothing is "
            "marked best."
        ]
    return [
        f"Mean over {count} training seeds ({listed}) ± half of its 95 % interval, over seeds and items.",
        "* (bold): best of its column, told apart from every other row. "
        "~: not distinguishable from the best.",
        "!: reached L0 more than 10 % off its target for at least one seed; that row is not marked, and "
        "compared further down through its value interpolated in log L0.",
    ]


def notes(
    scores: Scores, levels: Sequence[Level], seeds: Sequence[int], profile: str, tokens: Sequence[int]
) -> list[str]:
    """The remarks at the foot of the page, the setting first."""
    said = [_setting(scores.text, profile, tokens), ELSEWHERE, *_told_apart(levels)]
    said.append("Rows at different L0 are not comparable: most scores here move with L0.")
    said.append(ABSORPTION)
    if len(seeds) < ENOUGH_SEEDS:
        plural = "seeds do" if len(seeds) > 1 else "seed does"
        said.append(
            f"{len(seeds)} training {plural} not establish a ranking: that takes at least 3 to 5 seeds and "
            "paired intervals (arXiv 2605.18229)."
        )
    if any(run.control for run in scores.text.runs):
        said.append(
            "Rows in brackets are controls: the same method with one thing different (docs/sae.md). "
            "shuffled: its neighbours are random tokens, so what the method gains over it is what the "
            "text's order gives; pairs, contexts: its batches are those of the temporal methods."
        )
    said.extend(_elsewhere(scores.text))
    said.extend(_truth(scores.truth))
    said.append(f"Metric versions: {_versions(scores)}.")
    return said


def _setting(text: Source, profile: str, tokens: Sequence[int]) -> str:
    first = text.saes.iloc[0]
    known = [
        f"{name} {first[key]}"
        for name, key in (("model", "model"), ("layer", "layer"), ("d =", "d"), ("n =", "n"))
        if pd.notna(first[key])
    ]
    if tokens:
        trained = f"{min(tokens):,}" if min(tokens) == max(tokens) else f"{min(tokens):,} to {max(tokens):,}"
        known.append(f"{trained} training tokens per SAE")
    return f"Profile {profile}: " + ", ".join(known) + "."


def _elsewhere(text: Source) -> list[str]:
    given = text.saes[text.saes.reading == EXTERNAL]
    if given.empty:
        return []
    sizes = ", ".join(f"{sae.label} (n = {sae.n})" for sae in given.itertuples())
    return [
        f"Trained elsewhere, on other text and more or fewer tokens, and evaluated here like the others: "
        f"{sizes}. One SAE each, so no spread is known."
    ]


def _told_apart(levels: Sequence[Level]) -> list[str]:
    """How to read the differences, and how many there are; nothing when no pair could be compared."""
    if not any(pair.text for level in levels for each in level.scores
               for row in each.pairs.values() for pair in row.values()):  # fmt: skip
        return []
    share = resolved(levels)
    said = [
        PAIRED,
        f"Answered of all pairs (told apart or shown equal): {share['all']:.0%}; "
        + "; ".join(
            f"{title} {share[name]:.0%}"
            for name, title in (("text", "language model"), ("truth", "synthetic activations"))
            if share[name] is not None
        )
        + ".",
    ]
    for level in levels:
        counts = "; ".join(_count(each) for each in level.scores)
        source = "Synthetic activations, pairs" if level.source == "truth" else "Pairs"
        said.append(
            f"{source} told apart, + equal within margin, of {level.pairs} at L0 {level.target:g}. {counts}."
        )
    return said


def _count(found: Standing) -> str:
    equal = f" + {found.equal}" if found.margin else ""
    return f"{found.column.title}: {found.told_apart}{equal}"


def _truth(truth: Source) -> list[str]:
    if truth.saes.empty:
        return []
    seeds = sorted(truth.saes.seed.unique())
    return [
        "Synthetic activations: each variant trained anew on a source whose dictionary is known, "
        f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''} of its own ({', '.join(map(str, seeds))})."
    ]


def _versions(scores: Scores) -> str:
    parts = [
        f"{column.metric} {scores.definitions[column.key].version}"
        for source in scores
        for column in source.scores
    ]
    return ", ".join(parts) or "none"
