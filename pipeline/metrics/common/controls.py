"""What a score must beat, and the rows that it has under the SAEs of the table.

`random_sae` is the untrained SAE. Where a score uses the decoder, another control keeps an SAE's codes and
permutes its decoder's rows: latents fire as they should and write in directions that are another's. The
token lookup (lookup.py) knows only which token it sees, and tokens in random order have no before and after.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.numbers.definition import Definition, Reference
from pipeline.sae.core.inference import SAE

RANDOM, PERMUTED, LOOKUP, SHUFFLED = "_random_sae", "_shuffled_decoder", "_token_lookup", "_shuffled_tokens"
NEURON_ROW, DENSE_ROW = ("raw residual, neuron", 4), ("dense probe", 5)
"""Rows without an SAE, and their order: single neurons of the residual stream, a linear probe on all."""

_RANDOM = "control: {} of an untrained TopK SAE of the same size at the same L0 (ours)"
_PERMUTED = "control: {} with the decoder's rows permuted, codes unchanged (ours)"
_LOOKUP = "control: {} of a lookup by token id, one latent per id with its mean training activation (ours)"
_SHUFFLED = "control: {} of tokens in random order, {:g} by construction: order is measured against it"


def random_sae(x: Tensor, n: int, k: int, seed: int) -> SAE:
    """An untrained TopK SAE (control): n random unit rows, tied encoder, b_dec at the mean of `x` (N, d)."""
    rows = normalize(torch.randn(n, x.shape[1], generator=torch.Generator().manual_seed(seed)), dim=-1)
    return SAE("topk", rows.T.contiguous(), rows, x.mean(0), torch.zeros(n), k)


def permuted(sae: SAE, seed: int) -> SAE:
    """`sae` with the rows of its decoder permuted; its encoder is unchanged."""
    order = torch.randperm(sae.n, generator=torch.Generator().manual_seed(seed))
    return replace(sae, W_dec=sae.W_dec[order.to(sae.W_dec.device)])


def of_untrained(metric: Definition) -> Definition:
    """The definition of `metric` of the untrained SAE, a row under the SAEs of the table."""
    return control(metric, RANDOM, _RANDOM.format(metric.name), "untrained SAE", 1)


def of_permuted(metric: Definition) -> Definition:
    """The definition of `metric` with the decoder's rows permuted, a row under the SAEs of the table."""
    return control(metric, PERMUTED, _PERMUTED.format(metric.name), "decoder permuted", 2, spread=True)


def of_lookup(metric: Definition) -> Definition:
    """The definition of `metric` of the token lookup, a row under the SAEs of the table."""
    return control(metric, LOOKUP, _LOOKUP.format(metric.name), "token lookup (L0 1)", 6)


def of_shuffled(metric: Definition, value: float) -> Definition:
    """The definition of `metric` of shuffled tokens, which is `value` whatever the SAE."""
    return control(metric, SHUFFLED, _SHUFFLED.format(metric.name, value), "shuffled tokens", 7)


def control(
    metric: Definition, suffix: str, definition: str, row: str, order: int, spread: bool = False
) -> Definition:
    """The definition of `metric` of a control, whose name ends in `suffix`."""
    reference = Reference(row, metric.headline.name, order, spread) if metric.headline else None
    return Definition(
        f"{metric.name}{suffix}", "neither", metric.unit, metric.version, definition, reference=reference
    )
