"""Bases: where the codes' sparsity comes from, apart from what a method adds to it.

`l1` is a ReLU encoder under an L1 penalty, whose coefficient is steered to the L0 target (`standard`);
`batchtopk` keeps the k*B largest of the batch and learns a threshold for inference (`batchtopk`). A method
on either base shows whether its idea survives on the other (ours). With their mechanism off (switches off,
weights 0, tsae's boost 1) atm, temporal and tsae are that base's plain method, bit for bit; contrastive
without its term still has matryoshka's nested reconstructions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.auxk import auxk
from pipeline.sae.method.batch_topk import BatchTopConfig, Threshold, batch_topk
from pipeline.sae.method.control import Control
from pipeline.sae.method.variant import LoopState, Objective, PenaltyConfig, Step, Variant, relu_pairs


class BasedConfig(PenaltyConfig):
    """A method that stands on either base."""

    base: Literal["l1", "batchtopk"] = Field("l1", description="where sparsity comes from")
    aux_weight: float = Field(1 / 32, ge=0, description="weight of batchtopk's AuxK loss; 0 switches it off")
    threshold_decay: float = Field(0.99, gt=0, lt=1, description="running average of the smallest kept code")

    @model_validator(mode="after")
    def _paper_is_l1(self) -> Self:
        if getattr(self, "preset", "ours") == "paper" and self.base != "l1":
            raise ValueError("the paper's preset has base l1")
        return self


ON_BATCHTOPK: dict[str, Control] = {
    "batchtopk_base": Control(
        "whether the idea survives on the stronger base", values={"base": "batchtopk", "lr_scale": 1.0}
    )
}
"""Of a method whose source stands on L1. The learning rate is BatchTopK's, unless a sweep found another."""


class Base(ABC):
    """How codes are selected, held sparse and exported."""

    controlled: ClassVar[bool]  # sparsity through a penalty coefficient

    @abstractmethod
    def select(self, step: Step) -> Pairs:
        """The active pairs."""

    @abstractmethod
    def terms(self, step: Step, value: Tensor, error: Tensor) -> dict[str, Tensor]:
        """What the base adds to the objective: of codes `value` (E,) and the residual `error` (B, d)."""

    @abstractmethod
    def dense(self, step: Step, value: Tensor, pairs: Pairs) -> Tensor:
        """(B, n) whose positive part are the codes `value` (E,) at `pairs`, without a graph: for look-ups."""

    @abstractmethod
    def floor(self, state: Threshold) -> float:
        """The pre-activation above which a latent fires, in the loop's units."""

    @abstractmethod
    def learn(self, step: Step, objective: Objective, state: Threshold) -> None:
        """Move what inference needs."""

    @abstractmethod
    def export(self, sae: SAE, state: Threshold) -> SAE:
        """The ReLU SAE `sae` as this base has it at inference."""


class L1(Base):
    """ReLU codes under L = coefficient * sum_i f_i."""

    controlled = True

    def select(self, step: Step) -> Pairs:
        """All positive pre-activations."""
        return relu_pairs(step)

    def terms(self, step: Step, value: Tensor, error: Tensor) -> dict[str, Tensor]:
        """L1, mean over tokens."""
        return {"sparsity": step.coefficient * value.sum() / len(step.x)}

    def dense(self, step: Step, value: Tensor, pairs: Pairs) -> Tensor:
        """The pre-activations themselves."""
        return step.pre

    def floor(self, state: Threshold) -> float:
        """Zero."""
        return 0.0

    def learn(self, step: Step, objective: Objective, state: Threshold) -> None:
        """Nothing."""

    def export(self, sae: SAE, state: Threshold) -> SAE:
        """As it is."""
        return sae


@dataclass(frozen=True)
class BatchTopK(Base):
    """The k*B largest pre-activations of a batch, AuxK, and a threshold at inference (2412.06410)."""

    controlled = False
    k: int
    aux_weight: float
    decay: float

    def select(self, step: Step) -> Pairs:
        """The k*B largest of the whole batch."""
        return batch_topk(step.pre, self.k * step.tokens, step.world)

    def terms(self, step: Step, value: Tensor, error: Tensor) -> dict[str, Tensor]:
        """AuxK, while a latent is dead."""
        return auxk(step, error, self.aux_weight)

    def dense(self, step: Step, value: Tensor, pairs: Pairs) -> Tensor:
        """The selected codes, zero elsewhere."""
        return pairs.dense(value.detach())

    def floor(self, state: Threshold) -> float:
        """The learnt threshold; zero before one was learnt."""
        learnt = state.smallest.value()
        return 0.0 if learnt is None else float(learnt)

    def learn(self, step: Step, objective: Objective, state: Threshold) -> None:
        """Move the threshold towards the smallest kept activation; a batch without one changes nothing."""
        smallest = step.world.smallest(objective.codes.value)
        if smallest is not None:
            state.smallest.move(smallest, self.decay)

    def export(self, sae: SAE, state: Threshold) -> SAE:
        """A jumprelu SAE, the threshold standing for all latents; 0 before one was learnt."""
        learnt = state.smallest.value()
        threshold = torch.zeros(()) if learnt is None else learnt
        return replace(sae, architecture="jumprelu", threshold=threshold.to(sae.W_enc).expand(sae.n).clone())


class Based(Variant):
    """A method on the base that its section names, or, where it names none, on BatchTopK."""

    keeps = Threshold
    config: BasedConfig | BatchTopConfig
    state: Threshold

    def __init__(self, config: BasedConfig | BatchTopConfig, d: int, n: int, l0: int | None) -> None:
        super().__init__(config, d, n, l0)
        self.base = _base(config, l0)
        self.controlled = self.base.controlled

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """What the base learns."""
        self.base.learn(step, objective, self.state)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """As the base has it."""
        return self.base.export(super().export(weights), self.state)


def _base(config: BasedConfig | BatchTopConfig, l0: int | None) -> Base:
    if isinstance(config, BasedConfig) and config.base == "l1":
        return L1()
    assert l0 is not None
    return BatchTopK(l0, config.aux_weight, config.threshold_decay)
