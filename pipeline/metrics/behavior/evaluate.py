"""All SAEs of a variant spliced into the language model: numbers, and sums per context."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pipeline.metrics.behavior.measure import (
    COLUMNS,
    CONTEXTS,
    Clean,
    Contexts,
    Reconstruct,
    Suffix,
    ablated,
    number,
    of_sae,
    spliced,
    values,
)
from pipeline.metrics.behavior.measure import METRICS as OWN
from pipeline.metrics.behavior.section import BehaviorSection
from pipeline.metrics.common.controls import PERMUTED, of_lookup, of_permuted, of_untrained, permuted
from pipeline.metrics.common.resampling import ItemSums, Resampling
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE

SCORES = ("kl_sae", "ce_score")
"""What is measured of controls."""
METRICS = [
    *OWN,
    *(of(each) for of in (of_permuted, of_untrained, of_lookup) for each in OWN if each.name in SCORES),
]
TABLES: dict[str, Columns] = {CONTEXTS: {"context": int, **dict.fromkeys(COLUMNS, float)}}
CONTROL_COLUMNS = ("ce_tokens", "kl_tokens", "ce_clean", "ce_zero", "ce_sae", "kl_sae")

Known = Mapping[str, Sequence[float]]
"""Sums that depend on no SAE, one per context in order."""


def ablations(batches: Iterable[Contexts], suffix: Suffix, mean: Tensor) -> dict[str, list[float]]:
    """The sums of the ablated model, which no SAE changes, by column."""
    sums: dict[str, list[float]] = {}
    for batch in batches:
        for name, each in ablated(Clean(suffix, batch), mean).items():
            sums.setdefault(name, []).extend(each.tolist())
    return sums


def evaluate(
    saes: Sequence[SAE], batches: Iterable[Contexts], suffix: Suffix, known: Known, section: BehaviorSection,
    advance: Callable[[int], None],
) -> list[Measured]:  # fmt: skip
    """What is measured of each SAE on all `batches`, and of the same SAE with its decoder permuted."""
    own = [ItemSums(COLUMNS) for _ in saes]
    controls = [(of_sae(permuted(sae, section.seed)), ItemSums(CONTROL_COLUMNS)) for sae in saes]
    for batch, clean, shared in _passes(batches if saes else (), suffix, known):
        for sae, sums in zip(saes, own, strict=True):
            both = spliced(clean, of_sae(sae)(batch), ("sae", "sae_all"))
            sums.add(batch.index, **shared, **both)
            advance(len(batch.index))
        for reconstruct, sums in controls:
            sums.add(batch.index, **shared, **spliced(clean, reconstruct(batch), ("sae",)))
    plan = Resampling(section.resamples, section.seed)
    return [
        Measured(values(sums, plan) | _scores(beside, plan, PERMUTED), {CONTEXTS: sums.rows()})
        for sums, (_, beside) in zip(own, controls, strict=True)
    ]  # fmt: skip


def score(
    reconstruct: Reconstruct, batches: Iterable[Contexts], suffix: Suffix, known: Known,
    section: BehaviorSection, ending: str = "",
) -> dict[str, Number]:  # fmt: skip
    """The scores of a control alone, under names with its `ending`."""
    sums = ItemSums(CONTROL_COLUMNS)
    for batch, clean, shared in _passes(batches, suffix, known):
        sums.add(batch.index, **shared, **spliced(clean, reconstruct(batch), ("sae",)))
    return _scores(sums, Resampling(section.resamples, section.seed), ending)


def _scores(sums: ItemSums, plan: Resampling, ending: str) -> dict[str, Number]:
    return {f"{name}{ending}": number(sums, name, plan) for name in SCORES}


def _passes(
    batches: Iterable[Contexts], suffix: Suffix, known: Known
) -> Iterator[tuple[Contexts, Clean, dict[str, Tensor]]]:
    """Each batch, the clean model on it, and all sums that depend on no SAE."""
    start = 0
    for batch in batches:
        clean, stop = Clean(suffix, batch), start + len(batch.index)
        of_batch = {name: torch.tensor(sums[start:stop], dtype=torch.float64) for name, sums in known.items()}
        yield batch, clean, clean.sums | of_batch
        start = stop
