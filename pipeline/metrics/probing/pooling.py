"""Mean codes of texts: what probes are fitted on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.metrics.common.lookup import Lookup
from pipeline.sae.core.codes import Codes
from pipeline.sae.core.inference import SAE

ROWS = 4096
"""Tokens encoded at a time, about."""


def pooled_codes(sae: SAE, x: Tensor, offsets: Tensor) -> Tensor:
    """(X, n) float32 on the CPU: mean code of each text's tokens `x` (N, d); text i owns offsets[i:i + 2]."""

    def encode(rows: slice) -> Codes:
        return sae.encode(x[rows].to(sae.W_enc.device), past[rows].to(sae.W_enc.device))

    # special tokens are left out of `x`, at a text's beginning
    past = torch.arange(len(x)) - torch.repeat_interleave(offsets[:-1], offsets.diff())

    return _pooled(encode, sae.n, offsets)


def pooled_lookup(lookup: Lookup, ids: Tensor, offsets: Tensor) -> Tensor:
    """(X, V): the same of the token lookup, whose tokens have the ids `ids` (N,)."""
    return _pooled(lambda rows: lookup.encode(ids[rows]), lookup.n, offsets)


def _pooled(encode: Callable[[slice], Codes], n: int, offsets: Tensor) -> Tensor:
    lengths = offsets.diff()
    out = torch.zeros(len(lengths), n)
    start = 0
    while start < len(lengths):
        # whole texts, about ROWS tokens of them
        stop = int(torch.searchsorted(offsets, offsets[start] + ROWS, right=True)) - 1
        stop = max(min(stop, len(lengths)), start + 1)
        codes = encode(slice(int(offsets[start]), int(offsets[stop])))
        token, latent, value = codes.pairs.token.cpu(), codes.pairs.latent.cpu(), codes.value.cpu()
        text = torch.repeat_interleave(torch.arange(start, stop), lengths[start:stop])[token]
        # one-dimensional and on the CPU: added in one order, hence the same bits on every run
        out.view(-1).index_add_(0, text * n + latent, value / lengths[text])
        start = stop
    return out
