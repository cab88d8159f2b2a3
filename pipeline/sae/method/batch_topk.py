"""BatchTopK's pieces, shared by every variant that selects over the batch.

Bussmann et al. 2024 (2412.06410): in training the k*B largest pre-activations of the whole batch are
kept; at inference a fixed threshold, learnt as a running average of the smallest kept activation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from pydantic import Field
from torch import Tensor

from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.topk import largest
from pipeline.sae.method.state import Average, State
from pipeline.sae.method.variant import MethodConfig


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
