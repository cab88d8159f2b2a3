"""On for a while, then off for a while: Markov chains over a context's tokens, and what hangs on them."""

from __future__ import annotations

import torch
from torch import Tensor


def starts(rate: float, stay: float) -> float:
    """P(on | off before) that keeps the share of tokens on at `rate`, when on stays on with `stay`."""
    return rate * (1 - stay) / (1 - rate)


def chain(rate: float, stay: Tensor, contexts: int, length: int, random: torch.Generator) -> Tensor:
    """(contexts, length, K) bool: K chains with their own `stay` (K,), begun in their stationary state."""
    shape, start = (contexts, len(stay)), rate * (1 - stay) / (1 - rate)
    on = torch.rand(shape, generator=random) < rate
    steps = [on]
    for _ in range(length - 1):
        u = torch.rand(shape, generator=random)
        on = torch.where(on, u < stay, u < start)
        steps.append(on)
    return torch.stack(steps, dim=1)


def rows_of(on: Tensor) -> tuple[Tensor, Tensor]:
    """(token, which) of what is `on` (contexts, length, K), tokens numbered through all contexts."""
    context, position, which = on.nonzero(as_tuple=True)
    return context * on.shape[1] + position, which


def under(
    token: Tensor, which: Tensor, each: int, rate: float, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(token, feature) of `each` features per chain, drawn at `rate` only where the chain is on."""
    fires = torch.rand((token.numel(), each), generator=random) < rate
    entry, feature = fires.nonzero(as_tuple=True)
    return token[entry], which[entry] * each + feature
