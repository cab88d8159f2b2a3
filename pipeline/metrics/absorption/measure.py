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

from pipeline.metrics.absorption.carrier import chance
from pipeline.metrics.absorption.scoring import Scores, score
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.absorption.selection import select
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.stats.logistic import balanced, fit_small
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import COUNT, FOLDS, begins, f1

ROWS = 2048
"""Words encoded at a time."""


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
    chance: Tensor  # (S,) float64: of a missed word's random directions, the share that one latent carries


def measure(sae: SAE, task: LetterTask, section: AbsorptionSection) -> Absorption:
    """Absorption of the task's scored words by `sae` (on the CPU or the device of its tensors)."""
    splits = k_sparse(encode(sae, task.x), task, section)
    direction, cosine = directions(task, sae)
    problem = task.fold[task.scored] * COUNT + task.letter[task.scored]
    main = main_latents(splits, sae.n)
    along = (task.x_scored.double() * direction[problem]).sum(-1)
    codes = encode(sae, task.x_scored)
    order = torch.randperm(sae.n, generator=torch.Generator().manual_seed(section.seed))
    scores = score(codes, cosine, main, problem, along)
    return Absorption(
        splits,
        scores,
        score(codes, cosine[:, order], main, problem, along),
        along_random(sae, codes, main, task, section.seed),
        chance(sae, codes, task.x_scored, direction[problem], scores.main_silent, section.seed),
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
