"""The activations of a few latents at every token of a split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.sae.core.inference import SAE
from pipeline.store import Batch, Store


@dataclass(frozen=True)
class LatentActivations:
    """C latents over the K contexts of T tokens of one split."""

    latents: list[int]
    activations: Tensor  # (K, T, C) float32, 0 at special tokens
    tokens: Tensor  # (K, T) int64
    valid: Tensor  # (K, T) bool, False at special tokens
    document: Tensor  # (K, T) int64

    @property
    def followed(self) -> Tensor:
        """(K, T - 1) bool: tokens whose next one is of the same document and context, neither special."""
        same = self.document[:, 1:] == self.document[:, :-1]
        return same & self.valid[:, 1:] & self.valid[:, :-1]

    def flicker(self, place: int) -> float | None:
        """Of the followed tokens on which latent `place` fires, the share on whose next one it is silent."""
        on = self.activations[:, :, place] > 0
        here = on[:, :-1] & self.followed
        count = int(here.sum())
        return 1 - int((here & on[:, 1:]).sum()) / count if count else None


@torch.no_grad()
def activations_of(
    sae: SAE, store: Store, blocks: Iterable[Batch], latents: Sequence[int], split: str = "test"
) -> LatentActivations:
    """Encode every block of `split` and keep what `latents` do."""
    rows, length = store.split(split), store.context_length
    place = torch.full((sae.n,), -1)
    place[list(latents)] = torch.arange(len(latents))
    kept = torch.zeros(len(rows), len(latents))
    for block in blocks:
        codes = sae.encode(block.x, block.past)
        mine = place.to(codes.pairs.latent.device)[codes.pairs.latent]
        own = mine >= 0
        at = (block.context * length + block.position - rows.start)[codes.pairs.token[own].cpu()]
        kept[at, mine[own].cpu()] = codes.value[own].float().cpu()

    def shaped(values: object) -> Tensor:
        return torch.as_tensor(values)[rows.start : rows.stop].view(-1, length)

    return LatentActivations(
        list(latents),
        kept.view(-1, length, len(latents)),
        shaped(store.tokens).long(),
        shaped(store.valid),
        shaped(store.document).long(),
    )
