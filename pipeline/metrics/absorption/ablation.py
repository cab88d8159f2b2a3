"""Ablation-based absorption, the original definition (Chanin et al., arXiv 2409.14507), by direct ablation.

For a word whose letter's main latents are all silent although the linear probe sees the letter, each active
latent i is taken out at the word's position, x - z_i d_i (what the SAE does not reconstruct stays),
and the rest of the model is run again. Its effect is the change of the letter margin (the right
letter's logit minus the mean of the others). The word is absorbed when the latent with the largest
|effect| lowers the margin, has cosine >= 0.025 with the probe, and leads the second largest |effect| by
at least 1 logit. The rule is that of the authors' code; the paper approximates the effects by integrated
gradients, here they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.metrics.absorption.measure import Splits, directions, encode, main_latents
from pipeline.metrics.absorption.scoring import FULL_COSINE, entries_of, ranks, score
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.sae.core.codes import Codes
from pipeline.sae.core.inference import SAE
from pipeline.tasks.common.batches import batched
from pipeline.tasks.letters.ablation import AblationTask, CutModel, letter_margin
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import COUNT


@dataclass(frozen=True)
class Verdicts:
    """Per word (S,): the latents with the largest effects and whether they make an absorption."""

    absorbed: Tensor  # bool
    latent: Tensor  # int64: the latent with the largest |effect|, -1 when none is active
    effect: Tensor  # float64: its effect on the letter margin, in logits
    second: Tensor  # float64: the second largest |effect|, 0 when there is none
    cosine: Tensor  # float64: of the latent's decoder row with the letter's probe


@dataclass(frozen=True)
class Ablated:
    """One SAE on the A words of an ablation task."""

    letter: Tensor  # (A,) int64
    silent: Tensor  # (A,) bool: all main latents silent on this prompt
    projected: Tensor  # (A,) bool: fully absorbed by the projection rule, on the same activations
    examined: Tensor  # (S,) int64, ascending: the silent words whose latents were ablated
    verdicts: Verdicts


def ablate(
    sae: SAE, splits: Splits, task: LetterTask, prompts: AblationTask, model: CutModel, kept: Tensor,
    section: AbsorptionSection,
) -> Ablated:  # fmt: skip
    """Absorption of the prompts' words by `sae`, whose main latents are those of `splits`.

    `kept` (26,) bool: letters that count; at most `ablation_words` of their silent words are examined.
    """
    letter, fold = task.letter[prompts.word], task.fold[prompts.word]
    problem = fold * COUNT + letter
    direction, cosine = directions(task, sae)
    codes = encode(sae, prompts.x)
    projection = (prompts.x.double() * direction[problem]).sum(-1)
    projected = score(codes, cosine, main_latents(splits, sae.n), problem, projection)
    silent = projected.main_silent
    examined = sample(silent & kept[letter], letter, section.ablation_words, section.seed)
    entries = entries_of(codes, examined)
    change = effects(sae, entries, prompts, letter, examined, model)
    of_entry = cosine[problem[examined[entries.pairs.token]], entries.pairs.latent]
    verdicts = judge(entries, change, of_entry, section.ablation_gap)
    return Ablated(letter, silent, projected.full, examined, verdicts)


def sample(candidate: Tensor, letter: Tensor, limit: int, seed: int) -> Tensor:
    """At most `limit` of the words where `candidate` (A,) bool, ascending: letter by letter in turn.

    Dealing in turn gives every letter a word before any gets two, so that all rates stay defined.
    """
    places = torch.nonzero(candidate).flatten()
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))]
    turn = ranks(letter[places], torch.arange(len(places), 0, -1), COUNT)
    return places[torch.argsort(turn, stable=True)[:limit]].sort().values


def effects(
    sae: SAE, entries: Codes, prompts: AblationTask, letter: Tensor, examined: Tensor, model: CutModel
) -> Tensor:
    """(E,) float64: change of the letter margin when each active latent alone is taken out at its word.

    `entries` of the `examined` (S,) words; `letter` (A,) of all words.
    """
    ids, right = prompts.ids[examined], letter[examined]
    clean = torch.zeros(len(examined), dtype=torch.float64)
    change = torch.zeros(len(entries.pairs), dtype=torch.float64)
    for rows in batched(len(examined), ids.shape[1]):
        residual = model.to(ids[rows])
        clean[rows] = letter_margin(model.onward(residual), right[rows], prompts.answer)
        first, last = entries.pairs.offsets[[rows.start, min(rows.stop, len(examined))]].tolist()
        for part in batched(last - first, ids.shape[1]):
            here = torch.arange(first, last)[part]
            token, latent = entries.pairs.token[here], entries.pairs.latent[here]
            rowed = sae.W_dec[latent.to(sae.W_dec.device)] * entries.value[here, None].to(sae.W_dec.device)
            without = residual[token - rows.start]
            without[:, -prompts.offset] -= rowed.to(residual.device)
            margin = letter_margin(model.onward(without), right[token], prompts.answer)
            change[here] = margin - clean[token]
    return change


def judge(entries: Codes, effect: Tensor, cosine: Tensor, gap: float) -> Verdicts:
    """The verdict on each word of `entries`, whose latents have `effect` (E,) and probe `cosine` (E,)."""
    words, token = entries.pairs.batch, entries.pairs.token
    rank = ranks(token, effect.abs(), words)

    def at(place: int, values: Tensor, otherwise: float) -> Tensor:
        chosen = rank == place
        return torch.full((words,), otherwise, dtype=values.dtype).index_copy_(
            0, token[chosen], values[chosen]
        )

    top, second, alignment = at(0, effect, 0.0), at(1, effect.abs(), 0.0), at(0, cosine, 0.0)
    absorbed = (top < 0) & (top.abs() - second >= gap) & (alignment >= FULL_COSINE)
    return Verdicts(absorbed, at(0, entries.pairs.latent, -1), top, second, alignment)
