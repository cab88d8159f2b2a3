"""batchtopk: the k*B largest pre-activations of the batch (Bussmann et al. 2024, 2412.06410).

At inference a latent fires above one learnt threshold, so it is saved as jumprelu.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pipeline.sae.core.batchtop import BatchTopConfig, batch_top, learn_threshold, thresholded
from pipeline.sae.core.dead import auxk
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.variant import Objective, Step, Tools, Variant, reconstruct


class Config(BatchTopConfig):
    """Section `batchtopk` of params.yaml."""


class Method(Variant):
    """f = relu of the k*B largest pre-activations, k = the L0 target."""

    controlled = False
    config: Config

    def objective(self, step: Step) -> Objective:
        """Reconstruction and AuxK."""
        assert self.l0 is not None
        pairs = batch_top(step.pre, self.l0 * step.tokens, step.world)
        scored = reconstruct(step, step.encode_at(pairs), pairs)
        terms = {"reconstruction": scored.loss}
        aux = auxk(step, scored.error, self.config.aux_weight)
        if aux is not None:
            terms["auxk"] = aux
        return Objective(terms, scored.codes, scored.error.detach())

    def after_step(self, step: Step, objective: Objective, tools: Tools) -> None:
        """Learn the inference threshold."""
        learn_threshold(self.state, step, objective.codes, self.config.threshold_decay)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A jumprelu SAE whose one threshold stands for all latents."""
        return thresholded(super().export(weights), self.state)
