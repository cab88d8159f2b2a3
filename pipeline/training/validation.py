"""Validation: inference L0, explained variance and norm ratio, and when a run counts as diverged.

Divergence is a result, not a crash: the target ends with its step and numbers, the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.console.errors import BadInput
from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch, Store
from pipeline.store.blocks import rows_at

RATIO_BOUNDS = (0.25, 1.5)
"""Of |x^|/|x|. The lower tells a collapse from L1 shrinkage, that reaches 0.46 where inputs lack a mean."""
BLOCK = 4096
"""Rows encoded at once: bounds memory at BLOCK * n pre-activations."""


@dataclass(frozen=True)
class Validation:
    """An SAE on validation tokens, in the model's own units."""

    l0: float
    explained_variance: float
    norm_ratio: float  # mean |x^| / mean |x|

    def fault(self) -> str | None:
        """Why this counts as diverged, with the number; None when it does not."""
        low, high = RATIO_BOUNDS
        if not self.explained_variance >= 0:
            return f"explained variance on validation tokens is {self.explained_variance:.3g}, below 0"
        if not low <= self.norm_ratio <= high:
            return f"|x^|/|x| on validation tokens is {self.norm_ratio:.3g}, outside [{low}, {high}]"
        return None


@torch.no_grad()
def validate(sae: SAE, rows: Batch, world: World = ALONE) -> Validation:
    """Measure `sae` on N `rows` in order, the same in all processes, which share the work."""
    x, active, error, out = rows.x, 0.0, 0.0, 0.0
    blocks = list(zip(x.split(BLOCK), rows.past.split(BLOCK), strict=True))
    for block, past in blocks[world.rank :: world.size]:
        # a block's first row has no past
        codes = sae.encode(block, past.minimum(torch.arange(len(past), device=past.device)))
        reconstruction = sae.decode(codes)
        active += len(codes.pairs)
        error += float((block - reconstruction).double().square().sum())
        out += float(reconstruction.double().norm(dim=1).sum())
    sums = world.sum(torch.tensor([active, error, out], dtype=torch.float64, device=x.device))
    active, error, out = sums.tolist()
    spread = float((x - x.mean(0)).double().square().sum())
    size = float(x.double().norm(dim=1).sum())
    return Validation(active / len(x), 1 - error / max(spread, 1e-30), out / max(size, 1e-30))


def validation_rows(store: Store, count: int) -> Batch:
    """The first `count` usable rows of the validation split."""
    rows = store.split("validation")
    usable = rows.start + np.flatnonzero(store.valid[rows.start : rows.stop])[:count]
    if not len(usable):
        raise BadInput(
            "the validation split has no token that is not special: give the text more validation contexts."
        )
    return rows_at(store, usable)
