"""AuxK: dead latents of the TopK family reconstruct what is left over.

Gao et al. 2024 (2406.04093), section A.2: the k_aux dead latents of largest pre-activation
reconstruct the detached residual; weight 1/32, k_aux = d/2. The auxiliary error is reduced like
the reconstruction loss (sum over d, mean over tokens).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.topk import descending
from pipeline.sae.method.variant import Step


def auxk(step: Step, error: Tensor, weight: float) -> dict[str, Tensor]:
    """The weighted auxiliary loss as a term of the objective; no term while no latent is dead.

    `error` (B, d) is the main reconstruction's residual; it gets no gradient.
    """
    dead = step.dead.nonzero().squeeze(1)
    if len(dead) == 0 or weight == 0:
        return {}
    k = min(step.x.shape[1] // 2, len(dead))
    top, which = descending(step.pre.index_select(1, dead), k)
    pairs = Pairs.rows(dead[which], step.pre.shape[1]).keep((top > 0).reshape(-1))
    left = error.detach() - step.decode(step.encode_at(pairs), pairs)
    return {"auxk": weight * left.square().sum() / len(step.x)}


def silent_dead(step: Step, pairs: Pairs) -> Tensor:
    """(n,) bool: dead latents that have no active pair in this batch either."""
    fires = torch.zeros_like(step.dead)
    fires[pairs.latent] = True
    return step.dead & ~step.world.any(fires)
