"""topk: the k largest pre-activations of each token (Gao et al. 2024, 2406.04093), AuxK for dead latents.

With `frozen`, one half stays at random (2602.14111): rows of the decoder as drawn; or within cosine 0.8 of
that, projected back after each step; or the encoder's weights and biases as drawn (its transpose). What an
evaluation says of these, it does not say of learnt features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline.sae.core.inference import SAE
from pipeline.sae.method.control import BATCHES, Control
from pipeline.sae.method.row_topk import topk_objective
from pipeline.sae.method.state import State
from pipeline.sae.method.variant import LoopState, MethodConfig, Objective, Step, Variant

LEAST_COSINE = 0.8
"""Of a soft-frozen decoder row with its start (2602.14111, figure 1)."""


class Config(MethodConfig):
    """Section `topk` of params.yaml."""

    known = BATCHES | {
        "frozen_decoder": Control(
            "what random directions reach: the decoder is never trained", values={"frozen": "decoder"}
        ),
        "soft_frozen_decoder": Control(
            "what directions near random ones reach: cosine .8 at least", values={"frozen": "soft_decoder"}
        ),
        "frozen_encoder": Control(
            "what random activation patterns reach: the encoder is never trained",
            values={"frozen": "encoder"},
        ),
    }

    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")
    frozen: Literal["none", "decoder", "soft_decoder", "encoder"] = Field(
        "none", description="the half that stays random, or for soft_decoder nearly so"
    )


@dataclass
class Start(State):
    """Where a soft-frozen decoder began."""

    rows: Tensor | None = None  # (n, d) unit rows


class Method(Variant):
    """f = relu of the k largest pre-activations, k = the L0 target."""

    controlled = False
    keeps = Start
    config: Config
    state: Start

    def frozen(self) -> frozenset[str]:
        """The decoder, or the encoder with its bias."""
        frozen: dict[str, tuple[str, ...]] = {"decoder": ("W_dec",), "encoder": ("W_enc", "b_enc")}
        return frozenset(frozen.get(self.config.frozen, ()))

    def objective(self, step: Step) -> Objective:
        """Reconstruction and AuxK."""
        assert self.l0 is not None
        if self.config.frozen == "soft_decoder" and self.state.rows is None:
            self.state.rows = step.weights["W_dec"].detach().clone()
        return topk_objective(step, self.l0, self.config.aux_weight)

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Hold a soft-frozen decoder near its start."""
        if self.state.rows is not None:
            hold_near(loop.weights["W_dec"], self.state.rows)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A topk SAE."""
        return replace(super().export(weights), architecture="topk", k=self.l0)


@torch.no_grad()
def hold_near(rows: Tensor, start: Tensor) -> None:
    """Move unit `rows` (n, d) in place to the nearest ones with cosine LEAST_COSINE or more to `start`."""
    cosine = (rows * start).sum(1, keepdim=True)
    aside = rows - cosine * start
    aside /= aside.norm(dim=1, keepdim=True).clamp_min(1e-12)
    edge = LEAST_COSINE * start + (1 - LEAST_COSINE**2) ** 0.5 * aside
    rows.copy_(torch.where(cosine < LEAST_COSINE, edge, rows))
