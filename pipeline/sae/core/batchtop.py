"""BatchTopK's two pieces, shared by every variant that selects over the batch.

Bussmann et al. 2024 (2412.06410): in training the k*B largest pre-activations of the whole batch are
kept; at inference a fixed threshold, learnt as a running average of the smallest kept activation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.sae.core.codes import Pairs


def batch_top(pre: Tensor, count: int) -> Pairs:
    """The `count` largest positive entries of `pre` (B, n)."""
    positive = Pairs.where(pre > 0)
    if len(positive) <= count:
        return positive
    kept = positive.at(pre).topk(count, sorted=False).indices.sort().values
    return Pairs.of(positive.token[kept], positive.latent[kept], *pre.shape)


def update_threshold(state: dict[str, Tensor], smallest: Tensor, decay: float) -> None:
    """Move `state["threshold"]` () towards the batch's smallest kept activation, bias-corrected.

    The raw average and its weight are kept so that the first steps count fully instead of pulling
    towards an arbitrary start.
    """
    average = state.setdefault("average", torch.zeros_like(smallest))
    weight = state.setdefault("weight", torch.zeros_like(smallest))
    average.mul_(decay).add_(smallest, alpha=1 - decay)
    weight.mul_(decay).add_(1 - decay)
    state["threshold"] = average / weight
