"""Mean codes of texts: what probes are fitted on."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.sae.core.inference import SAE

ROWS = 4096
"""Tokens encoded at a time, about."""


def pooled_codes(sae: SAE, x: Tensor, offsets: Tensor) -> Tensor:
    """(X, n) float32 on the CPU: mean code of each text's tokens `x` (N, d); text i owns offsets[i:i + 2]."""
    lengths = offsets.diff()
    out = torch.zeros(len(lengths), sae.n)
    start = 0
    while start < len(lengths):
        # whole texts, about ROWS tokens of them
        stop = int(torch.searchsorted(offsets, offsets[start] + ROWS, right=True)) - 1
        stop = max(min(stop, len(lengths)), start + 1)
        codes = sae.encode(x[offsets[start] : offsets[stop]].to(sae.W_enc.device))
        token, latent, value = codes.pairs.token.cpu(), codes.pairs.latent.cpu(), codes.value.cpu()
        text = torch.repeat_interleave(torch.arange(start, stop), lengths[start:stop])[token]
        # one-dimensional and on the CPU: added in one order, hence the same bits on every run
        out.view(-1).index_add_(0, text * sae.n + latent, value / lengths[text])
        start = stop
    return out
