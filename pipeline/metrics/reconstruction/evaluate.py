"""All SAEs of a variant over the test split: numbers, and the rows of the tables beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.common.controls import PERMUTED, of_permuted, of_untrained, permuted
from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction import density, geometry, measure, temporal
from pipeline.metrics.reconstruction.measure import CONTEXTS, Reconstruction
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.metrics.reconstruction.temporal import TEMPORAL, Temporal, control, permutation
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch

_OWN = {each.name: each for each in (*measure.METRICS, *geometry.METRICS, *temporal.METRICS)}
METRICS = [
    *_OWN.values(),
    of_permuted(_OWN["explained_variance"]),
    *(of_untrained(_OWN[name]) for name in ("explained_variance", "dead_share", "flicker")),
]
TABLES: dict[str, Columns] = {
    CONTEXTS: {"context": int, **dict.fromkeys(measure.COLUMNS, float)},
    TEMPORAL: {"context": int, **dict.fromkeys(temporal.COLUMNS, float)},
    "density_histogram.tsv": density.HISTOGRAM_COLUMNS,
    "latents.tsv": {**density.LATENT_COLUMNS, "on_followed": int, "stays_on": int},
}


class _Counts:
    """Everything counted of one SAE; `mean` (d,) is that of all tokens."""

    def __init__(self, sae: SAE, mean: Tensor, section: ReconstructionSection) -> None:
        self.sae = sae
        self.permuted, self.permuted_error = permuted(sae, section.seed), 0.0
        self.reconstruction = Reconstruction(sae.n, mean)
        self.temporal, self.shuffled = (Temporal(sae.n, section.window) for _ in range(2))

    def add(self, block: Batch, with_temporal: bool) -> None:
        """Count a block of whole contexts; `with_temporal`: also its neighbouring tokens."""
        codes = self.sae.encode(block.x)
        self.reconstruction.add(block.x, self.sae.decode(codes), codes, block.context)
        self.permuted_error += float((block.x - self.permuted.decode(codes)).double().square().sum())
        if with_temporal:
            self.temporal.add(block.x, codes, block.document, block.position, block.context)

    def add_shuffled(self, block: Batch) -> None:
        """Count neighbours in a block whose rows were permuted."""
        codes = self.sae.encode(block.x)
        self.shuffled.add(block.x, codes, block.document, block.position, block.context)

    def measured(self, plan: Resampling) -> Measured:
        """Every metric but the untrained SAE's, and the tables."""
        numbers = {
            **self.reconstruction.values(plan),
            **geometry.values(self.sae),
            **self.temporal.values(plan),
            **control(self.shuffled.values(plan)),
        }
        whole = numbers["explained_variance"]
        numbers[f"explained_variance{PERMUTED}"] = self._permuted(whole)
        return Measured(numbers, {
            CONTEXTS: self.reconstruction.sums.rows(),
            TEMPORAL: self.temporal.sums.rows(),
            "density_histogram.tsv": self.reconstruction.density.histogram(),
            "latents.tsv": self._latents(),
        })  # fmt: skip

    def _permuted(self, whole: Number) -> Number:
        """Explained variance with the decoder's rows permuted, missing where `whole`, the SAE's own, is."""
        if whole.value is None:
            return whole
        deviation = self.reconstruction.sums.total("squared_deviation")
        return Number(1 - self.permuted_error / deviation, whole.items)

    def _latents(self) -> Iterator[dict[str, Any]]:
        switches = zip(self.temporal.on_followed.tolist(), self.temporal.stays_on.tolist(), strict=True)
        for row, (followed, stays) in zip(self.reconstruction.density.latents(), switches, strict=True):
            yield {**row, "on_followed": followed, "stays_on": stays}


def evaluate(
    saes: Sequence[SAE], blocks: Iterable[Batch], mean: Tensor, stop: int, section: ReconstructionSection,
    advance: Callable[[int], None],
) -> list[Measured]:  # fmt: skip
    """What is measured of each SAE on `blocks`, whose tokens have the mean `mean` (d,).

    Neighbouring tokens count in the blocks whose contexts are all below `stop`.
    """
    counts = [_Counts(sae, mean, section) for sae in saes]
    held = []
    for block in blocks:
        neighbours = bool((block.context < stop).all())
        if neighbours:
            held.append(block)
        for each in counts:
            each.add(block, neighbours)
            advance(len(block.x))
    for block in shuffled(held, section.seed):
        for each in counts:
            each.add_shuffled(block)
    plan = Resampling(section.resamples, section.seed)
    return [each.measured(plan) for each in counts]


def shuffled(held: Sequence[Batch], seed: int) -> Iterator[Batch]:
    """The same blocks with the rows of all of them permuted among their places."""
    if not held:
        return
    x = torch.cat([block.x for block in held])
    order = permutation(len(x), seed).to(x.device)
    start = 0
    for block in held:
        stop = start + len(block.x)
        yield replace(block, x=x[order[start:stop]])
        start = stop
