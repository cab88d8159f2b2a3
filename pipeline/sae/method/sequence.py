"""Which rows of a batch are neighbours in the text."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from pipeline.sae.method.variant import Step


def follows(step: Step) -> Tensor:
    """(B,) bool: row b is the token right after row b - 1, in the same document and context."""
    same = (step.context[1:] == step.context[:-1]) & (step.document[1:] == step.document[:-1])
    next_to = same & (step.position[1:] == step.position[:-1] + 1)
    return torch.cat([next_to.new_zeros(1), next_to])


def segments(step: Step) -> list[tuple[int, int]]:
    """Where each context's rows begin and end in a batch read as contexts."""
    cuts = ((step.context[1:] != step.context[:-1]).nonzero().squeeze(1) + 1).tolist()
    edges = [0, *cuts, len(step.context)]
    return list(pairwise(edges))


def pasts(step: Step) -> Tensor:
    """(B,) int64: how many rows right above each are the tokens before it, of its document and context."""
    place = torch.arange(len(step.context), device=step.context.device)
    return place - torch.where(follows(step), 0, place).cummax(0).values
