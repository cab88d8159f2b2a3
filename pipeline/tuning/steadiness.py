"""Chance-corrected persistence of an SAE on validation tokens, as `reconstruction` defines it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.sae.core.inference import SAE
from pipeline.store import Store
from pipeline.store.blocks import blocks
from pipeline.store.reader import Batch

BLOCK = 8
"""Contexts encoded at once: their codes are held dense."""


@dataclass(frozen=True)
class Steadiness:
    """By count and weighted by f^2: 0 where the order of tokens makes no difference."""

    persistence: float
    persistence_energy: float


@torch.no_grad()
def steadiness(sae: SAE, store: Store, tokens: int, device: torch.device, seed: int) -> Steadiness:
    """Measured on whole validation contexts, of about `tokens` tokens; `seed` is of the random order."""
    held = list(_contexts(store, tokens, device))
    x = torch.cat([each.x for each in held])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    ordered, shuffled = _switching(sae, x, held), _switching(sae, x[order.to(x.device)], held)
    count, energy = (1 - ordered / shuffled.clamp_min(1e-12)).tolist()
    return Steadiness(count, energy)


def _contexts(store: Store, tokens: int, device: torch.device) -> list[Batch]:
    """Blocks of whole validation contexts, until there are `tokens` tokens."""
    held: list[Batch] = []
    for block in blocks(store, BLOCK, device, "validation"):
        held.append(block)
        if sum(len(each.x) for each in held) >= tokens:
            break
    return held


def _switching(sae: SAE, x: Tensor, held: list[Batch]) -> Tensor:
    """(2,) float64: flicker, and its twin by energy, of rows `x` in the places of the blocks `held`."""
    sums = torch.zeros(4, dtype=torch.float64)
    for batch, rows in zip(held, x.split([len(each.x) for each in held]), strict=True):
        f, pair = sae.encode(rows).dense().cpu(), _followed(batch)
        now, after = f[:-1][pair].double(), f[1:][pair].double()
        both = (now > 0) & (after > 0)
        on = (now > 0).sum()
        sums += torch.stack([on - both.sum(), on, *_energy(now, both) + _energy(after, both)])
    return torch.stack([sums[0] / sums[1].clamp_min(1), sums[2] / sums[3].clamp_min(1)])


def _energy(f: Tensor, both: Tensor) -> Tensor:
    """(2,): the share of each row's energy outside of `both`, summed; and how many rows have any."""
    energy = f.square()
    norm = energy.sum(1)
    alive = norm > 0
    kept = (energy * both).sum(1)[alive] / norm[alive]
    return torch.stack([(1 - kept).sum(), alive.sum().double()])


def _followed(batch: Batch) -> Tensor:
    """(B - 1,) bool: whether the next row is the next token of the same document and context."""
    position = batch.position.cpu() - torch.arange(len(batch.position))
    parts = [each[1:] == each[:-1] for each in (batch.document.cpu(), batch.context.cpu(), position)]
    return torch.stack(parts).all(0)
