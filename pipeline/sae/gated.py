"""gated: one path decides which latents fire, another how strongly (Rajamanoharan et al. 2024, 2404.16014).

c = (x - b_dec) W_enc; f = 1[c + b_gate > 0] relu(c exp(r_mag) + b_mag). The L1 penalty lies on the
gate's relu(c + b_gate), which also reconstructs x through a detached decoder (equation 8).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.sparse import decode
from pipeline.sae.method.variant import Objective, PenaltyConfig, Step, Variant, Weights, reconstruct


class Config(PenaltyConfig):
    """Section `gated` of params.yaml."""


class Method(Variant):
    """Gated codes."""

    def parameter_names(self) -> tuple[str, ...]:
        """No b_enc: each path has its own bias."""
        return ("W_enc", "W_dec", "b_dec")

    def parameters(self, generator: torch.Generator) -> Weights:
        """b_gate, b_mag and r_mag, (n,) each."""
        return {name: torch.zeros(self.n) for name in ("b_gate", "b_mag", "r_mag")}

    def objective(self, step: Step) -> Objective:
        """Reconstruction, L1 on the gate, and the gate's own reconstruction."""
        w = step.weights
        pairs = Pairs.where(step.pre + w["b_gate"].detach() > 0)
        c, latent = step.encode_at(pairs), pairs.latent
        gate = c + w["b_gate"].index_select(0, latent)
        f = (c * w["r_mag"].exp().index_select(0, latent) + w["b_mag"].index_select(0, latent)).relu()
        scored = reconstruct(step, f, pairs)
        auxiliary = step.x - decode(gate, w["W_dec"].detach(), pairs) - w["b_dec"].detach()
        terms = {
            "reconstruction": scored.loss,
            "sparsity": step.coefficient * gate.sum() / len(step.x),
            "auxiliary": auxiliary.square().sum() / len(step.x),
        }
        on = f.detach() > 0
        return Objective(terms, Codes(pairs.keep(on), f.detach()[on]), scored.error.detach())

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A gated SAE."""
        w = {name: tensor.detach() for name, tensor in weights.items()}
        return SAE(
            "gated", w["W_enc"], w["W_dec"], w["b_dec"],
            r_mag=w["r_mag"], b_mag=w["b_mag"], b_gate=w["b_gate"],
        )  # fmt: skip
