"""Random sparse codes and SAEs for the metrics' tests."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE


def sparse(dense: Tensor) -> Codes:
    """Codes of a dense (B, n) tensor, its nonzero entries active."""
    pairs = Pairs.where(dense != 0)
    return Codes(pairs, pairs.at(dense))


def random_dense(tokens: int, n: int, share: float, seed: int) -> Tensor:
    """(tokens, n) codes with about `share` of the entries active."""
    generator = torch.Generator().manual_seed(seed)
    on = torch.rand(tokens, n, generator=generator) < share
    return on * (0.1 + torch.rand(tokens, n, generator=generator))


def random_sae(d: int, n: int, k: int, seed: int) -> SAE:
    """A topk SAE of random unit decoder rows."""
    W_dec = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    W_dec = W_dec / W_dec.norm(dim=1, keepdim=True)
    return SAE("topk", W_dec.T.contiguous(), W_dec, torch.full((d,), 0.1), torch.zeros(n), k=k)


def perfect_sae(d: int) -> SAE:
    """relu(x) and relu(-x) per dimension: gives back every x exactly."""
    eye = torch.eye(d)
    return SAE(
        "standard", torch.cat([eye, -eye], 1), torch.cat([eye, -eye]), torch.zeros(d), torch.zeros(2 * d)
    )
