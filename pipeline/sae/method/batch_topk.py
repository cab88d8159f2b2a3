"""BatchTopK's pieces, shared by every variant that selects over the batch.

Bussmann et al. 2024 (2412.06410): in training the k*B largest pre-activations of the whole batch are
kept; at inference a fixed threshold, learnt as a running average of the smallest kept activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from pydantic import Field
from torch import Tensor

from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.topk import largest
from pipeline.sae.method.state import Average, State
from pipeline.sae.method.variant import LoopState, MethodConfig, Objective, Step, Variant


class BatchTopConfig(MethodConfig):
    """A method that selects over the batch."""

    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")
    threshold_decay: float = Field(0.99, gt=0, lt=1, description="running average of the smallest kept code")


def batch_topk(pre: Tensor, count: int, world: World = ALONE) -> Pairs:
    """The `count` largest positive entries of `pre` (B, n); of all processes' rows, those that are here."""
    pairs = largest(pre, count)
    if world.size == 1:
        return pairs
    # what is not among this process's own `count` largest is not among those of all
    values = world.gather(pairs.at(pre))
    everyone = torch.cat(values)
    if len(everyone) <= count:
        return pairs
    # the same numbers everywhere, so the same choice, ties included
    kept = everyone.topk(count, sorted=False).indices - sum(map(len, values[: world.rank]))
    return _only(pairs, kept[(kept >= 0) & (kept < len(pairs))])


def _only(pairs: Pairs, kept: Tensor) -> Pairs:
    kept = kept.sort().values
    return Pairs.of(pairs.token[kept], pairs.latent[kept], pairs.batch, pairs.n)


@dataclass
class Threshold(State):
    """The smallest kept activation."""

    smallest: Average = field(default_factory=Average)


class BatchTopMethod(Variant):
    """A method that selects over the batch, k = the L0 target, and learns a threshold for inference."""

    controlled = False
    keeps = Threshold
    config: BatchTopConfig
    state: Threshold

    def select(self, step: Step) -> Pairs:
        """The k*B largest pre-activations of the batch."""
        assert self.l0 is not None
        return batch_topk(step.pre, self.l0 * step.tokens, step.world)

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Move the threshold towards the smallest kept activation; a batch without one changes nothing."""
        smallest = step.world.smallest(objective.codes.value)
        if smallest is not None:
            self.state.smallest.move(smallest, self.config.threshold_decay)

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A jumprelu SAE, the threshold standing for all latents; 0 before one was learnt."""
        sae, learnt = super().export(weights), self.state.smallest.value()
        threshold = torch.zeros(()) if learnt is None else learnt
        return replace(sae, architecture="jumprelu", threshold=threshold.to(sae.W_enc).expand(sae.n).clone())
