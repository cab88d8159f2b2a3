"""temporal: adaptive temporal regularisation ("TemporalSAE: stabilizing neural features").

Printed (equations 3 to 8): L = |e|^2 + l1 |f|_1 + weight * alpha |f_t - f_{t-1}|^2 with
alpha = sigmoid(5 (beta - L_rec)), beta a running average of L_rec; dead latents are re-drawn from
inputs of high error; the gradients of latent i are scaled by clip(1/h_i, 0.1, 10), h its firing rate.

Ours: t and t-1 are neighbouring tokens of one document (the released run paired shuffled batches);
alpha is scale-free, sigmoid(5 (beta - L)/beta); the penalty is summed over latents and averaged over
pairs; new rows come from residuals, not inputs, whose large mean would align them all, and start at the
target firing rate; the scaling acts on the update, because Adam undoes a scaled gradient, relative to the
median rate, with mean 1 over the firings.
`preset: paper` is the printed configuration instead, trained on the same neighbouring tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.method.base import ON_BATCHTOPK, Based, BasedConfig
from pipeline.sae.method.batch_topk import Threshold
from pipeline.sae.method.control import Control, shuffled
from pipeline.sae.method.sequence import follows
from pipeline.sae.method.state import Average
from pipeline.sae.method.variant import LoopState, Objective, Recipe, Step, reconstruct

FASTEST = 2.0
"""Largest factor on a latent's update. Ours: with 10, or none, rare latents throw L0 about or diverge."""
BALANCING = 10
"""Times that the factors are divided by their mean and bounded again; their mean is then 1 within 1 %."""


class Config(BasedConfig):
    """Section `temporal` of params.yaml."""

    known = (
        shuffled("pairs")
        | ON_BATCHTOPK
        | {
            "penalty_only": Control(
                "what the penalty does without the two mechanisms for dead and rare latents",
                values={"resampling": False, "gradient_scaling": False},
            )
        }
    )

    temporal_penalty: bool = Field(True, description="switch of the first mechanism")
    resampling: bool = Field(True, description="switch of the second mechanism")
    gradient_scaling: bool = Field(True, description="switch of the third mechanism")
    weight: float = Field(1e-4, ge=0, description="of the temporal penalty, in scaled units; printed: 1e-4")
    decay: float = Field(0.99, gt=0, lt=1, description="of beta and of the firing rates")
    resample_every: float = Field(0.05, gt=0, le=1, description="share of training between resampling events")
    resample_cap: float = Field(0.05, gt=0, le=1, description="share of the dictionary replaced at most")
    preset: Literal["ours", "paper"] = Field("ours", description="paper: the printed configuration")


@dataclass
class Firing(Threshold):
    """What the two mechanisms follow over the steps."""

    beta: Tensor | None = None  # () average of the reconstruction loss, from the first one on
    rate: Average = field(default_factory=Average)  # (n,) share of tokens firing
    h: Tensor | None = None  # (n,) that average after the latest batch


