"""SAEBench's absorption numbers by SAEBench's own recipe, to lay published values beside ours.

sae-bench 0.6.0: one 80/20 split, a linear probe of 50 epochs of Adam, latents selected by its L1 probe,
letters' means over the test words alone. The first fold is the test set. The random choices (split,
example words, probe) are drawn without a seed there and with one here. What still differs: example words
come from the word's own fold, one-letter tokens are no words, and a word counts only if our probe sees
it too, because only then there is a prompt to score it on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from pipeline.console.errors import BadInput
from pipeline.metrics.absorption import (
    AbsorptionSection,
    Scores,
    Splits,
    encode,
    k_sparse,
    main_latents,
    score,
)
from pipeline.metrics.letter_task import LetterTask
from pipeline.metrics.letters import f1
from pipeline.metrics.record import Metric, Value, missing
from pipeline.sae.core.inference import SAE

EPOCHS, BATCH, FIRST_RATE, LAST_RATE, DECAY = 50, 64, 1e-2, 1e-5, 1e-4
"""Of the letter probe (`train_multi_probe`); the learning rate falls exponentially, once per epoch."""

TENSORS = "saebench.safetensors"
_RECIPE = "SAEBench 0.6.0's own recipe, seeded (one split, Adam probe, L1 selection)"
METRICS = [
    Metric(
        "mean_absorption_fraction_score", "lower", "share", 1,
        f"{_RECIPE}: mean over letters of the absorption fraction; beside mean_absorption_fraction", False,
    ),
    Metric(
        "mean_full_absorption_score", "lower", "share", 1,
        f"{_RECIPE}: mean over letters of the full-absorption rate; beside mean_full_absorption", False,
    ),
    Metric(
        "mean_num_split_features", "lower", "latents", 1,
        f"{_RECIPE}: mean over letters of split latents; beside mean_split_features", False,
    ),
]  # fmt: skip


@dataclass(frozen=True)
class Probe:
    """One linear probe for all letters."""

    weight: Tensor  # (26, d) float32
    bias: Tensor  # (26,)


def fit(x: Tensor, letter: Tensor, include: Tensor, seed: int) -> Probe:
    """The letter probe of the rows `include` (W,) bool of `x` (W, d), trained as SAEBench does, by `seed`."""
    generator = torch.Generator().manual_seed(seed)
    bound = x.shape[1] ** -0.5  # torch's initial Linear layer
    w = ((2 * torch.rand(26, x.shape[1], generator=generator) - 1) * bound).requires_grad_()
    b = ((2 * torch.rand(26, generator=generator) - 1) * bound).requires_grad_()
    x, y = x[include], (letter[include, None] == torch.arange(26)).float()
    ups = y.sum(0)
    weight = (len(y) - ups) / ups.clamp_min(1)
    optimizer = torch.optim.Adam([w, b], lr=FIRST_RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]["lr"] = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (epoch / EPOCHS)
        for rows in torch.randperm(len(x), generator=generator).split(BATCH):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(x[rows] @ w.T + b, y[rows], pos_weight=weight).backward()
            optimizer.step()
    return Probe(w.detach(), b.detach())


def save_probe(folder: Path, probe: Probe) -> None:
    """Write the probe beside the letter task in `folder`."""
    save_file({name: tensor.contiguous() for name, tensor in vars(probe).items()}, folder / TENSORS)


def load_probe(folder: Path) -> Probe:
    """The probe that `save_probe` wrote; raises BadInput when it is absent or damaged."""
    try:
        return Probe(**load_file(folder / TENSORS))
    except FileNotFoundError as error:
        raise BadInput(
            f"{error.filename} is missing: run `python -m pipeline tasks letters` first."
        ) from None
    except (SafetensorError, TypeError) as error:
        raise BadInput(f"{folder} is damaged ({error}): run `dvc repro -f tasks@letters`.") from None


def all_missing(reason: str) -> dict[str, Value]:
    """Every metric missing, for one reason."""
    return {metric.name: missing(reason) for metric in METRICS}


def values(sae: SAE, task: LetterTask, probe: Probe, section: AbsorptionSection) -> dict[str, Value]:
    """SAEBench's three means of one SAE; missing where too few letters have a probe."""
    splits = k_sparse(
        encode(sae, task.x), task, section.model_copy(update={"selection": "l1_probe"}), splits=1
    )
    test = task.fold == 0
    seen = task.x @ probe.weight.T + probe.bias > 0
    kept = f1(seen[test], (task.letter[:, None] == torch.arange(26))[test]) > section.min_probe_f1
    if int(kept.sum()) < section.min_letters:
        return all_missing(
            f"{int(kept.sum())} letters have a probe with F1 above {section.min_probe_f1:g} by SAEBench's "
            f"recipe, absorption.min_letters asks for {section.min_letters}"
        )
    own = seen[task.scored, task.letter[task.scored]] & test[task.scored]
    letter = task.letter[task.scored[own]]
    found = _scores(sae, task.x_scored[own], letter, splits, probe)
    words = torch.bincount(letter, minlength=26)
    counted = kept & (words > 0)
    if not bool(counted.any()):
        return all_missing("no test word of a kept letter is a true positive of SAEBench's probe")

    def mean(value: Tensor) -> float:
        sums = torch.zeros(26, dtype=torch.float64).index_add_(0, letter, value.double())
        return float((sums / words)[counted].mean())

    fraction, full = mean(found.fraction), mean(found.full)
    return {
        "mean_absorption_fraction_score": Value(fraction, len(letter)),
        "mean_full_absorption_score": Value(full, len(letter)),
        "mean_num_split_features": Value(float(splits.features[kept].double().mean()), int(kept.sum())),
    }


def _scores(sae: SAE, x: Tensor, letter: Tensor, splits: Splits, probe: Probe) -> Scores:
    """The words' scores along the probe's directions."""
    direction = normalize(probe.weight.double(), dim=-1)
    cosine = direction @ normalize(sae.W_dec.detach().cpu().double(), dim=-1).T
    projection = (x.double() * direction[letter]).sum(-1)
    return score(encode(sae, x), cosine, main_latents(splits, sae.n), letter, projection)
