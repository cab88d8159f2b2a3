"""BatchTopK's pieces, shared by every variant that selects over the batch.

Bussmann et al. 2024 (2412.06410): in training the k*B largest pre-activations of the whole batch are
kept; at inference a fixed threshold, learnt as a running average of the smallest kept activation.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field
from torch import Tensor

from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.top import largest
from pipeline.sae.core.variant import MethodConfig, Step


class BatchTopConfig(MethodConfig):
    """A method that selects over the batch."""

    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")
    threshold_decay: float = Field(0.99, gt=0, lt=1, description="running average of the smallest kept code")


def batch_top(pre: Tensor, count: int, world: World = ALONE) -> Pairs:
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


def learn_threshold(state: dict[str, Tensor], step: Step, codes: Codes, decay: float) -> None:
    """Move `state["threshold"]` () towards the smallest kept activation of `codes`, bias-corrected.

    The raw average and its weight are kept so that the first steps count fully instead of pulling
    towards an arbitrary start. A batch without an active pair changes nothing.
    """
    smallest = step.world.smallest(codes.value)
    if smallest is None:
        return
    average = state.setdefault("average", torch.zeros_like(smallest))
    weight = state.setdefault("weight", torch.zeros_like(smallest))
    average.mul_(decay).add_(smallest, alpha=1 - decay)
    weight.mul_(decay).add_(1 - decay)
    state["threshold"] = average / weight


def thresholded(sae: SAE, state: dict[str, Tensor]) -> SAE:
    """`sae` as jumprelu, the learnt threshold standing for all latents; 0 before one was learnt."""
    threshold = state.get("threshold", torch.zeros(()))
    return replace(sae, architecture="jumprelu", threshold=threshold.to(sae.W_enc).expand(sae.n).clone())
