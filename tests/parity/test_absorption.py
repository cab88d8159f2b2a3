"""Absorption: letter probes, k-sparse probes and every word, from the prompts and probes SAEBench drew."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.metrics.absorption import (
    Absorption,
    AbsorptionSection,
    Scores,
    Splits,
    encode,
    gather,
    main_latents,
    score,
)
from pipeline.metrics.absorption_results import letter_rows, values
from pipeline.metrics.letter_task import LetterTask
from pipeline.metrics.letters import FOLDS, LETTERS, f1
from pipeline.metrics.logistic import balanced, fit_small
from pipeline.sae.core.folder import load_sae
from pipeline.sae.core.inference import SAE
from tests.parity.conftest import Oracle
from tests.parity.ledger import Ledger
from tests.parity.world import ARCHITECTURES, LAYER, POSITION, World

UNDECIDED = 0.05
BEYOND = f", logit beyond {UNDECIDED}"
SECTION = AbsorptionSection(resamples=100)
MEANS = {
    "mean_absorption_fraction": "mean_absorption_fraction_score",
    "mean_full_absorption": "mean_full_absorption_score",
    "mean_split_features": "mean_num_split_features",
}
"""Our metric to SAEBench's field."""


@dataclass(frozen=True)
class Drawn:
    """What SAEBench drew and found: shared by the SAEs, and of one SAE."""

    task: dict[str, Tensor]
    words: dict[str, dict[str, list[str]]]
    probes: dict[str, Tensor]
    found: dict[str, Any]

    @classmethod
    def of(cls, folder: Path, architecture: str) -> Drawn:
        """The files of one SAE."""
        words = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        found = json.loads((folder / f"{architecture}.json").read_text(encoding="utf-8"))
        probes = load_file(folder / f"{architecture}.safetensors")
        return cls(load_file(folder / "task.safetensors"), words, probes, found)


def residuals(world: World, prompts: list[str]) -> Tensor:
    """(W, d): our residual stream at the word of each prompt."""
    ids = torch.tensor(world.lm.tokenizer(prompts)["input_ids"])
    return torch.cat([world.lm.forward_to(part, LAYER)[:, POSITION] for part in ids.split(64)])


def task_of(world: World, drawn: Drawn) -> LetterTask:
    """SAEBench's test words as our task of one fold: its prompts, its probe, our activations and choice."""
    test = drawn.words["test"]
    x, letter = residuals(world, test["prompt"]), drawn.task["y_test"]
    weight, bias = drawn.task["weight"], drawn.task["bias"]
    own = (x @ weight.T + bias).gather(1, letter[:, None])[:, 0]
    scored = torch.nonzero(own > 0).flatten()
    prompts = dict(zip(drawn.found["words"]["token"], drawn.found["words"]["prompt"], strict=True))
    again = [prompts[test["token"][i]] for i in scored.tolist()]
    return LetterTask(
        words=test["token"], x=x, letter=letter, fold=torch.zeros_like(letter), scored=scored,
        x_scored=residuals(world, again), weight=weight.expand(FOLDS, -1, -1), bias=bias.expand(FOLDS, -1),
        facts={},
    )  # fmt: skip


def k_sparse(drawn: Drawn, sae: SAE, x: Tensor, x_test: Tensor) -> Tensor:
    """(10, W, 26) logits on SAEBench's test words of our k-sparse probes on the latents it selected."""
    top = drawn.probes["top"]
    y = drawn.task["y_train"][None] == torch.arange(26)[:, None]
    weight = balanced(y, torch.ones_like(y))
    features, test = gather(encode(sae, x), top), gather(encode(sae, x_test), top)
    logits = []
    for k in range(1, top.shape[1] + 1):
        w, b = fit_small(features[:, :, :k], y, weight)
        logits.append((torch.einsum("pnk,pk->pn", test[:, :, :k], w) + b[:, None]).T)
    return torch.stack(logits)


