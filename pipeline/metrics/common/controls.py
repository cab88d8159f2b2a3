"""SAEs that learned nothing, or lost what they learned: what a score must beat.

`random_sae` is the untrained one. Where a score uses the decoder, the other control keeps an SAE's codes and
permutes its decoder's rows: latents fire as they should and write in directions that are another's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.metrics.common.number import Metric
from pipeline.sae.core.inference import SAE

RANDOM, SHUFFLED = "_random_sae", "_shuffled_decoder"
_RANDOM = "control: {} of an untrained TopK SAE of the same size at the same L0 (ours)"
_SHUFFLED = "control: {} with the decoder's rows permuted, codes unchanged (ours)"


def random_sae(x: Tensor, n: int, k: int, seed: int) -> SAE:
    """An untrained TopK SAE (control): n random unit rows, tied encoder, b_dec at the mean of `x` (N, d)."""
    rows = normalize(torch.randn(n, x.shape[1], generator=torch.Generator().manual_seed(seed)), dim=-1)
    return SAE("topk", rows.T.contiguous(), rows, x.mean(0), torch.zeros(n), k)


def random_metric(name: str, unit: str) -> Metric:
    """The definition of metric `name` of the untrained SAE."""
    return Metric(f"{name}{RANDOM}", "neither", unit, 1, _RANDOM.format(name))


def shuffled_metric(name: str, unit: str) -> Metric:
    """The definition of metric `name` with the decoder's rows permuted."""
    return Metric(f"{name}{SHUFFLED}", "neither", unit, 1, _SHUFFLED.format(name))


def permuted(sae: SAE, seed: int) -> SAE:
    """`sae` with the rows of its decoder permuted; its encoder is unchanged."""
    order = torch.randperm(sae.n, generator=torch.Generator().manual_seed(seed))
    return replace(sae, W_dec=sae.W_dec[order.to(sae.W_dec.device)])


def moved(sae: SAE, device: torch.device) -> SAE:
    """The untrained `sae` on `device`."""
    held: dict[str, Any] = vars(sae)
    tensors: dict[str, Any] = {
        name: each.to(device) for name, each in held.items() if isinstance(each, Tensor)
    }
    return replace(sae, **tensors)
