"""tsae: multi-scale temporal consistency ("Time-aware sparse autoencoders").

Printed: L = w(t) L_rec + l1 |h|_1 + sum over scales l_s L_s, L_s = sum over offsets i of
|h_{t+i} - h_t|^2; offsets 1-3, 4-15, 16-127 with weights 0.01, 0.005, 0.001; latents weighted by
their share of variance, those of variance below 0.01 left out; w(t) falls from 2 to 1. The paper's
own runs asked for fewer tokens than one batch, so that no step ran; here it trains.

Ours: mean over the pairs of one document per offset; each pair divided by |h_s|^2 + |h_t|^2, because
the plain penalty is met by shrinking the codes; schedules as fractions of training. "Adaptive feature
gating" is named in the paper and never defined: left out. LayerNorm on the codes is left out of the
preset too: it makes codes negative, and no inference SAE could follow it.

Exact in one product per context: with G = (H * w) H^T and q = diag G, every weighted
|h_s - h_t|^2 is q_s + q_t - 2 G_st, so all 127 offsets are masked sums over one (T, T) matrix. G comes
from active pairs alone (method/inner_products.py).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.method.base import ON_BATCHTOPK, Based, BasedConfig
from pipeline.sae.method.control import shuffled
from pipeline.sae.method.inner_products import Layout, gram
from pipeline.sae.method.sequence import segments
from pipeline.sae.method.variant import Objective, Recipe, Step, reconstruct

OFFSETS = ((1, 3), (4, 15), (16, 127))
MIN_VARIANCE = 0.01


class Config(BasedConfig):
    """Section `tsae` of params.yaml."""

    known = shuffled("contexts") | ON_BATCHTOPK

    weight: float = Field(1.0, ge=0, description="factor on all scales, from the sweep")
    scales: list[float] = Field(
        [0.01, 0.005, 0.001], min_length=3, max_length=3,
        description="weights of the short, medium and long offsets; printed: 0.01, 0.005, 0.001",
    )  # fmt: skip
    boost: float = Field(2.0, ge=1, description="reconstruction weight at the start of training")
    preset: Literal["ours", "paper"] = Field("ours", description="paper: the printed configuration")


class Method(Based):
    """Codes held similar over near, middle and far tokens of a document."""

    reading = "contexts"
    config: Config

    @property
    def paper(self) -> bool:
        """Whether the printed configuration is asked for."""
        return self.config.preset == "paper"

    def recipe(self, base: Recipe) -> Recipe:
        """The printed loop under the preset: AdamW 3e-4, clip 2.0, l1 0.04, noise in a 2000-step warm-up."""
        if not self.paper:
            return super().recipe(base)
        return Recipe(
            steps=4882, batch=2048, lr=3e-4, input_scaled=False, unit_decoder=False, optimizer="adamw",
            weight_decay=0.01, clip=2.0, warmup=2000, coefficient=0.04, gradient_noise=0.01,
        )  # fmt: skip

    def objective(self, step: Step) -> Objective:
        """Boosted reconstruction, the base's terms and the consistency of each scale."""
        pairs = self.base.select(step)
        f = step.encode_at(pairs)
        scored = reconstruct(step, f, pairs)
        boost, ramp = self.schedule(step)
        terms = {
            "reconstruction": boost * scored.loss,
            **self.base.terms(step, f, scored.error),
            "temporal": self.config.weight
            * ramp
            * consistency(step, f, pairs, self.config.scales, self.paper),
        }
        return Objective(terms, scored.codes, scored.error.detach())

    def schedule(self, step: Step) -> tuple[float, float]:
        """w(t) and the ramp of the scales: done after the first fifth (printed: 2000 steps)."""
        warm = step.index / 2000 if self.paper else step.progress / 0.2
        boost = 1 + (self.config.boost - 1) * min(max(2 - 2 * warm, 0.0), 1.0)
        return boost, min(warm, 1.0)


def consistency(step: Step, f: Tensor, pairs: Pairs, scales: list[float], plain: bool) -> Tensor:
    """Sum over scales of their weight times the sum over offsets of the mean squared difference.

    Relative form: |h_s - h_t|^2_w / (|h_s|^2_w + |h_t|^2_w), 0 where both are silent; `plain`, the printed
    form, leaves the division out and weights latents by their share of variance. Pairs lie in one
    document; an offset without a pair in the batch counts nothing.
    """
    longest = OFFSETS[-1][1] + 1
    layout = Layout.of(segments(step), pairs)
    G = gram(f, layout.weights(f.detach(), MIN_VARIANCE, printed=plain), layout)
    q = G.gather(1, layout.local[:, None])
    norms = q + q.view(-1).index_select(0, layout.neighbour.reshape(-1)).view_as(G)
    difference = (norms - 2 * G).clamp_min(0)
    if not plain:
        difference = difference / norms.clamp_min(1e-12)
    gap = step.position[layout.neighbour] - step.position[:, None]
    same = step.document[layout.neighbour] == step.document[:, None]
    valid = layout.inside & same & (gap > 0) & (gap < longest)
    gap = torch.where(valid, gap, 0).reshape(-1)  # a gap of 0 counts nothing below
    total = f.new_zeros(longest).index_add(0, gap, torch.where(valid, difference, 0.0).reshape(-1))
    count = f.new_zeros(longest).index_add(0, gap, valid.reshape(-1).to(f))
    mean = step.average(total, count)
    return torch.stack(
        [weight * mean[a : b + 1].sum() for weight, (a, b) in zip(scales, OFFSETS, strict=True)]
    ).sum()
