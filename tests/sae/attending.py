"""SAEs that read all earlier tokens, random, and their codes the plain way."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.sae.core.attention import Attention
from pipeline.sae.core.inference import SAE

D, N, K, HEADS, KEYS, VALUES = 5, 18, 6, 2, 6, 8
Array = np.ndarray


def attending(seed: int = 0, kept: int | None = 2) -> SAE:
    """Random weights; of 6 codes per token `kept` are predictable."""
    g = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    attention = Attention(
        0.3 * randn(N, KEYS), randn(KEYS), 0.3 * randn(N, KEYS), randn(N, VALUES), randn(VALUES),
        randn(VALUES, N), randn(N), HEADS, kept,
    )  # fmt: skip
    return SAE("tfa", randn(D, N), randn(N, D), randn(D), randn(N), K, attention=attention)


def plain_codes(sae: SAE, x: Array, past: Array) -> tuple[Array, Array]:
    """(B, n) float64 predictable and novel codes: token by token, head by head."""
    assert sae.attention is not None
    assert sae.k is not None
    assert sae.b_enc is not None
    w = {name: t.double().numpy() for name, t in vars(sae).items() if isinstance(t, torch.Tensor)}
    a = {name: t.double().numpy() for name, t in sae.attention.tensors().items()}
    z = np.maximum((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"], 0)
    predictable, novel = np.zeros_like(z), np.zeros_like(z)
    for row in range(len(x)):
        before = z[row - past[row] : row]
        p = predicted(z[row], before, a, sae.attention.heads)
        if sae.attention.kept is not None:
            p[np.argsort(-p)[sae.attention.kept :]] = 0
        along, own = p @ w["W_dec"], x[row] - w["b_dec"]
        size = own @ along / (along @ along) if p.any() else 0.0
        predictable[row] = max(size, 0) * p
        pre = (own - max(size, 0) * along) @ w["W_enc"] + w["b_enc"]
        active = set() if sae.attention.kept is None else set(np.flatnonzero(predictable[row]))
        for latent in np.argsort(-pre)[: sae.k]:
            if pre[latent] <= 0 or len(active | {latent}) > sae.k:
                break
            active.add(latent)
            novel[row, latent] = pre[latent]
    return predictable, novel


def predicted(own: Array, before: Array, a: dict[str, Array], heads: int) -> Array:
    """(n,) p of one token with codes `own` (n,) after tokens with codes `before` (s, n)."""
    context = np.concatenate([np.zeros((1, len(own))), before])
    mixed = []
    for head in range(heads):
        q, k, v = (
            np.split(z @ a[f"W_{name}"] + a.get(f"b_{name}", 0.0), heads, axis=-1)[head]
            for name, z in (("q", own), ("k", context), ("v", context))
        )
        score = k @ q / len(q) ** 0.5
        score = np.exp(score - score.max())
        mixed.append(score / score.sum() @ v)
    return np.maximum(np.concatenate(mixed) @ a["W_o"] + a["b_o"], 0)