class Method(Based):
    """Codes with a penalty on change between neighbouring tokens."""

    reading = "pairs"
    keeps = Firing
    config: Config
    state: Firing

    @property
    def paper(self) -> bool:
        """Whether the printed configuration is asked for."""
        return self.config.preset == "paper"

    def recipe(self, base: Recipe) -> Recipe:
        """The preset: AdamW 3e-4, clip 0.1, 4882 steps of 2048, l1 0.04, raw inputs."""
        if not self.paper:
            return super().recipe(base)
        return Recipe(
            steps=4882, batch=2048, lr=3e-4, input_scaled=False, unit_decoder=False,
            optimizer="adamw", weight_decay=0.01, clip=0.1, coefficient=0.04, scale_gradient=True,
        )  # fmt: skip

    def objective(self, step: Step) -> Objective:
        """Reconstruction, the base's terms and the temporal penalty."""
        pairs = self.base.select(step)
        f = step.encode_at(pairs)
        scored = reconstruct(step, f, pairs)
        terms = {"reconstruction": scored.loss} | self.base.terms(step, f, scored.error)
        if self.config.temporal_penalty:
            weight = 1e-4 if self.paper else self.config.weight
            alpha = self.alpha(step.mean(scored.loss.detach()))
            terms["temporal"] = (
                weight * alpha * change_penalty(step, f, pairs, self.base.dense(step, f, pairs))
            )
        rate = pairs.sum_by_latent(torch.ones_like(f.detach())) / len(step.x)
        self.state.h = self.state.rate.move(step.mean(rate), self.config.decay)
        return Objective(terms, scored.codes, scored.error.detach())

    def alpha(self, loss: Tensor) -> Tensor:
        """() weight of the penalty at this reconstruction `loss` (), whose average it moves."""
        if self.state.beta is None:
            self.state.beta = loss.clone()
        beta = self.state.beta
        beta.mul_(self.config.decay).add_(loss, alpha=1 - self.config.decay)
        return torch.sigmoid(5 * (beta - loss) / (1.0 if self.paper else beta.clamp_min(1e-12)))

    def update_scale(self) -> Tensor | None:
        """(n,) s_i = clip(median(h)/h_i, 0.1, 10) over its mean, each latent weighted by h_i, at most 2.

        The median is over live latents. A mean over latents, dead ones among them, left those that carry the
        signal a tenth of the learning rate and less. Printed: clip(1/h_i, 0.1, 10).
        """
        h = self.state.h
        if not self.config.gradient_scaling or h is None:
            return None
        if self.paper:
            return (1 / (1e-6 + h)).clamp(0.1, 10)
        live = h[h >= self._least()]
        median = (live if len(live) else h).median()
        scale = (median / h.clamp_min(1e-12)).clamp(0.1, 10)
        for _ in range(BALANCING):
            scale = (scale * (h.sum().clamp_min(1e-12) / (scale @ h).clamp_min(1e-12))).clamp_max(FASTEST)
        return scale

    def _least(self) -> float:
        """The firing rate below which a latent may count as dead: a hundredth of the target's."""
        return 0.0 if self.l0 is None else 0.01 * self.l0 / self.n

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Replace dead latents when an event is due."""
        super().after_step(step, objective, loop)
        h = self.state.h
        if not self.config.resampling or not self._due(step) or h is None:
            return
        if self.paper:
            candidates = (h < 0.005).nonzero().squeeze(1)
        else:
            dead = step.dead & (loop.fired > 0)  # step.dead is from before this batch
            candidates = ((h < self._least()) & dead).nonzero().squeeze(1)
            candidates = candidates[h[candidates].argsort(stable=True)]
            candidates = candidates[: max(1, int(self.config.resample_cap * self.n))]
        if len(candidates):
            self._resample(candidates, step, objective, loop)

    def _due(self, step: Step) -> bool:
        if self.paper:
            return step.index > 0 and step.index % (100 if step.index <= 1000 else 500) == 0
        # none in the last fifth: a latent born there would not finish learning
        every = max(1, round(self.config.resample_every * step.steps))
        return step.index % every == 0 and 0.1 <= step.progress <= 0.8

    def _resample(self, latents: Tensor, step: Step, objective: Objective, loop: LoopState) -> None:
        """Give `latents` new directions: residuals (printed: inputs) drawn in proportion to squared error."""
        error = step.gather(objective.error)
        squared = error.square().sum(1)
        drawn = torch.multinomial(squared.cpu(), len(latents), replacement=True, generator=loop.generator)
        source = step.gather(step.x) if self.paper else error
        rows = source[drawn.to(latents.device)]
        rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        W_enc, W_dec, b_enc = (loop.weights[name] for name in ("W_enc", "W_dec", "b_enc"))
        size: Tensor | float = 1.0
        if not self.paper:
            alive = ~step.dead
            norms = W_enc.norm(dim=0)
            size = 0.2 * (norms[alive].mean() if alive.any() else norms.mean())
        with torch.no_grad():
            W_enc[:, latents] = (size * rows).T
            W_dec[latents] = rows
            b_enc[latents] = 0.0 if self.paper else self._bias(W_enc[:, latents], step, loop.weights["b_dec"])
            for name in ("W_enc", "W_dec", "b_enc"):
                for moment in (loop.moments[name].first, loop.moments[name].second):
                    by_latent = moment.T if name == "W_enc" else moment
                    by_latent[latents] = 0.0
        # a fresh start: counted as if firing at the target rate, and not dead for a full window
        fresh = 0.005 if self.paper or self.l0 is None else self.l0 / self.n
        rate = self.state.rate
        if rate.total is not None and rate.weight is not None:
            rate.total[latents] = fresh * rate.weight
        loop.fired[latents] = 0

    def _bias(self, directions: Tensor, step: Step, b_dec: Tensor) -> Tensor:
        """(m,) b_enc with which latents of encoder `directions` (d, m) fire at the target rate in this batch.

        Halfway between the last input that is to fire and the first that is not.
        """
        assert self.l0 is not None
        along = (step.gather(step.x) - b_dec) @ directions
        count = min(max(1, round(len(along) * self.l0 / self.n)), len(along) - 1)
        top = along.topk(count + 1, dim=0).values
        return self.base.floor(self.state) - (top[-2] + top[-1]) / 2

    def statistics(self) -> dict[str, Tensor]:
        """The firing rate, and its average before the zero start was divided out."""
        known = {"h": self.state.h, "rate": self.state.rate.total}
        return {name: value for name, value in known.items() if value is not None}


def change_penalty(step: Step, f: Tensor, pairs: Pairs, dense: Tensor) -> Tensor:
    """Sum over latents, mean over neighbouring pairs, of (f_t - f_{t-1})^2; zero without a pair.

    Each active entry looks its partner up in the neighbour's row of `dense` (B, n), whose positive part
    are the codes. The gradient of entry f with partner p is 2 (f - p); inactive latents get none. Counting
    every entry once gives that gradient but counts co-active pairs twice, so the value is formed apart.
    """
    cur = follows(step)
    before = cur[pairs.token]
    after = torch.cat([cur[1:], cur.new_zeros(1)])[pairs.token]
    token, latent = pairs.token, pairs.latent
    d_before = f[before] - dense[token[before] - 1, latent[before]].relu()
    partner = dense[token[after] + 1, latent[after]].relu()
    d_after = f[after] - partner
    value = d_before.detach().square().sum() + d_after.detach()[partner == 0].square().sum()
    surrogate = d_before.square().sum() + d_after.square().sum()
    return step.average(value + surrogate - surrogate.detach(), cur.sum())
