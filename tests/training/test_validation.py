"""Validation figures against NumPy, and the thresholds of divergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pipeline.store import Batch
from pipeline.training.validation import Validation, validate
from tests.sae.core.test_inference import ARCHITECTURES, D, numpy_codes, sae


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_validate(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.validation.BLOCK", 16)  # more than one block, the last one short
    made = sae(architecture)  # type: ignore[arg-type]
    x = torch.randn(50, D, generator=torch.Generator().manual_seed(1)) + 1
    wide = x.double().numpy()
    f = numpy_codes(made, wide)
    back = f @ made.W_dec.double().numpy() + made.b_dec.double().numpy()
    rows = torch.arange(50)
    found = validate(made, Batch(x, rows, torch.zeros_like(rows), rows))
    assert found.l0 == pytest.approx((f > 0).sum(1).mean())
    spread = ((wide - wide.mean(0)) ** 2).sum()
    assert found.explained_variance == pytest.approx(1 - ((wide - back) ** 2).sum() / spread, rel=1e-4)
    ratio = np.linalg.norm(back, axis=1).mean() / np.linalg.norm(wide, axis=1).mean()
    assert found.norm_ratio == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize(
    ("explained_variance", "norm_ratio", "reason"),
    [
        (0.0, 1.0, None), (0.9, 0.25, None), (0.9, 1.5, None),
        (-1e-6, 1.0, "explained variance"), (-1151.0, 23.0, "explained variance"),
        (0.5, 0.24, "outside"), (0.5, 1.51, "outside"),
        (math.nan, 1.0, "explained variance"), (0.5, math.nan, "outside"),
    ],
)  # fmt: skip
def test_thresholds(explained_variance: float, norm_ratio: float, reason: str | None) -> None:
    fault = Validation(4.0, explained_variance, norm_ratio).fault()
    assert (fault is None) == (reason is None)
    assert reason is None or reason in str(fault)