def predictions(drawn: Drawn, sae: SAE, x: Tensor, x_test: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(10, W, 26) bool, all three: our predictions, SAEBench's, and where SAEBench's solver decided.

    Its solver stops at a gradient of 1e-4, which leaves logits uncertain by some hundredths; ours goes
    on to the optimum. A word whose logit SAEBench has within `UNDECIDED` of zero may fall on either side.
    """
    logits = drawn.probes["logits"].transpose(1, 2)
    decided = logits.abs() >= UNDECIDED
    assert decided.double().mean() > 0.95
    return k_sparse(drawn, sae, x, x_test) > 0, logits > 0, decided


def measured(drawn: Drawn, task: LetterTask, sae: SAE, predicted_k1: Tensor) -> Absorption:
    """Our absorption with SAEBench's main latents."""
    counts = torch.tensor([len(drawn.found["main_latents"].get(letter, [])) for letter in LETTERS])
    none = torch.zeros(26)
    splits = Splits(drawn.probes["top"].expand(FOLDS, -1, -1), counts, predicted_k1, none, none)
    direction = normalize(task.weight.double().flatten(0, 1), dim=-1)
    cosine = direction @ normalize(sae.W_dec.double(), dim=-1).T
    problem = task.letter[task.scored]
    projection = (task.x_scored.double() * direction[problem]).sum(-1)
    scores = score(encode(sae, task.x_scored), cosine, main_latents(splits, sae.n), problem, projection)
    return Absorption(splits, scores, scores)


def in_saebenchs_order(drawn: Drawn, task: LetterTask, scores: Scores) -> tuple[list[float], list[bool]]:
    """Fractions and flags of our words, in the order of SAEBench's list."""
    place = {task.words[word]: i for i, word in enumerate(task.scored.tolist())}
    order = [place[token] for token in drawn.found["words"]["token"]]
    return scores.fraction[order].tolist(), scores.full[order].tolist()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_absorption(world: World, oracle: Oracle, ledger: Ledger, architecture: str) -> None:
    drawn = Drawn.of(oracle.finished("absorption"), architecture)
    sae, task = load_sae(world.sae_folder(architecture))[0], task_of(world, drawn)
    words, truth = drawn.found["words"], task.letter[:, None] == torch.arange(26)
    train = residuals(world, drawn.words["train"]["prompt"])
    ledger.absolute("absorption", {"residual stream at the word": (task.x, drawn.task["X_test"])}, 1e-4)
    ledger.relative("absorption", {"letter probe: F1 per letter": (task.f1_probe, drawn.probes["f1_probe"])})
    scored = sorted(task.words[i] for i in task.scored.tolist())
    ledger.equal("absorption", {"words scored": (scored, sorted(words["token"]))})

    predicted, theirs, decided = predictions(drawn, sae, train, task.x)
    ledger.equal("absorption", {f"k-sparse letter probes: predictions{BEYOND}": (
        predicted[decided].tolist(), theirs[decided].tolist()
    )})  # fmt: skip
    scores = torch.stack([f1(each, truth) for each in torch.where(decided, predicted, theirs)])
    ledger.relative("absorption", {f"k-sparse letter probes: F1{BEYOND}": (scores, drawn.probes["f1"])})

    found = measured(drawn, task, sae, predicted[0])
    fractions, flags = in_saebenchs_order(drawn, task, found.scores)
    assert 0 < sum(flags) < len(flags), "both kinds of words must occur"
    assert any(0 < fraction < 1 for fraction in fractions)
    ledger.absolute("absorption", {"fraction per word": (fractions, words["absorption_fraction"])}, 1e-5)
    ledger.equal("absorption", {"full absorption per word": (flags, words["is_full_absorption"])})
    ours = values(found, task, SECTION)
    ledger.relative("absorption", {
        field: (ours[name].value, drawn.found["mean"][field]) for name, field in MEANS.items()
    })  # fmt: skip
    rows = {row["letter"]: row for row in letter_rows(found, task, SECTION) if row["kept"]}
    details = [detail for detail in drawn.found["letters"] if detail["num_probe_true_positives"]]
    assert {detail["first_letter"] for detail in details} == {a for a in rows if rows[a]["true_positives"]}
    columns = {
        "mean_absorption_fraction": "absorption_fraction", "full_absorption_rate": "full_absorption",
        "num_full_absorption": "fully_absorbed", "num_probe_true_positives": "true_positives",
    }  # fmt: skip
    for field, column in columns.items():
        mine = [rows[detail["first_letter"]][column] for detail in details]
        ledger.relative("absorption", {f"{field} per letter": (mine, [detail[field] for detail in details])})


def test_the_words_can_fail(world: World, oracle: Oracle) -> None:
    """Each letter's main latents exchanged for the next letter's, and codes scaled by 1.001."""
    drawn = Drawn.of(oracle.finished("absorption"), "topk")
    task, sae = task_of(world, drawn), load_sae(world.sae_folder("topk"))[0]
    larger = replace(sae, W_enc=sae.W_enc * 1.001)
    words = drawn.found["words"]

    def compared(drawn: Drawn, sae: SAE) -> tuple[list[float], list[bool]]:
        found = measured(drawn, task, sae, torch.zeros(len(task.words), 26, dtype=torch.bool))
        return in_saebenchs_order(drawn, task, found.scores)

    fractions = compared(drawn, larger)[0]
    with pytest.raises(AssertionError, match="largest difference"):
        Ledger().absolute("absorption", {"fraction": (fractions, words["absorption_fraction"])}, 1e-5)
    rolled = replace(drawn, probes={**drawn.probes, "top": drawn.probes["top"].roll(1, 0)})
    flags = compared(rolled, sae)[1]
    with pytest.raises(AssertionError, match="largest difference"):
        Ledger().equal("absorption", {"full absorption": (flags, words["is_full_absorption"])})
    train = residuals(world, drawn.words["train"]["prompt"])
    predicted, theirs, decided = predictions(rolled, sae, train, task.x)
    with pytest.raises(AssertionError, match="largest difference"):
        Ledger().equal("absorption", {"k-sparse": (predicted[decided].tolist(), theirs[decided].tolist())})
