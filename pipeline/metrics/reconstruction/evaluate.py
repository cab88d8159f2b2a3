"""All SAEs of a variant over the test split: numbers, and the rows of the tables beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pipeline.metrics.common.controls import (
    LOOKUP,
    PERMUTED,
    SHUFFLED,
    of_lookup,
    of_permuted,
    of_shuffled,
    of_untrained,
    permuted,
)
from pipeline.metrics.common.lookup import Lookup
from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction import (
    density,
    geometry,
    measure,
    persistence,
    temporal,
    tiled,
    training_window,
)
from pipeline.metrics.reconstruction.measure import CONTEXTS, Reconstruction
from pipeline.metrics.reconstruction.orders import Orders, Shuffled
from pipeline.metrics.reconstruction.persistence import TEMPORAL
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.metrics.reconstruction.tiled import Tiled
from pipeline.metrics.reconstruction.training_window import TrainingWindow
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch

_OWN = {
    each.name: each
    for part in (measure, tiled, training_window, geometry, persistence, temporal)
    for each in part.METRICS
}
_ORDER = {"persistence": 0.0, "persistence_energy": 0.0, "smoothness_ratio": 1.0}
"""What random order gives, by construction."""
_UNTRAINED = ("explained_variance", "dead_share", *_ORDER, "flicker")
_LOOKED_UP = ("l0", "explained_variance", *_ORDER)
METRICS = [
    *_OWN.values(),
    of_permuted(_OWN["explained_variance"]),
    *(of_untrained(_OWN[name]) for name in _UNTRAINED),
    *(of_lookup(_OWN[name]) for name in _LOOKED_UP if name != "l0"),
    replace(of_lookup(_OWN["l0"]), reference=None),  # the row's name says it
    *(of_shuffled(_OWN[name], value) for name, value in _ORDER.items()),
]
BY_CONSTRUCTION = {f"{name}{SHUFFLED}": Number(value) for name, value in _ORDER.items()}
"""The row of shuffled tokens."""
TABLES: dict[str, Columns] = {
    CONTEXTS: {"context": int, **dict.fromkeys(measure.COLUMNS, float)},
    TEMPORAL: {"context": int, **persistence.TABLE},
    "density_histogram.tsv": density.HISTOGRAM_COLUMNS,
    "latents.tsv": {**density.LATENT_COLUMNS, "on_followed": int, "stays_on": int},
}


@dataclass(frozen=True)
class Split:
    """What is measured on: `test` and `window` read the test split and the training window anew.

    `mean` (d,) is that of all test tokens; neighbours count in blocks whose contexts are all below `stop`.
    """

    test: Callable[[], Iterable[Batch]]
    window: Callable[[], Iterable[Batch]]
    mean: Tensor
    stop: int

    def neighbours(self, block: Batch) -> bool:
        """Whether neighbouring tokens of `block` count."""
        return bool((block.context < self.stop).all())


class _Counts:
    """Everything counted of one SAE on the test split."""

    def __init__(
        self, sae: SAE, mean: Tensor, window: TrainingWindow, section: ReconstructionSection
    ) -> None:
        self.sae, self.window = sae, window
        self.permuted, self.permuted_error = permuted(sae, section.seed), 0.0
        self.reconstruction = Reconstruction(sae.n, mean)
        self.tiled = Tiled(sae, mean)
        self.orders = Orders(sae.n, section.window, window.dense)

    def add(self, block: Batch, with_temporal: bool) -> None:
        """Count a block of whole contexts; `with_temporal`: also its neighbouring tokens."""
        codes = self.sae.encode(block.x, block.past)
        self.reconstruction.add(block.x, self.sae.decode(codes), codes, block.context)
        self.tiled.add(block, codes)
        self.permuted_error += float((block.x - self.permuted.decode(codes)).double().square().sum())
        if with_temporal:
            self.orders.add(block, codes)

    def measured(self, plan: Resampling) -> Measured:
        """Every metric but those of the other controls, and the tables."""
        own = self.reconstruction.values(plan)
        numbers = {
            **own,
            **self.tiled.values(plan, own["l0"], own["explained_variance"]),
            **self.window.values(),
            **geometry.values(self.sae),
            **self.orders.values(plan),
        }
        whole = numbers["explained_variance"]
        numbers[f"explained_variance{PERMUTED}"] = self._permuted(whole)
        return Measured(numbers, {
            CONTEXTS: self.reconstruction.sums.rows(),
            TEMPORAL: self.orders.rows(),
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
        ordered = self.orders.ordered
        switches = zip(ordered.on_followed.tolist(), ordered.stays_on.tolist(), strict=True)
        for row, (followed, stays) in zip(self.reconstruction.density.latents(), switches, strict=True):
            yield {**row, "on_followed": followed, "stays_on": stays}


def evaluate(
    saes: Sequence[SAE], split: Split, section: ReconstructionSection, advance: Callable[[int], None]
) -> list[Measured]:
    """What is measured of each SAE on `split`."""
    if not saes:
        return []
    windows = _windows(saes, split)
    counts = [_Counts(sae, split.mean, window, section) for sae, window in zip(saes, windows, strict=True)]
    held = []
    for block in split.test():
        neighbours = split.neighbours(block)
        if neighbours:
            held.append(block)
        for each in counts:
            each.add(block, neighbours)
            advance(len(block.x))
    shuffled = Shuffled(held, section.seed)
    for each in counts:
        each.orders.shuffle(shuffled)
    plan = Resampling(section.resamples, section.seed)
    return [each.measured(plan) for each in counts]


def _windows(saes: Sequence[SAE], split: Split) -> list[TrainingWindow]:
    found = [TrainingWindow(sae.n) for sae in saes]
    for block in split.window():
        for sae, window in zip(saes, found, strict=True):
            window.add(sae.encode(block.x, block.past))
    return found


def looked_up(
    lookup: Lookup, tokens: Callable[[Batch], Tensor], split: Split, section: ReconstructionSection
) -> dict[str, Number]:
    """The numbers of the token lookup under their names as a control; `tokens` gives a block's ids (B,)."""
    counts, orders = Reconstruction(lookup.n, split.mean), Orders(lookup.n, section.window)
    held = []
    for block in split.test():
        ids = tokens(block)
        codes, x = lookup.encode(ids), block.x.cpu()
        counts.add(x, lookup.reconstruct(ids), codes, block.context)
        if split.neighbours(block):
            held.append(block)
            orders.add(block, codes)
    orders.shuffle(Shuffled(held, section.seed))
    plan = Resampling(section.resamples, section.seed)
    found = counts.values(plan) | orders.values(plan)
    return {f"{name}{LOOKUP}": found[name] for name in _LOOKED_UP}
