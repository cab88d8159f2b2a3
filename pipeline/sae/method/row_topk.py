"""TopK's objective, for topk itself and for what is topk with its mechanism off."""

from __future__ import annotations

from pipeline.sae.core.topk import row_top
from pipeline.sae.method.auxk import auxk
from pipeline.sae.method.variant import Objective, Step, reconstruct


def topk_objective(step: Step, k: int, aux_weight: float) -> Objective:
    """Reconstruction from each token's k largest pre-activations, and AuxK (Gao et al. 2024, 2406.04093)."""
    pairs = row_top(step.pre, k)
    scored = reconstruct(step, step.encode_at(pairs), pairs)
    terms = {"reconstruction": scored.loss} | auxk(step, scored.error, aux_weight)
    return Objective(terms, scored.codes, scored.error.detach())
