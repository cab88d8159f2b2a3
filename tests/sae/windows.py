"""SAEs that read windows, random and by design, and their codes the plain way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pipeline.sae.core.inference import SAE
from pipeline.sae.core.window import Window

D, N, K, TOKENS = 5, 18, 2, 3


def windowed(seed: int = 0, tokens: int = TOKENS, groups: int = 1) -> SAE:
    """Random weights, a window of `tokens`."""
    g = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    window = Window(randn(tokens - 1, D, N), randn(tokens - 1, N, D), randn(tokens - 1, D), groups)
    return SAE("window", randn(D, N), randn(N, D), randn(D), randn(N), K, window=window)


def late(sae: SAE) -> SAE:
    """An SAE whose code of a token is the code that `sae`, a topk, gives the token before it."""
    assert sae.b_enc is not None
    window = Window(sae.W_enc[None], torch.zeros_like(sae.W_dec)[None], sae.b_dec[None])
    own = replace(sae, W_enc=torch.zeros_like(sae.W_enc))
    return replace(own, architecture="window", window=window)


def plain_codes(sae: SAE, x: np.ndarray, past: np.ndarray) -> np.ndarray:
    """(B, n) float64: window by window, token by token."""
    assert sae.window is not None
    assert sae.b_enc is not None
    w = {name: t.double().numpy() for name, t in vars(sae).items() if isinstance(t, torch.Tensor)}
    before = {name: t.double().numpy() for name, t in sae.window.tensors().items()}
    out = np.zeros((len(x), sae.n))
    for row in range(len(x)):
        pre = (x[row] - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
        for back in range(1, min(sae.context - 1, int(past[row])) + 1):
            pre += (x[row - back] - before["b_dec"][back - 1]) @ before["W_enc"][back - 1]
        for part in np.split(np.arange(sae.n), sae.window.groups):
            best = part[np.argsort(-pre[part])[: sae.k]]
            out[row, best] = np.maximum(pre[best], 0)
    return out
