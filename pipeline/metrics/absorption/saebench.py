"""SAEBench's absorption numbers by SAEBench's own recipe, to lay published values beside ours.

sae-bench 0.6.0: one 80/20 split, a linear probe of 50 epochs of Adam, latents selected by its L1 probe,
letters' means over the test words alone. The first fold is the test set. The random choices (split,
example words, probe) are drawn without a seed there and with one here. What still differs: example
words come from the word's own fold, one-letter tokens are no words, and a word counts only if our
probe sees it too, because only then there is a prompt to score it on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.metrics.absorption.measure import Splits, encode, k_sparse, main_latents
from pipeline.metrics.absorption.scoring import Scores, score
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, all_missing
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.saebench_probe import Probe
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import COUNT, begins, f1

_RECIPE = "SAEBench 0.6.0's own recipe, seeded (one split, Adam probe, L1 selection)"
METRICS = [
    Definition(
        "mean_absorption_fraction_score", "lower", "share", 1,
        f"{_RECIPE}: mean over letters of the absorption fraction; beside mean_absorption_fraction", False,
    ),
    Definition(
        "mean_full_absorption_score", "lower", "share", 1,
        f"{_RECIPE}: mean over letters of the full-absorption rate; beside mean_full_absorption", False,
    ),
    Definition(
        "mean_num_split_features", "lower", "latents", 1,
        f"{_RECIPE}: mean over letters of split latents; beside mean_split_features", False,
    ),
]  # fmt: skip


def _all_missing(reason: str) -> dict[str, Number]:
    return all_missing([metric.name for metric in METRICS], reason)


def values(sae: SAE, task: LetterTask, probe: Probe, section: AbsorptionSection) -> dict[str, Number]:
    """SAEBench's three means of one SAE; missing where too few letters have a probe."""
    splits = k_sparse(
        encode(sae, task.x), task, section.model_copy(update={"selection": "l1_probe"}), splits=1
    )
    test = task.fold == 0
    seen = task.x @ probe.weight.T + probe.bias > 0
    kept = f1(seen[test], begins(task.letter)[test]) > section.min_probe_f1
    if int(kept.sum()) < section.min_letters:
        return _all_missing(
            f"{int(kept.sum())} letters have a probe with F1 above {section.min_probe_f1:g} by SAEBench's "
            f"recipe, absorption.min_letters asks for {section.min_letters}"
        )
    own = seen[task.scored, task.letter[task.scored]] & test[task.scored]
    letter = task.letter[task.scored[own]]
    found = _scores(sae, task.x_scored[own], letter, splits, probe)
    words = torch.bincount(letter, minlength=COUNT)
    counted = kept & (words > 0)
    if not bool(counted.any()):
        return _all_missing("no test word of a kept letter is a true positive of SAEBench's probe")

    def mean(value: Tensor) -> float:
        sums = torch.zeros(COUNT, dtype=torch.float64).index_add_(0, letter, value.double())
        return float((sums / words)[counted].mean())

    fraction, full = mean(found.fraction), mean(found.full)
    return {
        "mean_absorption_fraction_score": Number(fraction, len(letter)),
        "mean_full_absorption_score": Number(full, len(letter)),
        "mean_num_split_features": Number(float(splits.features[kept].double().mean()), int(kept.sum())),
    }


def _scores(sae: SAE, x: Tensor, letter: Tensor, splits: Splits, probe: Probe) -> Scores:
    """The words' scores along the probe's directions."""
    direction = normalize(probe.weight.double(), dim=-1)
    cosine = direction @ normalize(sae.W_dec.detach().cpu().double(), dim=-1).T
    projection = (x.double() * direction[letter]).sum(-1)
    return score(encode(sae, x), cosine, main_latents(splits, sae.n), letter, projection)
