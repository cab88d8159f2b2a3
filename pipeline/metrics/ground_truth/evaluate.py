"""All that is measured of one SAE where the true features are known: exactly, and by the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.metrics.ground_truth import measure, proxy
from pipeline.metrics.ground_truth.synthetic import Sample, Source
from pipeline.numbers.document import Measured
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.task import LetterTask

TABLES: dict[str, Columns] = {
    "features.tsv": {
        "feature": int, "kind": str, "parent": int, "latent": int, "cosine": float, "f1": float
    },
}  # fmt: skip
"""One row per true feature; a feature without a parent, or an F1 that is not defined, has an empty cell."""
METRICS = measure.METRICS + proxy.METRICS


def evaluate(sae: SAE, source: Source, test: Sample, letters: LetterTask | str) -> Measured:
    """What is measured of `sae` on `test`; `letters` is the proxy's task, or why there is none."""
    truth = measure.measure(sae, source, test)
    numbers = truth.values | proxy.proxy_values(sae, letters)
    return Measured(numbers, {"features.tsv": [*_features(source, truth)]})


def _features(source: Source, truth: measure.Truth) -> Iterator[dict[str, Any]]:
    """One row per true feature."""
    columns = (source.parent, truth.matches.latent, truth.matches.cosine, truth.f1)
    kinds, lists = source.kinds, [column.tolist() for column in columns]
    for feature, (kind, parent, latent, cosine, f1) in enumerate(zip(kinds, *lists, strict=True)):
        yield {
            "feature": feature, "kind": kind, "parent": parent if parent >= 0 else None, "latent": latent,
            "cosine": cosine, "f1": f1,
        }  # fmt: skip
