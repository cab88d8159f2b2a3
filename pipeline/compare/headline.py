"""The few numbers that stand for an SAE: one table, and the only place that knows their names.

Every other number an evaluation marks `aggregate` goes to scores.tsv and summary.tsv under its own
name. Columns of the tables, keys of metrics.json and axes of the figures come from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "neither"]
Key = tuple[str, str]
"""(stage, metric name in that stage's results.json)."""

TRUTH_STAGE = "ground_truth"

ARROW: dict[Better, str] = {"higher": "\u00a0↑", "lower": "\u00a0↓", "neither": ""}
"""After a no-break space, so that no arrow stands on a line of its own."""


@dataclass(frozen=True)
class Headline:
    """One column: where its number comes from, which way is better, how many decimals are printed."""

    name: str
    title: str
    stage: str
    metric: str
    better: Better
    decimals: int = 3
    narrow: bool = True  # False: left out where columns are dear, the terminal's table and metrics.json

    @property
    def key(self) -> Key:
        """(stage, metric), the name under which the value is looked up."""
        return self.stage, self.metric

    def text(self, value: float) -> str:
        """`value` with this column's decimals, never `-0.000`."""
        return f"{round(value, self.decimals) + 0.0:.{self.decimals}f}"


@dataclass(frozen=True)
class Reference:
    """A row that no training changes: the numbers of what the SAEs must beat, by column."""

    label: str
    cells: dict[str, Key]
    range: bool = False  # differs between SAEs: lowest to highest of the group's SAEs


L0 = Headline("l0", "L0", "reconstruction", "l0", "neither", decimals=2)

SCORES = (
    Headline("explained_variance", "explained variance", "reconstruction", "explained_variance", "higher"),
    Headline("ce_score", "CE score", "behavior", "ce_score", "higher"),
    Headline("dead", "dead share", "reconstruction", "dead_share", "lower"),
    Headline("absorption", "absorption fraction", "absorption", "mean_absorption_fraction", "lower"),
    Headline(
        "full_absorption", "full absorption", "absorption", "mean_full_absorption", "lower", narrow=False
    ),
    Headline("letter_f1", "letter F1, k=1", "absorption", "letter_f1_k1", "higher"),
    Headline("probing_k1", "probing k=1", "probing", "probing_k1", "higher"),
    Headline("flicker", "flicker", "reconstruction", "flicker", "lower"),
)
"""Columns measured on the language model's activations."""

TRUTH = (
    Headline("recovery", "recovery (MMCS)", TRUTH_STAGE, "recovery_mmcs", "higher"),
    Headline("recovered", "recovered share", TRUTH_STAGE, "recovery_share", "higher", narrow=False),
    Headline("firing_f1", "firing F1", TRUTH_STAGE, "firing_f1", "higher"),
    Headline("exact_absorption", "exact absorption", TRUTH_STAGE, "exact_absorption", "lower"),
    Headline(
        "matched_absorption", "absorption at equal true L0", TRUTH_STAGE, "exact_absorption_matched", "lower",
        narrow=False,
    ),
)  # fmt: skip
"""Columns measured on synthetic activations whose dictionary is known."""

TRUTH_L0 = Headline("l0", "L0", TRUTH_STAGE, "l0", "neither", decimals=2)

TRUE_L0: Key = (TRUTH_STAGE, "l0_true")
"""True features on per token of the synthetic source."""

FLICKER_SHUFFLED: Key = ("reconstruction", "flicker_shuffled")
"""Flicker of the same SAE over tokens in shuffled order: what flicker is without any persistence."""

LETTER_KEPT, LETTER_WORDS = "kept", "true_positives"
LETTER_FRACTION, LETTER_FULL = "absorption_fraction", "full_absorption"
"""Columns of reports/absorption/{variant}/letters.tsv."""

REFERENCES = (
    Reference(
        "untrained SAE",
        {
            "explained_variance": ("reconstruction", "explained_variance_random_sae"),
            "ce_score": ("behavior", "ce_score_random_sae"),
            "dead": ("reconstruction", "dead_share_random_sae"),
            "flicker": ("reconstruction", "flicker_random_sae"),
            "probing_k1": ("probing", "probing_k1_random_sae"),
            "absorption": ("absorption", "mean_absorption_fraction_random_sae"),
            "full_absorption": ("absorption", "mean_full_absorption_random_sae"),
            "letter_f1": ("absorption", "letter_f1_k1_random_sae"),
        },
    ),
    Reference(
        "decoder permuted",
        {
            "explained_variance": ("reconstruction", "explained_variance_shuffled_decoder"),
            "ce_score": ("behavior", "ce_score_shuffled_decoder"),
            "absorption": ("absorption", "mean_absorption_fraction_shuffled_decoder"),
            "full_absorption": ("absorption", "mean_full_absorption_shuffled_decoder"),
        },
        range=True,
    ),
    Reference(
        "random directions",
        {
            "absorption": ("absorption", "mean_absorption_fraction_random_direction"),
            "full_absorption": ("absorption", "mean_full_absorption_random_direction"),
        },
        range=True,
    ),
    Reference("raw residual, neuron", {"probing_k1": ("probing", "raw_neurons_k1")}),
    Reference("raw residual, dense", {"probing_k1": ("probing", "raw_dense")}),
)
"""The untrained SAE is a random TopK SAE of the same size at the group's L0 target; a permuted decoder keeps
the SAE's codes; random directions stand in for the letters' in the projection rule. Letter F1, probing,
flicker and dead latents do not use the decoder."""
