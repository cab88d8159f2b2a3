"""How many of an SAE's encoder columns are long: a number without meaning, with everything a score has."""

from __future__ import annotations

from pipeline.metrics.toy.section import ToySection

from pipeline.metrics.common.controls import of_untrained
from pipeline.metrics.common.resampling import share
from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.document import Measured
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE

LONG = Definition(
    "toy_long", "higher", "share", 1, "Share of encoder columns longer than `above`.",
    headline=Headline(
        "toy_long", "toy share", 90, items=Items("columns.tsv", "latent", "latents", {"long": 1})
    ),
)  # fmt: skip
METRICS = [LONG, of_untrained(LONG)]
TABLES: dict[str, Columns] = {"columns.tsv": {"latent": int, "long": int}}


def measure(sae: SAE, section: ToySection) -> Measured:
    """The share, and every latent."""
    long = (sae.W_enc.norm(dim=0) > section.above).int().tolist()
    rows = [{"latent": latent, "long": each} for latent, each in enumerate(long)]
    return Measured({"toy_long": share(sum(long), len(long))}, {"columns.tsv": rows})
