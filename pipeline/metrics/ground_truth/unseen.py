"""Features without a direction: hidden states and the order of two events. Only a sequence can tell them.

After TempBench's synthetic axis (Crosscoding Through Time, 2026); the definitions are ours. No token holds
them, so a latent that fires with them better than the token allows has used other tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.metrics.ground_truth.synthetic import Sample, Source
from pipeline.sae.core.codes import Pairs


@dataclass(frozen=True)
class Told:
    """How well each of K features that no token holds is told, F1: by the best latent, by the token."""

    best: Tensor
    token: Tensor


def told_states(codes: Pairs, source: Source, sample: Sample) -> Told:
    """Hidden states; a token tells one when any of its two coupled features is on."""
    first, count = source.first("coupled"), source.section.states
    return Told(*_f1s(codes, sample.states, _seen(sample.truth.pairs, first, count)))


def told_orders(codes: Pairs, source: Source, sample: Sample) -> Told:
    """Orders of events; a token tells one when its second event is on."""
    pairs, first, count = sample.truth.pairs, source.first("event"), source.section.orders
    second = pairs.keep((pairs.latent >= first) & (pairs.latent < first + 2 * count) & _odd(pairs, first))
    seen = Pairs.of(second.token, (second.latent - first) // 2, pairs.batch, count)
    return Told(*_f1s(codes, orders(source, sample), seen))


def orders(source: Source, sample: Sample) -> Pairs:
    """(token, order): the second event of a pair is on and the first was, in the window before it.

    The window are the `order_window` tokens before, in the same document; both at one token are no order.
    """
    section, pairs = source.section, sample.truth.pairs
    first, tokens = source.first("event"), len(sample.document)
    on = torch.zeros(tokens, 2 * section.orders, dtype=torch.bool)
    mine = (pairs.latent >= first) & (pairs.latent < first + 2 * section.orders)
    on[pairs.token[mine], pairs.latent[mine] - first] = True
    before, after = on[:, 0::2], on[:, 1::2]
    recent = torch.zeros_like(before)
    for back in range(1, min(section.order_window, tokens - 1) + 1):
        same = sample.document[back:] == sample.document[:-back]
        recent[back:] |= before[:-back] & same[:, None]
    return Pairs.where(recent & after)


def best_cosines(W_dec: Tensor, source: Source) -> Tensor:
    """(states,): largest cosine of a row of `W_dec` (n, d) with the mean of a state's two directions."""
    first, count = source.first("coupled"), source.section.states
    both = source.directions[first : first + 2 * count].view(count, 2, -1).sum(1)
    unit = (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12) for rows in (both, W_dec))
    hidden, rows = unit
    return (hidden @ rows.T).amax(1).clamp(-1, 1)


def _odd(pairs: Pairs, first: int) -> Tensor:
    return (pairs.latent - first) % 2 == 1


def _seen(pairs: Pairs, first: int, count: int) -> Pairs:
    """(token, chain) at which one of the two features of a chain is on, or both."""
    mine = (pairs.latent >= first) & (pairs.latent < first + 2 * count)
    on = torch.zeros(pairs.batch, count, dtype=torch.bool)
    on[pairs.token[mine], (pairs.latent[mine] - first) // 2] = True
    return Pairs.where(on)


def _f1s(codes: Pairs, truth: Pairs, seen: Pairs) -> tuple[Tensor, Tensor]:
    """The largest F1 of any latent with each column of `truth`, and that of the same column of `seen`."""
    size = torch.bincount(truth.latent, minlength=truth.n)
    fired = torch.bincount(codes.latent, minlength=codes.n)
    both = torch.zeros(truth.n, codes.n, dtype=torch.float64)
    for column in range(truth.n):
        on = torch.zeros(truth.batch, dtype=torch.bool)
        on[truth.token[truth.latent == column]] = True
        both[column] = torch.bincount(codes.latent[on[codes.token]], minlength=codes.n)
    best = (2 * both / (size[:, None] + fired).clamp_min(1)).amax(1)
    joint = torch.bincount(truth.latent[torch.isin(_key(truth), _key(seen))], minlength=truth.n)
    token = 2 * joint / (size + torch.bincount(seen.latent, minlength=truth.n)).clamp_min(1)
    never = size == 0
    return best.masked_fill(never, torch.nan), token.double().masked_fill(never, torch.nan)


def _key(pairs: Pairs) -> Tensor:
    return pairs.token * max(pairs.n, 1) + pairs.latent
