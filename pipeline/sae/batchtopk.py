"""batchtopk: the k*B largest pre-activations of the batch (Bussmann et al. 2024, 2412.06410).

At inference a latent fires above one learnt threshold, so it is saved as jumprelu.
"""

from __future__ import annotations

from pipeline.sae.method.auxk import auxk
from pipeline.sae.method.batch_topk import BatchTopConfig, BatchTopMethod
from pipeline.sae.method.control import BATCHES
from pipeline.sae.method.variant import Objective, Step, reconstruct


class Config(BatchTopConfig):
    """Section `batchtopk` of params.yaml."""

    known = BATCHES


class Method(BatchTopMethod):
    """f = relu of the k*B largest pre-activations, k = the L0 target."""

    config: Config

    def objective(self, step: Step) -> Objective:
        """Reconstruction and AuxK."""
        pairs = self.select(step)
        scored = reconstruct(step, step.encode_at(pairs), pairs)
        terms = {"reconstruction": scored.loss}
        terms |= auxk(step, scored.error, self.config.aux_weight)
        return Objective(terms, scored.codes, scored.error.detach())
