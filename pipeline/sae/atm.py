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
from pipeline.sae.method.state import Average, State
from pipeline.sae.method.variant import (
    LoopState,
    Objective,
    PenaltyConfig,
    Recipe,
    Step,
    Variant,
    reconstruct,
    relu_pairs,
)


class Config(PenaltyConfig):
    """Section `atm` of params.yaml."""

    threshold: float = Field(0.0, description="theta = mean(Imp) + threshold * std(Imp)")
    sharpness: float = Field(1.0, ge=0, description="r of the mask probability; 0 never masks")
    decay: float = Field(0.99, gt=0, lt=1, description="of the three running averages")
    weights: list[Annotated[float, Field(ge=0)]] = Field(
        [1 / 3, 1 / 3, 1 / 3], min_length=3, max_length=3,
        description="of magnitude, frequency and contribution in the importance",
    )  # fmt: skip
    inference: Literal["soft", "hard"] = Field(
        "soft", description="soft: no mask; hard: latents below theta are removed for good"
    )
    preset: Literal["ours", "paper"] = Field(
        "ours", description="paper: the papers' shared training setup instead of the profile's (docs/sae.md)"
    )


@dataclass
class Importance(State):
    """The three averages, (n,) each, and what follows from them."""

    magnitude: Average = field(default_factory=Average)
    frequency: Average = field(default_factory=Average)
    contribution: Average = field(default_factory=Average)
    combined: Tensor | None = None  # (n,) the importance; None before the first batch
    mask: Tensor | None = None  # (n,) 0 or 1, for the next batch; None: all 1


class Method(Variant):
    """ReLU codes under L1, randomly masked by importance."""

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
        """Reconstruction and L1 of the codes that the mask leaves on."""
        pairs = relu_pairs(step)
        f = step.encode_at(pairs)
        mask = torch.ones_like(f) if self.state.mask is None else self.state.mask[pairs.latent]
        kept = f * mask
        scored = reconstruct(step, kept, pairs)
        terms = {"reconstruction": scored.loss, "sparsity": step.coefficient * kept.sum() / len(step.x)}
        error = scored.error.detach()
        with torch.no_grad():
            self._update_importance(step, pairs, f.detach(), mask, error)
        return Objective(terms, Codes(pairs, f.detach()), error)

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Draw the next step's mask: none in the first tenth, ramping up over the second."""
        ramp = min(max(step.progress / 0.1 - 1, 0.0), 1.0)
        p = self.mask_probability(self.config.sharpness * ramp)
        draw = torch.rand(self.n, generator=loop.generator).to(p.device)
        self.state.mask = (draw >= p).float()

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
        threshold = torch.where(removed, torch.inf, 0.0)
        return replace(super().export(weights), architecture="jumprelu", threshold=threshold)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A standard SAE, or under `hard` a jumprelu one whose removed latents have threshold +inf."""
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
