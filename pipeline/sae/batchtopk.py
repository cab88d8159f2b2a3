"""batchtopk: the k*B largest pre-activations of the batch (Bussmann et al. 2024, 2412.06410).

At inference a latent fires above one learnt threshold, so it is saved as jumprelu.
"""

from __future__ import annotations

from pipeline.sae.method.base import Based
from pipeline.sae.method.batch_topk import BatchTopConfig
from pipeline.sae.method.control import BATCHES
from pipeline.sae.method.variant import Objective, Step, reconstruct


class Config(BatchTopConfig):
    """Section `batchtopk` of params.yaml."""

    known = BATCHES


class Method(Based):
    """f = relu of the k*B largest pre-activations, k = the L0 target."""

    config: Config

    def objective(self, step: Step) -> Objective:
        """Reconstruction and AuxK."""
        pairs = self.base.select(step)
        f = step.encode_at(pairs)
        scored = reconstruct(step, f, pairs)
        terms = {"reconstruction": scored.loss} | self.base.terms(step, f, scored.error)
        return Objective(terms, scored.codes, scored.error.detach())
