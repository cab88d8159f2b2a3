"""True features against latents, counted exactly: matching, joint firing, misses of parents, flicker.

Ours. Everything works on sparse pairs; `active` (E,) bool says for each true (token, feature) pair
whether the feature's best-matched latent is on at that token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.metrics.ground_truth.synthetic import Sample, Source
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.store.past import past

ROWS = 8192
"""Tokens encoded at a time, about: whole contexts."""


@dataclass(frozen=True)
class Matches:
    """The best-matched latent of each true feature and its cosine, both (F,)."""

    latent: Tensor
    cosine: Tensor


@dataclass(frozen=True)
class Firing:
    """Tokens at which a true feature and its latent are on, all (F,) int64."""

    both: Tensor
    feature: Tensor
    latent: Tensor

    @property
    def f1(self) -> Tensor:
        """(F,) float64: 2 both / (feature + latent); NaN for a feature that never fires."""
        f1 = 2 * self.both.double() / (self.feature + self.latent).clamp_min(1)
        return torch.where(self.feature > 0, f1, torch.nan)


@dataclass(frozen=True)
class Misses:
    """Per parent, all (P,) float64: how often its latent is silent while it is on; NaN where never seen."""

    with_child: Tensor
    alone: Tensor
    difference: Tensor
    matched: Tensor  # the difference within strata of equal true L0


def encode(sae: SAE, sample: Sample) -> tuple[Codes, float]:
    """The codes of a sample's x (N, d) and its unexplained variance, sum |x - x^|^2 / sum |x - mean x|^2."""
    token, latent, value, error = [], [], [], 0.0
    x, before, length = sample.x, past(sample.document, sample.document, sample.position), sample.length
    for start in range(0, x.shape[0], step := max(ROWS // length, 1) * length):
        part = x[start : start + step]
        codes = sae.encode(part, before[start : start + step])
        token.append(codes.pairs.token + start)
        latent.append(codes.pairs.latent)
        value.append(codes.value)
        error += float((part - sae.decode(codes)).double().pow(2).sum())
    pairs = Pairs.of(torch.cat(token), torch.cat(latent), x.shape[0], sae.n)
    wide = x.double()
    return Codes(pairs, torch.cat(value)), error / float((wide - wide.mean(0)).pow(2).sum())


def match(W_dec: Tensor, directions: Tensor) -> Matches:
    """The row of `W_dec` (n, d) with the largest cosine to each of `directions` (F, d, unit rows)."""
    rows = W_dec / W_dec.norm(dim=1, keepdim=True).clamp_min(1e-12)
    cosine, latent = (directions @ rows.T).max(dim=1)
    return Matches(latent, cosine.clamp(-1, 1))  # rounding can pass 1


def hits(codes: Pairs, truth: Pairs, latent: Tensor) -> Tensor:
    """(E,) bool `active`: for each true (token, feature) pair, whether the feature's `latent` (F,) is on."""
    wanted = truth.token * codes.n + latent[truth.latent]
    return torch.isin(wanted, codes.token * codes.n + codes.latent)


def fire(codes: Pairs, truth: Pairs, latent: Tensor, active: Tensor) -> Firing:
    """Counts of firing for each true feature and its `latent` (F,)."""
    return Firing(
        both=torch.bincount(truth.latent[active], minlength=truth.n),
        feature=torch.bincount(truth.latent, minlength=truth.n),
        latent=torch.bincount(codes.latent, minlength=codes.n)[latent],
    )


def miss(truth: Pairs, active: Tensor, source: Source) -> Misses:
    """How often parents' latents are silent with at least one child on, and alone.

    `matched` is the Mantel-Haenszel risk difference over strata of the token's true L0: the difference
    within a stratum, weighted by n1 n0 / (n1 + n0), which is zero where one side is empty (Greenland and
    Robins 1985). A token with a child has more true features by construction; a fixed budget of latents
    drops some of them for that reason alone, and equal L0 takes that reason away.
    """
    parents = source.section.parents
    is_parent = truth.latent < parents
    parent, token, silent = truth.latent[is_parent], truth.token[is_parent], ~active[is_parent]
    with_child = torch.isin(token * parents + parent, _parents_with_child(truth, source))
    l0 = truth.offsets.diff()[token]
    strata = int(l0.max()) + 1 if l0.numel() else 1
    cell, shape = parent * strata + l0, (parents, strata)
    n1, silent1 = _count(cell[with_child], shape), _count(cell[with_child & silent], shape)
    n0, silent0 = _count(cell[~with_child], shape), _count(cell[~with_child & silent], shape)
    rate1, rate0 = silent1.sum(1) / n1.sum(1), silent0.sum(1) / n0.sum(1)
    weight = n1 * n0 / (n1 + n0).clamp_min(1)
    within = silent1 / n1.clamp_min(1) - silent0 / n0.clamp_min(1)
    return Misses(rate1, rate0, rate1 - rate0, (weight * within).sum(1) / weight.sum(1))


def flicker(pairs: Pairs, document: Tensor) -> tuple[Tensor, Tensor]:
    """Per document (D,): (token, latent) entries with a successor in it, and those off at the successor.

    `document` (N,) of tokens in sequence order.
    """
    has_next, off = _switches(pairs, document)
    of = torch.unique(document, return_inverse=True)[1]
    place, documents = of[pairs.token], int(of.max()) + 1
    return tuple(torch.bincount(place[each], minlength=documents) for each in (has_next, off))  # type: ignore[return-value]


def flicker_of_each(pairs: Pairs, document: Tensor) -> Tensor:
    """(n,) float64: of each latent, P(off at the next token of the document | on); NaN without a next one."""
    has_next, off = _switches(pairs, document)
    on, switched = (
        torch.bincount(pairs.latent[each], minlength=pairs.n).double() for each in (has_next, off)
    )
    return switched / on


def delay(truth: Pairs, active: Tensor, source: Source, document: Tensor) -> tuple[Tensor, Tensor]:
    """Per parent (P,): onsets, and in sum the tokens from each until the parent's latent is on.

    An onset is a token at which the parent is on and at the one before, of the same document, was not: a
    run that is on at the first token of a document began unseen. A run whose latent never is on counts
    with its whole length.
    """
    parents = source.section.parents
    mine = (truth.latent < parents).nonzero()[:, 0]
    mine = mine[torch.argsort(truth.latent[mine], stable=True)]
    token, parent, on = truth.token[mine], truth.latent[mine], active[mine]
    begins = torch.ones(len(mine), dtype=torch.bool)
    begins[1:] = (parent.diff() != 0) | (token.diff() != 1) | (document[token].diff() != 0)
    run = begins.cumsum(0) - 1
    first, length = token[begins], torch.bincount(run)
    waited = length.clone()
    waited = waited.scatter_reduce(0, run[on], token[on] - first[run[on]], "amin")
    seen = (first > 0) & (document[(first - 1).clamp_min(0)] == document[first])
    of = parent[begins][seen]
    return torch.bincount(of, minlength=parents), torch.bincount(of, waited[seen].double(), parents)


def _switches(pairs: Pairs, document: Tensor) -> tuple[Tensor, Tensor]:
    """(E,) bool each: entries with a successor in their document, and those of them off at the successor."""
    followed = torch.zeros(pairs.batch, dtype=torch.bool)
    followed[:-1] = document[1:] == document[:-1]
    key = pairs.token * pairs.n + pairs.latent
    has_next = followed[pairs.token]
    return has_next, has_next & ~torch.isin(key + pairs.n, key)  # the same latent at the next token


def _parents_with_child(truth: Pairs, source: Source) -> Tensor:
    """Keys token * parents + parent of the tokens at which a child of the parent is on."""
    parent = source.parent[truth.latent]
    child = parent >= 0
    return torch.unique(truth.token[child] * source.section.parents + parent[child])


def _count(cell: Tensor, shape: tuple[int, int]) -> Tensor:
    """`cell` ids counted into `shape`, float64."""
    return torch.bincount(cell, minlength=shape[0] * shape[1]).double().view(shape)
