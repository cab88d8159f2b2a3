"""The token lookup: the SAE that knows nothing but which token it sees, effective L0 1.

One latent per token id, whose row is that id's mean activation over the train split. What it reaches needs
no context; a temporal score that it shares is a property of the text's words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes, Pairs


@dataclass(frozen=True)
class Lookup:
    """V token ids `ids` (V,), ascending, `centre` (d,) and each id's mean minus it, `offset` (V, d)."""

    ids: Tensor
    centre: Tensor
    offset: Tensor

    @property
    def n(self) -> int:
        """V, its latents."""
        return len(self.ids)

    def encode(self, tokens: Tensor) -> Codes:
        """Codes of `tokens` (B,): the token's own latent at |offset|; none for a token without a mean."""
        place, known = self._place(tokens)
        value = self.offset.norm(dim=1)[place[known]]
        return Codes(Pairs.of(known.nonzero().squeeze(1), place[known], len(tokens), self.n), value)

    def reconstruct(self, tokens: Tensor) -> Tensor:
        """(B, d): the mean activation of each of `tokens` (B,), `centre` for one without."""
        place, known = self._place(tokens)
        return self.centre + torch.where(known[:, None], self.offset[place], 0.0)

    def _place(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.searchsorted(self.ids, tokens).clamp_max(self.n - 1)
        return place, self.ids[place] == tokens


def fit(blocks: Iterable[tuple[Tensor, Tensor]], wanted: Tensor, d: int) -> Lookup:
    """The lookup of the ids among `wanted` that occur in `blocks`: pairs of rows (B, d) and their ids (B,).

    Held in memory for these ids alone: a large vocabulary's means are not needed all. Its centre is the mean
    of all rows. Raises ValueError when no id of `wanted` occurs.
    """
    ids = torch.unique(wanted)
    total, count = torch.zeros(len(ids) + 1, d, dtype=torch.float64), torch.zeros(len(ids) + 1)
    for x, tokens in blocks:
        place = torch.searchsorted(ids, tokens).clamp_max(len(ids) - 1)
        place = torch.where(ids[place] == tokens, place, len(ids))  # the last row takes all others
        total.index_add_(0, place, x.double().cpu())
        count += torch.bincount(place, minlength=len(count))
    seen = (count[:-1] > 0).nonzero().squeeze(1)
    if not len(seen):
        raise ValueError("no wanted token occurs in the text to fit on")
    centre = total.sum(0) / count.sum()
    offset = total[seen] / count[seen, None] - centre
    return Lookup(ids[seen], centre.float(), offset.float())
