"""What two neighbouring tokens' codes have in common, summed per token: what persistence is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.metrics.reconstruction.entries import Entries

SWITCHING = ("on_followed", "stays_on", "sides", "switched", "smoothness")
"""Per pair (t, t + 1), kept at t: the latents on at t; those of them on at t + 1; how many of both codes are
not zero; each one's share of energy in latents silent in the other, added; |change of f| / |change of x|."""

WITHOUT_DENSE = "_without_dense"


def switching(entries: Entries, counted: Tensor, followed: Tensor, moved: Tensor) -> dict[str, Tensor]:
    """(B,) float64 per column of `SWITCHING`, over the entries `counted` (E,) bool alone.

    `followed` (B,) bool: whether the next row is the successor; `moved` (B,): |x_(t+1) - x_t|, 0 leaves the
    pair out of smoothness.
    """
    batch, value = len(followed), entries.value
    stays, found = entries.matched(followed)
    stays = stays & counted
    energy = torch.where(counted, value.square(), 0.0)
    norm = entries.by_token(energy, batch)
    alive, moving = norm > 0, followed & (moved > 0)
    share = energy / torch.where(alive, norm, 1.0)[entries.token]
    kept = entries.by_token(torch.where(stays, share + share[found], 0.0), batch)
    product = entries.by_token(torch.where(stays, value * value[found], 0.0), batch)
    change = (norm + norm.roll(-1) - 2 * product).clamp_min(0).sqrt()
    sides = torch.where(followed, alive.double() + alive.roll(-1).double(), 0.0)
    return {
        "on_followed": entries.by_token(followed[entries.token] & counted, batch),
        "stays_on": entries.by_token(stays, batch),
        "sides": sides,
        "switched": (sides - kept).clamp_min(0),
        "smoothness": torch.where(moving, change / torch.where(moving, moved, 1.0), 0.0),
    }
