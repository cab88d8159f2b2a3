"""topk: the k largest pre-activations of each token (Gao et al. 2024, 2406.04093), AuxK for dead latents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field
from torch import Tensor

from pipeline.sae.core.inference import SAE
from pipeline.sae.core.topk import row_top
from pipeline.sae.method.auxk import auxk
from pipeline.sae.method.control import BATCHES
from pipeline.sae.method.variant import MethodConfig, Objective, Step, Variant, reconstruct


class Config(MethodConfig):
    """Section `topk` of params.yaml."""

    known = BATCHES

    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")


class Method(Variant):
    """f = relu of the k largest pre-activations, k = the L0 target."""

    controlled = False
    config: Config

    def objective(self, step: Step) -> Objective:
        """Reconstruction and AuxK."""
        assert self.l0 is not None
        pairs = row_top(step.pre, self.l0)
        scored = reconstruct(step, step.encode_at(pairs), pairs)
        terms = {"reconstruction": scored.loss}
        terms |= auxk(step, scored.error, self.config.aux_weight)
        return Objective(terms, scored.codes, scored.error.detach())

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A topk SAE."""
        return replace(super().export(weights), architecture="topk", k=self.l0)
