"""Persistence against its definition, counted in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.sae.core.inference import SAE
from pipeline.store import Store
from pipeline.tuning.steadiness import steadiness

CPU = torch.device("cpu")
CONTEXTS, T, N = 24, 16, 6


def of_codes(codes: torch.Tensor, document: torch.Tensor) -> tuple[SAE, Store]:
    """An SAE whose codes on the store's rows are `codes` (C * T, N), all of it validation."""
    splits = {"train": (0, 1), "validation": (0, CONTEXTS)}
    store = Store.from_tensors(codes, document, context_length=T, splits=splits)
    eye = torch.eye(N)
    return SAE("standard", W_enc=eye, W_dec=eye, b_enc=torch.zeros(N), b_dec=torch.zeros(N)), store


def naive(codes: np.ndarray, document: np.ndarray) -> tuple[float, float]:
    """Flicker, and the share of energy in latents that switch, both directions."""
    off = on = switched = sides = 0.0
    for t in range(len(codes) - 1):
        if (t + 1) % T == 0 or document[t] != document[t + 1]:
            continue
        a, b = codes[t], codes[t + 1]
        on += (a > 0).sum()
        off += ((a > 0) & (b == 0)).sum()
        for one, other in ((a, b), (b, a)):
            if one.any():
                sides += 1
                switched += (one[other == 0] ** 2).sum() / (one**2).sum()
    return off / on, switched / sides


def test_both_kinds_are_one_minus_ordered_over_shuffled() -> None:
    g = torch.Generator().manual_seed(1)
    document = torch.arange(CONTEXTS * T) // 8
    slow = (torch.rand(CONTEXTS * 2, N, generator=g) < 0.4)[document]
    size, kept = torch.rand(2, CONTEXTS * T, N, generator=g)
    codes = slow * (1 + size) * (kept < 0.9)
    sae, store = of_codes(codes, document)
    found = steadiness(sae, store, CONTEXTS * T, CPU, seed=3)
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(3))
    ordered = naive(codes.numpy(), document.numpy())
    shuffled = naive(codes[order].numpy(), document.numpy())
    assert found.persistence == pytest.approx(1 - ordered[0] / shuffled[0], abs=1e-6)
    assert found.persistence_energy == pytest.approx(1 - ordered[1] / shuffled[1], abs=1e-6)
    assert found.persistence_energy > 0.5


def test_codes_without_order_have_none() -> None:
    g = torch.Generator().manual_seed(2)
    codes = torch.rand(CONTEXTS * T, N, generator=g) * (torch.rand(CONTEXTS * T, N, generator=g) < 0.3)
    sae, store = of_codes(codes, torch.zeros(CONTEXTS * T, dtype=torch.int64))
    assert abs(steadiness(sae, store, CONTEXTS * T, CPU, seed=3).persistence) < 0.1
