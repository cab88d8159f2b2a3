"""First-letter absorption and feature splitting of one SAE: SAEBench 0.6.0's definitions, cross-fitted.

A letter's *main* latents are those of its k-sparse probe, k grown while F1 rises. A word is absorbed when
its letter's main latents are silent although the linear probe sees the letter, and another latent
carries the letter's direction instead. An untrained or too dense SAE scores well, so the numbers are
read together with `letter_f1_k1`, L0 and the controls.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.absorption.selection import select
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.stats.logistic import balanced, fit_small
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import COUNT, FOLDS, begins, f1

SILENT = 1e-8
"""SAEBench: a main latent below this counts as silent."""

FULL_COSINE, FRACTION_COSINE, PROPORTION, ABSORBERS = 0.025, 0.1, 0.4, 3
"""SAEBench 0.6.0's thresholds: cosine to the probe for full absorption and for the fraction, share of the
word's projection that absorbers must carry, and how many absorbers may share it."""

ROWS = 2048
"""Words encoded at a time."""


@dataclass(frozen=True)
class Scores:
    """Absorption of S words."""

    fraction: Tensor  # (S,) float64 in [0, 1]
    full: Tensor  # (S,) bool
    projection: Tensor  # (S,) the word's projection on its letter's unit direction
    main_projection: Tensor  # (S,) what the main latents carry of it
    main_silent: Tensor  # (S,) bool
    top_latent: Tensor  # (S,) int64: the latent that carries most; -1 when none is active


@dataclass(frozen=True)
class Splits:
    """The k-sparse probes of every letter."""

    top: Tensor  # (splits, 26, max_k) int64: selected latents, best first
    features: Tensor  # (26,) int64: how many of them are the letter's main latents
    predicted_k1: Tensor  # (W, 26) bool: out-of-fold predictions with one latent, for the words that count
    f1_k1: Tensor  # (26,)
    f1_best: Tensor  # (26,): with the main latents


@dataclass(frozen=True)
class Absorption:
    """Everything measured of one SAE."""

    splits: Splits
    scores: Scores
    shuffled: Scores  # control: the same codes with the decoder's rows permuted
    random_direction: Scores  # control: the same codes and main latents along a random direction per letter


def measure(sae: SAE, task: LetterTask, section: AbsorptionSection) -> Absorption:
    """Absorption of the task's scored words by `sae` (on the CPU or the device of its tensors)."""
    splits = k_sparse(encode(sae, task.x), task, section)
    direction, cosine = directions(task, sae)
    problem = task.fold[task.scored] * COUNT + task.letter[task.scored]
    main = main_latents(splits, sae.n)
    along = (task.x_scored.double() * direction[problem]).sum(-1)
    codes = encode(sae, task.x_scored)
    order = torch.randperm(sae.n, generator=torch.Generator().manual_seed(section.seed))
    return Absorption(
        splits,
        score(codes, cosine, main, problem, along),
        score(codes, cosine[:, order], main, problem, along),
        along_random(sae, codes, main, task, section.seed),
    )


