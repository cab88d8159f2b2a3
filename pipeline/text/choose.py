"""A seeded, order-keeping choice of labelled items."""

from __future__ import annotations

from random import Random


def at_most(per_class: int, labels: list[str], seed: int) -> list[int]:
    """Indices of at most `per_class` items of each label, chosen by `seed`, in their old order."""
    order = list(range(len(labels)))
    Random(seed).shuffle(order)
    left = dict.fromkeys(labels, per_class)
    kept = []
    for index in order:
        if left[labels[index]]:
            left[labels[index]] -= 1
            kept.append(index)
    return sorted(kept)
