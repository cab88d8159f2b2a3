"""standard: ReLU codes under an L1 penalty.

L = |x - x^|^2 + coefficient * sum_i f_i. Decoder rows have unit norm, so that |d_i| f_i = f_i.
"""

from __future__ import annotations

from pipeline.sae.method.control import BATCHES
from pipeline.sae.method.variant import Objective, PenaltyConfig, Step, Variant, reconstruct, relu_pairs


class Config(PenaltyConfig):
    """Section `standard` of params.yaml."""

    known = BATCHES


class Method(Variant):
    """The L1 baseline."""

    def objective(self, step: Step) -> Objective:
        """Reconstruction and L1."""
        pairs = relu_pairs(step)
        f = step.encode_at(pairs)
        scored = reconstruct(step, f, pairs)
        terms = {"reconstruction": scored.loss, "sparsity": step.coefficient * f.sum() / len(step.x)}
        return Objective(terms, scored.codes, scored.error.detach())