def along_random(sae: SAE, codes: Codes, main: Tensor, task: LetterTask, seed: int) -> Scores:
    """Scores along a random direction per letter, the sign chosen word by word so that a > 0.

    Probe directions permuted among letters would be no control: a one-vs-rest probe gives other letters'
    words a negative projection, which counts as neither.
    """
    random = torch.randn(COUNT, sae.d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    direction = normalize(random, dim=-1)
    cosine = (direction @ normalize(sae.W_dec.detach().cpu().double(), dim=-1).T).repeat(FOLDS, 1)
    letter = task.letter[task.scored]
    along = (task.x_scored.double() * direction[letter]).sum(-1)
    problem = task.fold[task.scored] * COUNT + letter + torch.where(along < 0, len(cosine), 0)
    return score(codes, torch.cat([cosine, -cosine]), main.repeat(2, 1), problem, along.abs())


def directions(task: LetterTask, sae: SAE) -> tuple[Tensor, Tensor]:
    """Unit probe directions (130, d) of each (fold, letter), and their cosines (130, n) with decoder rows."""
    direction = normalize(task.weight.double().flatten(0, 1), dim=-1)
    return direction, direction @ normalize(sae.W_dec.detach().cpu().double(), dim=-1).T


def encode(sae: SAE, x: Tensor) -> Codes:
    """The codes of `x` (N, d) on the CPU, computed where the SAE's tensors are."""
    token, latent, value = [], [], []
    for start in range(0, len(x), ROWS):
        codes = sae.encode(x[start : start + ROWS].to(sae.W_enc.device))
        token.append(codes.pairs.token.cpu() + start)
        latent.append(codes.pairs.latent.cpu())
        value.append(codes.value.cpu())
    return Codes(Pairs.of(torch.cat(token), torch.cat(latent), len(x), sae.n), torch.cat(value))


def k_sparse(codes: Codes, task: LetterTask, section: AbsorptionSection, splits: int = FOLDS) -> Splits:
    """Select latents per letter and fold, and grow k while the out-of-fold F1 rises by `f1_jump`.

    SAEBench: k = 1 is always taken, the first k that does not beat the best F1 by more than `f1_jump`
    ends the growth. One k per letter, decided on the predictions of all folds together, or of the first
    `splits` folds, whose words alone then count. SAEBench's probes are LogisticRegression(C=1,
    class_weight="balanced").
    """
    tested = task.fold < splits
    every = begins(task.letter)
    truth = every[tested]
    y = every.T.repeat(splits, 1)
    include = (task.fold[None] != torch.arange(splits)[:, None]).repeat_interleave(COUNT, 0)
    top = select(codes, y, include, min(section.max_k, codes.pairs.n), section.selection)
    features, weight = gather(codes, top), balanced(y, include)
    own = task.fold[tested, None] * COUNT + torch.arange(COUNT)
    best = torch.full((COUNT,), -1.0, dtype=torch.float64)
    count, growing, predicted_k1 = torch.zeros(COUNT, dtype=torch.int64), torch.arange(COUNT), truth
    for k in range(1, top.shape[1] + 1):
        problems = (torch.arange(splits)[:, None] * COUNT + growing).flatten()
        w, b = fit_small(features[problems, :, :k], y[problems], weight[problems])
        logits = torch.zeros(len(y), len(task.letter), dtype=torch.float64)
        logits[problems] = torch.einsum("pnk,pk->pn", features[problems, :, :k], w) + b[:, None]
        predicted = logits.T[tested].gather(1, own[:, growing]) > 0
        found = f1(predicted, truth[:, growing])
        predicted_k1 = predicted if k == 1 else predicted_k1
        risen = found > best[growing] + (section.f1_jump if k > 1 else 0)
        growing = growing[risen]
        best[growing], count[growing] = found[risen], k
        if not len(growing):
            break
    return Splits(top.view(splits, COUNT, -1), count, predicted_k1, f1(predicted_k1, truth), best)


def gather(codes: Codes, latents: Tensor) -> Tensor:
    """(P, N, k) float64: the codes of N rows at `latents` (P, k)."""
    wanted, place = torch.unique(latents, return_inverse=True)
    column = torch.full((codes.pairs.n,), -1)
    column[wanted] = torch.arange(len(wanted))
    at = column[codes.pairs.latent]
    kept = at >= 0
    table = torch.zeros(len(wanted), codes.pairs.batch, dtype=torch.float64)
    table[at[kept], codes.pairs.token[kept]] = codes.value[kept].double()
    return table[place].transpose(1, 2).contiguous()


def main_latents(splits: Splits, n: int) -> Tensor:
    """(splits * 26, n) bool: the main latents of each (fold, letter)."""
    rank = torch.arange(splits.top.shape[-1])
    chosen = (rank < splits.features[None, :, None]).expand_as(splits.top)
    mask = torch.zeros(len(splits.top) * COUNT, n, dtype=torch.bool)
    return mask.scatter_(1, splits.top.flatten(0, 1), chosen.flatten(0, 1))


def score(codes: Codes, cosine: Tensor, main: Tensor, problem: Tensor, projection: Tensor) -> Scores:
    """Absorption per word, SAEBench 0.6.0 (`feature_absorption_calculator.py`), without a loop over words.

    `codes` of S words; `cosine` (P, n) of every decoder row to each problem's direction; `main` (P, n)
    bool; `problem` (S,) int64; `projection` a (S,) float64. With P_i = z_i c_i, M the main latents' sum
    and T the sum of the three largest P_i > 0 of the others with c_i >= 0.1:
    fraction 0 if M >= a or T/a < 0.4, else 1 if M <= 0, else A / (A + M) with A = min(T, a - M).
    Full absorption: every main latent silent, and the latent with the largest P of all has c >= 0.025 and
    P/a >= 0.4. A projection of zero or below counts as neither.
    """
    token, latent, z = codes.pairs.token, codes.pairs.latent, codes.value.double()
    c, is_main = cosine[problem[token], latent], main[problem[token], latent]
    p, words = z * c, codes.pairs.batch

    def total(which: Tensor) -> Tensor:
        return torch.zeros(words, dtype=torch.float64).index_add_(0, token[which], p[which])

    carried = total(is_main)
    others = torch.nonzero(~is_main & (c >= FRACTION_COSINE) & (p > 0)).flatten()
    absorbers = total(others[ranks(token[others], p[others], words) < ABSORBERS])
    safe = torch.where(projection > 0, projection, 1.0)
    none = (projection <= 0) | (carried >= projection) | (absorbers / safe < PROPORTION)
    taken = torch.minimum(absorbers, projection - carried)
    partly = (taken / torch.where(carried > 0, taken + carried, 1.0)).clamp(0, 1)
    fraction = torch.where(none, 0.0, torch.where(carried <= 0, 1.0, partly))

    first = ranks(token, p, words) == 0
    top_latent = torch.full((words,), -1).index_copy_(0, token[first], latent[first])
    top_p, top_c = (
        torch.zeros(words, dtype=torch.float64).index_copy_(0, token[first], values[first])
        for values in (p, c)
    )
    heard = torch.zeros(words, dtype=torch.int64).index_add_(0, token, (is_main & (z >= SILENT)).long())
    silent = heard == 0
    full = silent & (top_c >= FULL_COSINE) & (projection > 0) & (top_p / safe >= PROPORTION)
    return Scores(fraction, full, projection, carried, silent, top_latent)


def ranks(group: Tensor, value: Tensor, groups: int) -> Tensor:
    """(E,): the place of each entry among those of its `group` (E,), largest `value` first, from 0."""
    by_value = torch.argsort(value, descending=True, stable=True)
    order = by_value[torch.argsort(group[by_value], stable=True)]
    starts = torch.zeros(groups, dtype=torch.int64)
    starts[1:] = torch.bincount(group, minlength=groups).cumsum(0)[:-1]
    rank = torch.empty_like(group)
    rank[order] = torch.arange(len(group)) - starts[group[order]]
    return rank
