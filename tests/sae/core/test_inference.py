"""The four encoders against NumPy; folding of the input scale; unit decoder rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.sae.core.inference import SAE, Architecture

D, N, K = 7, 23, 4


def sae(architecture: Architecture, seed: int = 0) -> SAE:
    g = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g)

    made = SAE(architecture, W_enc=randn(D, N), W_dec=randn(N, D), b_dec=randn(D), b_enc=randn(N))
    if architecture == "topk":
        return replace(made, k=K)
    if architecture == "jumprelu":
        threshold = randn(N).abs()
        threshold[3], threshold[4] = torch.inf, -1.0
        return replace(made, threshold=threshold)
    if architecture == "gated":
        return replace(made, b_enc=None, r_mag=randn(N) / 2, b_mag=randn(N), b_gate=randn(N))
    return made


def numpy_codes(made: SAE, x: np.ndarray) -> np.ndarray:
    w = {name: t.double().numpy() for name, t in vars(made).items() if isinstance(t, torch.Tensor)}
    c = (x - w["b_dec"]) @ w["W_enc"]
    if made.architecture == "gated":
        return (c + w["b_gate"] > 0) * np.maximum(c * np.exp(w["r_mag"]) + w["b_mag"], 0)
    pre = c + w["b_enc"]
    if made.architecture == "topk":
        f = np.zeros_like(pre)
        for row, out in zip(pre, f, strict=True):
            best = np.argsort(-row)[:K]
            out[best] = np.maximum(row[best], 0)
        return f
    if made.architecture == "jumprelu":
        return np.where(pre > np.maximum(w["threshold"], 0), pre, 0.0)
    return np.maximum(pre, 0)


ARCHITECTURES: list[Architecture] = ["standard", "topk", "jumprelu", "gated"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_against_numpy(architecture: Architecture) -> None:
    made = sae(architecture)
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(1)) * 0.8
    expected = numpy_codes(made, x.double().numpy())
    codes = made.encode(x)
    np.testing.assert_allclose(codes.dense(), expected, atol=2e-5)
    assert bool((codes.value > 0).all())
    assert 0 < codes.l0() == (expected > 0).sum() / len(x)
    back = expected @ made.W_dec.double().numpy() + made.b_dec.double().numpy()
    np.testing.assert_allclose(made.reconstruct(x), back, atol=5e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("scale", [0.03, 1.0, 17.0])
def test_folding(architecture: Architecture, scale: float) -> None:
    """folded(x) == unfolded(s x) / s, codes and reconstructions."""
    made = sae(architecture)
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(2)) / scale
    folded = made.scaled(scale)
    codes, expected = folded.encode(x), made.encode(scale * x)
    torch.testing.assert_close(codes.dense() * scale, expected.dense(), atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(
        folded.reconstruct(x) * scale, made.reconstruct(scale * x), atol=5e-5, rtol=1e-5
    )


@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "gated"])
def test_unit_decoder_keeps_the_function(architecture: Architecture) -> None:
    made = sae(architecture)
    made.W_dec[6] = 0
    unit = made.unit_decoder()
    norms = unit.W_dec.norm(dim=1)
    assert norms[6] == 0
    torch.testing.assert_close(norms[norms > 0], torch.ones(N - 1))
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(unit.reconstruct(x), made.reconstruct(x), atol=5e-5, rtol=1e-5)
    expected = made.encode(x).dense() * made.W_dec.norm(dim=1).where(norms > 0, torch.ones(N))
    torch.testing.assert_close(unit.encode(x).dense(), expected, atol=5e-5, rtol=1e-5)


def test_topk_of_all_latents_is_relu() -> None:
    plain = sae("standard")
    x = torch.randn(9, D, generator=torch.Generator().manual_seed(4))
    every = replace(plain, architecture="topk", k=N)
    torch.testing.assert_close(every.encode(x).dense(), plain.encode(x).dense())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_silent_batch_reconstructs_b_dec(architecture: Architecture) -> None:
    made = sae(architecture)
    low = torch.full((N,), -1e6)
    silent = replace(made, b_gate=low) if architecture == "gated" else replace(made, b_enc=low)
    x = torch.zeros(3, D)
    assert silent.encode(x).l0() == 0
    torch.testing.assert_close(silent.reconstruct(x), made.b_dec.expand(3, D))
