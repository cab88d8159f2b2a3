"""How many rows before a row are its own past: what an SAE may read that encodes a token in its context.

Rows come in the order of the text. Row b's past are the `past[b]` rows right above it: the tokens right
before it, of the same context and document, without a gap (a special token is one).
"""

from __future__ import annotations

import torch
from torch import Tensor


def past(context: Tensor, document: Tensor, position: Tensor) -> Tensor:
    """(B,) int64, 0 for a row that begins a run; from each row's `context`, `document`, `position` (B,)."""
    begins = torch.ones_like(context, dtype=torch.bool)
    same = (context[1:] == context[:-1]) & (document[1:] == document[:-1])
    begins[1:] = ~(same & (position[1:] == position[:-1] + 1))
    return since(begins)


def since(begins: Tensor) -> Tensor:
    """(B,) int64: the rows since the last one for which `begins` (B,) bool is true, as the first is."""
    place = torch.arange(len(begins), device=begins.device)
    return place - torch.where(begins, place, 0).cummax(0).values if len(begins) else place
