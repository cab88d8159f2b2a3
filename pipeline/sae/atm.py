"""atm: Adaptive Temporal Masking (Ren and Li 2025, 2510.08855).

Printed: three running averages per latent (magnitude, frequency, reconstruction contribution) are
combined into an importance; theta = mean(Imp) + threshold * std(Imp); a latent below theta is masked
with p = 1 - exp(-sharpness (theta - Imp)/theta). The full text was not available; what follows fills
the gaps (ours): all statistics come from the unmasked codes, so that a masked latent can come back;
one draw per latent and step, shared by the batch; no rescaling and no gradient through the mask.

With skewed importances most latents lie below theta, so masked training and unmasked inference
differ; the loop reports that gap beside the SAE (`training_view`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.sparse import row_dots
from pipeline.sae.method.base import ON_BATCHTOPK, Based, BasedConfig
from pipeline.sae.method.batch_topk import Threshold
from pipeline.sae.method.control import Control
from pipeline.sae.method.state import Average
from pipeline.sae.method.variant import LoopState, Objective, Recipe, Step, reconstruct


class Config(BasedConfig):
    """Section `atm` of params.yaml."""

    known = ON_BATCHTOPK | {
        "uniform_mask": Control(
            "whether importance matters: all latents masked at one rate, which masks as many active codes",
            values={"mask": "uniform"},
        ),
        "permuted": Control(
            "whether the latent's own importance matters: each is masked by that of another",
            values={"mask": "permuted"},
        ),
    }

    threshold: float = Field(0.0, description="theta = mean(Imp) + threshold * std(Imp)")
    sharpness: float = Field(1.0, ge=0, description="r of the mask probability; 0 never masks")
    decay: float = Field(0.99, gt=0, lt=1, description="of the three running averages")
    weights: list[Annotated[float, Field(ge=0)]] = Field(
        [1 / 3, 1 / 3, 1 / 3], min_length=3, max_length=3,
        description="of magnitude, frequency and contribution in the importance",
    )  # fmt: skip
    mask: Literal["importance", "uniform", "permuted"] = Field(
        "importance",
        description="what a latent's mask probability follows: its importance, the mean over active codes, "
        "or the importance of another latent, the same one throughout",
    )
    inference: Literal["soft", "hard"] = Field(
        "soft", description="soft: no mask; hard: latents below theta are removed for good"
    )
    preset: Literal["ours", "paper"] = Field(
        "ours", description="paper: the papers' shared training setup instead of the profile's (docs/sae.md)"
    )


@dataclass
class Importance(Threshold):
    """The three averages, (n,) each, and what follows from them."""

    magnitude: Average = field(default_factory=Average)
    frequency: Average = field(default_factory=Average)
    contribution: Average = field(default_factory=Average)
    combined: Tensor | None = None  # (n,) the importance; None before the first batch
    mask: Tensor | None = None  # (n,) 0 or 1, for the next batch; None: all 1
    order: Tensor | None = None  # (n,) int64: whose importance each latent is masked by, under `permuted`


class Method(Based):
    """Codes randomly masked by importance."""

    keeps = Importance
    config: Config
    state: Importance

    def recipe(self, base: Recipe) -> Recipe:
        """The preset's loop: 5 M tokens at batch 2048; the paper's summary prints no optimizer."""
        if self.config.preset == "ours":
            return super().recipe(base)
        return Recipe(
            steps=2441, batch=2048, lr=3e-4, input_scaled=False, unit_decoder=False,
            optimizer="adamw", weight_decay=0.01, warmup=1000, coefficient=0.04,
        )  # fmt: skip

    def objective(self, step: Step) -> Objective:
        """Reconstruction by the codes that the mask leaves on, and the base's terms of these."""
        pairs = self.base.select(step)
        f = step.encode_at(pairs)
        mask = torch.ones_like(f) if self.state.mask is None else self.state.mask[pairs.latent]
        kept = f * mask
        scored = reconstruct(step, kept, pairs)
        terms = {"reconstruction": scored.loss} | self.base.terms(step, kept, scored.error)
        error = scored.error.detach()
        with torch.no_grad():
            self._update_importance(step, pairs, f.detach(), mask, error)
        return Objective(terms, Codes(pairs, f.detach()), error)

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Draw the next step's mask: none in the first tenth, ramping up over the second."""
        ramp = min(max(step.progress / 0.1 - 1, 0.0), 1.0)
        super().after_step(step, objective, loop)
        p = self._dealt(self.mask_probability(self.config.sharpness * ramp), loop.generator)
        draw = torch.rand(self.n, generator=loop.generator).to(p.device)
        self.state.mask = (draw >= p).float()

    def _dealt(self, p: Tensor, generator: torch.Generator) -> Tensor:
        """(n,) mask probabilities `p` as the controls deal them to latents."""
        if self.config.mask == "uniform":
            # over firings: rare latents have the largest p, and a mean over latents would mask far more codes
            fires = self.state.frequency.value()
            assert fires is not None
            return ((p * fires).sum() / fires.sum().clamp_min(1e-12)).expand(self.n)
        if self.config.mask == "importance":
            return p
        if self.state.order is None:
            self.state.order = torch.randperm(self.n, generator=generator).to(p.device)
        return p[self.state.order]

    @property
    def importance(self) -> Tensor:
        """(n,) each average over its mean over latents, weighted; only after a batch."""
        assert self.state.combined is not None
        return self.state.combined

    def theta(self) -> Tensor:
        """() threshold on the importance; the standard deviation is the population's."""
        return self.importance.mean() + self.config.threshold * self.importance.std(correction=0)

    def mask_probability(self, sharpness: float) -> Tensor:
        """(n,) p_i = 1 - exp(-sharpness (theta - Imp_i)/theta) below theta, 0 elsewhere or for theta <= 0."""
        importance, theta = self.importance, self.theta()
        if theta <= 0:
            return torch.zeros_like(importance)
        return (1 - torch.exp(-sharpness * (theta - importance).clamp_min(0) / theta)).clamp(0, 1)

    def _update_importance(self, step: Step, pairs: Pairs, f: Tensor, mask: Tensor, error: Tensor) -> None:
        """Move the three averages, then combine them, each divided by its mean over latents."""
        W_dec = step.weights["W_dec"]
        # what the squared error would rise by without an active latent, or fall by with a masked one
        sign = 2 * mask - 1
        norm2 = W_dec.square().sum(1)[pairs.latent]
        change = 2 * f * row_dots(error, W_dec, pairs) + sign * f.square() * norm2
        sums = (pairs.sum_by_latent(each) for each in (torch.ones_like(f), f, change))
        count, size, gain = step.total(torch.stack([*sums]))
        fires = count > 0
        kept, decay = self.state, self.config.decay
        averages = (
            kept.magnitude.move_where(torch.where(fires, size / count.clamp_min(1), 0.0), fires, decay),
            kept.frequency.move(count / step.tokens, decay),
            kept.contribution.move((gain / step.tokens).clamp_min(0), decay),
        )
        kept.combined = torch.zeros_like(count)
        for weight, value in zip(self.config.weights, averages, strict=True):
            mean = value.mean()
            if mean > 0:
                kept.combined += weight * value / mean

    def _without(self, weights: Mapping[str, Tensor], removed: Tensor) -> SAE:
        sae = super().export(weights)
        floor = torch.zeros_like(sae.W_enc[0]) if sae.threshold is None else sae.threshold
        return replace(sae, architecture="jumprelu", threshold=torch.where(removed, torch.inf, floor))

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """The base's SAE, or under `hard` a jumprelu one whose removed latents have threshold +inf."""
        if self.config.inference == "soft":
            return super().export(weights)
        return self._without(weights, self.importance < self.theta())

    def statistics(self) -> dict[str, Tensor]:
        """The three averages with their zero start divided out, the importance and the latest mask."""
        kept = self.state
        known = {
            "magnitude": kept.magnitude.value(),
            "frequency": kept.frequency.value(),
            "contribution": kept.contribution.value(),
            "importance": kept.combined,
            "mask": kept.mask,
        }
        return {name: value for name, value in known.items() if value is not None}

    def training_view(self, weights: Mapping[str, Tensor]) -> SAE | None:
        """The SAE under its latest mask."""
        return None if self.state.mask is None else self._without(weights, self.state.mask == 0)
