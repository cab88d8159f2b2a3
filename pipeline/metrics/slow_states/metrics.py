"""What slow_states reports: its metrics, their headlines and its tables."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.metrics.common.controls import DENSE_ROW, NEURON_ROW, control, of_untrained
from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.table import Columns

UNLABELLED = "the text has no labelled states"

DOCUMENTS = "documents.tsv"
"""The table of items: one pseudo-value per document and score."""

BASELINES = {
    "_neuron": NEURON_ROW,
    "_token_lookup": ("token lookup (L0 1)", 6),
    "_dense_probe": DENSE_ROW,
}
"""What reads the same states without an SAE: the end of its metrics' names, its row and its place."""


def _items(name: str) -> Items:
    return Items(DOCUMENTS, "document", "documents", {name: 1})


_AUC = Definition(
    "slow_auc", "higher", "AUC", 1,
    "area under the ROC curve of the best single latent for each value of a slow state against its others, "
    "the latent chosen on every other document and measured on the rest, both ways; mean over values, then "
    "over states (ours)",
    headline=Headline("slow_auc", "slow states, one latent", 90, narrow=False, items=_items("slow_auc")),
)  # fmt: skip
_DELAY = Definition(
    "detection_delay", "lower", "tokens", 1,
    "tokens from a change of a slow state until the chosen latents (slow_auc) say the new value three times "
    "in a row, mean restricted to the horizon (Kaplan and Meier 1958), plus what false alarms take from the "
    "horizon where nothing changes; mean over states (ours)",
    headline=Headline(
        "detection_delay", "detection delay", 95, decimals=1, narrow=False, items=_items("detection_delay")
    ),
)  # fmt: skip
_HIERARCHY = Definition(
    "hierarchy_absorption", "lower", "share", 2,
    "P(a parent's latent is silent | a child is there and its latent on) - P(it is silent | the sibling "
    "with which it is missed least), at equal labels; latents and sibling chosen on the other half of the "
    "documents, a parent's latent among those that hear at least two of its children; mean over the "
    "parent's other children, the sibling itself left out, then parents, then hierarchies (ours)",
    headline=Headline(
        "hierarchy_absorption", "absorption, planted", 50, narrow=False, items=_items("hierarchy_absorption")
    ),
)  # fmt: skip


def _of_baselines() -> Iterator[Definition]:
    for end, (row, order) in BASELINES.items():
        for metric in (_AUC, _DELAY):
            yield control(
                metric, end, f"baseline: {metric.name} of {row}, fitted on the other half", row, order
            )


METRICS = [
    _AUC,
    _DELAY,
    _HIERARCHY,
    *map(of_untrained, (_AUC, _DELAY, _HIERARCHY)),
    *_of_baselines(),
    control(
        _HIERARCHY, "_permuted",
        "control: hierarchy_absorption with children and their latents dealt anew among the tokens of their "
        "parent at equal labels: zero but for chance",
        "children permuted", 8, spread=True,
    ),
    Definition(
        "slow_auc_without_dense", "higher", "AUC", 1,
        "slow_auc of the latents that are on at no more than `dense` of the tokens",
    ),
    Definition(
        "delay_after_change", "lower", "tokens", 1, "detection_delay without what false alarms take from it"
    ),
    Definition(
        "delay_without_change", "higher", "tokens", 1,
        "the same clock started where nothing changes: the horizon if there is no false alarm",
    ),
    Definition(
        "undetected", "lower", "share", 1,
        "share of changes not detected within the horizon (Kaplan and Meier), mean over states",
    ),
    Definition(
        "parent_miss_with_child", "lower", "share", 2,
        "the first part of hierarchy_absorption, over all tokens, mean over the children compared",
        aggregate=False,
    ),
    Definition(
        "parent_miss_otherwise", "lower", "share", 2,
        "the second part of hierarchy_absorption, over all tokens of the sibling, mean over the children "
        "compared",
        aggregate=False,
    ),
    Definition(
        "children_read", "neither", "children", 2,
        "children compared in hierarchy_absorption, once for each half: with a latent of their own, under a "
        "parent with one, the sibling itself left out",
        aggregate=False,
    ),
]  # fmt: skip

TABLES: dict[str, Columns] = {
    DOCUMENTS: {
        "document": int, "slow_auc": float, "detection_delay": float, "hierarchy_absorption": float
    },
    "states.tsv": {
        "state": str, "value": int, "half": int, "latent": int, "auc": float, "latent_without_dense": int,
        "auc_without_dense": float,
    },
    "delays.tsv": {
        "state": str, "changes": int, "delay": float, "after_change": float, "without_change": float,
        "undetected": float, "false_alarms": float,
    },
    "hierarchies.tsv": {
        "family": str, "parent": int, "child": int, "sibling": int, "half": int, "parent_latent": int,
        "child_latent": int, "parent_hit": float, "child_hit": float, "tokens": int, "with_child": float,
        "otherwise": float, "absorption": float,
    },
}  # fmt: skip
