"""Latent selection against dense NumPy and torch's own Adam."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.metrics.absorption.selection import Columns, l1_probe, mean_difference, select
from pipeline.sae.core.codes import Codes, Pairs


def sparse(dense: torch.Tensor) -> Codes:
    pairs = Pairs.where(dense > 0)
    return Codes(pairs, pairs.at(dense))


def example() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    dense = torch.relu(torch.randn(60, 12, generator=g)) * 3
    dense[:, 4] = 0
    letter = torch.arange(60) % 26
    y = letter[None] == torch.arange(26)[:, None]
    return dense, y, torch.rand(26, 60, generator=g) < 0.9


def test_mean_difference_is_the_difference_of_means() -> None:
    dense, y, include = example()
    columns = Columns.of(sparse(dense))
    assert columns.latents.tolist() == [i for i in range(12) if i != 4]
    found = mean_difference(columns, y, include)
    x = dense.double().numpy()
    for p in range(26):
        up, down = (y[p] & include[p]).numpy(), (~y[p] & include[p]).numpy()
        if up.any():
            expected = x[up].mean(0) - x[down].mean(0)
            np.testing.assert_allclose(found[:, p], np.delete(expected, 4), atol=1e-5)


def test_selection_is_signed_and_ties_go_to_the_lower_latent() -> None:
    dense = torch.zeros(4, 6)
    dense[:2, 3] = 2.0  # speaks for the class
    dense[2:, 1] = 9.0  # speaks against it, louder
    y = torch.tensor([[True, True, False, False]])
    top = select(sparse(dense), y, torch.ones_like(y), 4, "mean_difference")
    assert top.tolist() == [[3, 0, 2, 4]]


def test_l1_probe_is_saebenchs_recipe_from_zero() -> None:
    dense, y, _ = example()
    include = torch.ones_like(y)
    probe = torch.nn.Linear(12, 26)
    for parameter in probe.parameters():
        torch.nn.init.zeros_(parameter)
    target = y.T.float()
    loss = torch.nn.BCEWithLogitsLoss(pos_weight=(60 - target.sum(0)) / target.sum(0))
    adam = torch.optim.Adam(probe.parameters(), lr=0.01, weight_decay=1e-6)
    rate = torch.optim.lr_scheduler.ExponentialLR(adam, gamma=(1e-5 / 0.01) ** (1 / 50))
    for _ in range(50):
        adam.zero_grad()
        (loss(probe(dense), target) + 0.01 * probe.weight.abs().sum(-1).mean()).backward()
        adam.step()
        rate.step()
    expected = probe.weight.detach()
    found = l1_probe(Columns.of(sparse(dense)), y, include)
    rest = [i for i in range(12) if i != 4]
    # weights that the L1 term holds at zero jitter by a part of the last steps, in torch's Adam too
    torch.testing.assert_close(found.T, expected[:, rest], atol=2e-3, rtol=0)
    assert expected.abs().max() > 0.05
    assert found.T.argmax(-1).tolist() == expected[:, rest].argmax(-1).tolist()
