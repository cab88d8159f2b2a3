"""The first-letter measurement where the truth is known: does it rank rightly? (docs/ground_truth.md)

Parents of the synthetic source play the letters and their children the words. An item is a token at which
exactly one parent is on, with one child of it or none; its letter is the parent, its word the child.
Items of one word share a fold, as in the letter task, so that a child's latent is never selected for
the fold that tests the child. Probes, selection and scores are those of the letter task, unchanged.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.metrics.absorption.measure import measure
from pipeline.metrics.absorption.metrics import METRICS as ABSORPTION
from pipeline.metrics.absorption.results import values
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.common.context import no_context
from pipeline.metrics.ground_truth.synthetic import Sample, Source
from pipeline.numbers.number import Number, all_missing
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import FOLDS, LETTERS, fit_probes, out_of_fold

ITEMS = 40
"""Items of a parent at most: the letter task of the embedded model has about 33 words a letter."""

NAMES = {
    "proxy_full_absorption": "mean_full_absorption",
    "proxy_absorption_fraction": "mean_absorption_fraction",
    "proxy_miss_rate": "miss_rate",
    "proxy_carrier": "carrier",
    "proxy_excess_absorption": "mean_excess_absorption",
    "proxy_f1_k1": "letter_f1_k1",
}
"""Of this file's metrics, those of the absorption stage that they are."""

_AS = "{} (absorption stage) with parents as letters and their children as words"
METRICS = [
    replace(each, name=name, definition=_AS.format(of), aggregate=False, headline=None)
    for name, of in NAMES.items()
    for each in ABSORPTION
    if each.name == of
]
"""With the directions, units and versions of what they are."""


def proxy_task(source: Source, sample: Sample, seed: int) -> LetterTask | str:
    """The letter task of `sample`: `ITEMS` items at most of each of the first 26 parents; or why none."""
    token, parent, child = _items(source, sample)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(token), generator=generator)
    chosen = (
        torch.cat([order[parent[order] == letter][:ITEMS] for letter in range(len(LETTERS))]).sort().values
    )
    letter, child, x = parent[chosen], child[chosen], sample.x[token[chosen]]
    fold = torch.where(child >= 0, child, torch.arange(len(child))) % FOLDS
    if len(torch.unique(letter)) < 2:
        return "fewer than two parents are ever on alone, so there is nothing to tell apart"
    weight, bias = fit_probes(x, letter, fold)
    own = out_of_fold(x, fold, weight, bias).gather(1, letter[:, None])[:, 0]
    scored = torch.nonzero(own > 0).flatten()
    words = [f"{LETTERS[i]}{j}" for i, j in zip(letter.tolist(), child.tolist(), strict=True)]
    return LetterTask(words, x, letter, fold, scored, x[scored], weight, bias, {"model": "synthetic"})


def proxy_values(sae: SAE, task: LetterTask | str) -> dict[str, Number]:
    """The proxy's metrics of one SAE."""
    if isinstance(task, str):
        return all_missing(NAMES, task)
    if sae.context > 1:
        return all_missing(NAMES, no_context(sae, "the proxy's items are"))
    section = AbsorptionSection.parse({"min_letters": 1}, "absorption")
    if not bool((task.f1_probe > section.min_probe_f1).any()):
        reason = f"no parent has a linear probe with F1 above {section.min_probe_f1:g}"
        return all_missing(NAMES, reason)
    found = values(measure(sae, task, section), task, section)
    return {name: found[of] for name, of in NAMES.items()}


def _items(source: Source, sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """(token, parent, child) of the tokens with one parent and at most one child on; child -1 for none.

    Children are numbered within their parent.
    """
    pairs, parents, children = sample.truth.pairs, source.section.parents, source.section.children
    is_parent, is_child = pairs.latent < parents, source.parent[pairs.latent] >= 0
    tokens = pairs.batch
    on = torch.bincount(pairs.token[is_parent], minlength=tokens)
    with_it = torch.bincount(pairs.token[is_child], minlength=tokens)
    parent, child = torch.full((tokens,), -1), torch.full((tokens,), -1)
    parent[pairs.token[is_parent]] = pairs.latent[is_parent]
    child[pairs.token[is_child]] = (pairs.latent[is_child] - parents) % children
    token = torch.nonzero((on == 1) & (with_it <= 1) & (parent < len(LETTERS))).flatten()
    return token, parent[token], child[token]
