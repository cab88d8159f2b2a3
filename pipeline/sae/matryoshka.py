"""matryoshka: batchtopk whose dictionary prefixes each reconstruct on their own (2503.17547).

L = sum over prefixes m of |x - sum_{i < m} f_i d_i - b_dec|^2, with one batch-wide selection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from pipeline.sae.core.batchtop import batch_top, update_threshold
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.dead import auxk
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.variant import MethodConfig, Objective, Step, Tools, Variant


class Config(MethodConfig):
    """Section `matryoshka` of params.yaml."""

    prefixes: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0], min_length=1, description="nested prefixes, as shares of n"
    )
    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")
    threshold_decay: float = Field(0.99, gt=0, lt=1, description="running average of the smallest kept code")


class Method(Variant):
    """Nested dictionaries, selection by batch."""

    controlled = False
    config: Config

    def bounds(self) -> list[int]:
        """Where the groups of latents begin and end: 0, then each prefix's size, n last."""
        sizes = sorted({max(1, round(share * self.n)) for share in self.config.prefixes} | {self.n})
        return [0, *sizes]

    def grouped(self, pairs: Pairs) -> Pairs:
        """The same entries as (token, group) rows: token b's group g, between two bounds, is row b G + g.

        Latents ascend within a token, so that the order of the entries stays and one decode serves all.
        """
        bounds = torch.tensor(self.bounds()[1:], device=pairs.latent.device)
        group = torch.searchsorted(bounds, pairs.latent, right=True)
        return Pairs.of(pairs.token * len(bounds) + group, pairs.latent, pairs.batch * len(bounds), self.n)

    def objective(self, step: Step) -> Objective:
        """The mean over prefixes of their reconstruction losses, and AuxK.

        The mean instead of the paper's sum keeps the loss on the scale of the other variants; Adam is
        indifferent to the factor.
        """
        assert self.l0 is not None
        pairs = batch_top(step.pre, self.l0 * step.tokens, step.world)
        f = step.encode_at(pairs)
        parts = step.decode(f, self.grouped(pairs)).view(len(step.x), -1, self.d)
        errors = (step.x - step.weights["b_dec"])[:, None] - parts.cumsum(1)
        terms = {"reconstruction": errors.square().sum() / errors[:, :, 0].numel()}
        error = errors[:, -1]
        aux = auxk(step, error, self.config.aux_weight)
        if aux is not None:
            terms["auxk"] = aux
        return Objective(terms, Codes(pairs, f.detach()), error.detach())

    def after_step(self, step: Step, objective: Objective, tools: Tools) -> None:
        """Learn the inference threshold."""
        update_threshold(self.state, step, objective.codes, self.config.threshold_decay)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A jumprelu SAE whose one threshold stands for all latents."""
        threshold = self.state.get("threshold", torch.zeros(()))
        return replace(
            super().export(weights),
            architecture="jumprelu",
            threshold=threshold.to(weights["b_enc"]).expand(self.n).clone(),
        )
