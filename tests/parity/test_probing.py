"""Sparse probing: every k-sparse probe on the texts that SAEBench drew for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from pipeline.metrics.probing.pooling import pooled_codes
from pipeline.metrics.probing.results import neurons_of, probe, problem_rows, values
from pipeline.metrics.probing.section import ProbingSection
from pipeline.sae.core.folder import load_sae
from pipeline.stages.probing_task import activations
from pipeline.tasks.probing.dense import dense_logits
from pipeline.tasks.probing.problems import Padded, Problem, accuracy
from pipeline.tasks.probing.task import ProbingTask, text_means
from tests.parity.conftest import Oracle
from tests.parity.ledger import Ledger, Pair
from tests.parity.world import ARCHITECTURES, SITE, D, World

Place = dict[tuple[str, str, str, int], int]
"""(set, split, class, index in its class) to the number of a text."""


def texts_of(world: World, folder: Path) -> tuple[ProbingTask, Place]:
    """A task without problems: our activations of the tokens that SAEBench made, padding left out."""
    place: Place = {}
    texts: list[list[int]] = []
    padding = world.lm.tokenizer.pad_token_id
    for name, rows in sorted(load_file(folder / "tokens.safetensors").items()):
        labelled, split, each = name.split("/")
        for i, row in enumerate(rows.tolist()):
            place[labelled, split, each, i] = len(texts)
            texts.append([token for token in row if token != padding])
    x, ids, offsets = activations(world.lm, SITE, texts)
    return ProbingTask(x, ids, offsets, text_means(x, offsets), [], [], {}), place


def calls(found: dict[str, Any], sets: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each training call of SAEBench with the set it belongs to; every set has the same number of calls."""
    each = len(found["probes"]) // len(sets)
    for i, call in enumerate(found["probes"]):
        yield sets[i // each], call


def problems_of(labelled: str, call: dict[str, Any], place: Place) -> list[Problem]:
    """The probes of one call; the validation items, which SAEBench has none of, are its last train items."""
    problems = []
    for positive, splits in call["items"].items():
        train, test = (
            [place[labelled, split, each, i] for each, i in rows]
            for split, rows in zip(("train", "test"), splits, strict=True)
        )
        truth = [[each == positive for each, _ in rows] for rows in splits]
        held = len(train) // 5
        items = {"train": train, "validation": train[-held:], "test": test}
        right = {"train": truth[0], "validation": truth[0][-held:], "test": truth[1]}
        problems.append(Problem(labelled, positive, items, right))
    return problems


def pairs_of(
    world: World,
    folder: Path,
    architecture: str,
    features: dict[int, Tensor],
    task: ProbingTask,
    place: Place,
) -> dict[str, tuple[list[float], list[float]]]:
    """Accuracies per class, and means over classes and sets, of k-sparse probes on SAE and raw features."""
    found = json.loads((folder / f"{architecture}.json").read_text(encoding="utf-8"))
    sets = list(json.loads((world.folder / "labelled.json").read_text(encoding="utf-8")))
    by_k: dict[tuple[int, int], list[tuple[str, dict[str, Any]]]] = {}
    for labelled, call in calls(found, sets):
        if call["k"] is not None:
            by_k.setdefault((call["width"], call["k"]), []).append((labelled, call))
    pairs: dict[str, tuple[list[float], list[float]]] = {}
    for (width, k), given in by_k.items():
        problems = [problem for labelled, call in given for problem in problems_of(labelled, call, place)]
        whole = replace(task, problems=problems, dense=[[True] * len(p.items["test"]) for p in problems])
        probed = probe(features[width], whole, [k])
        ours = [row["accuracy"] for row in problem_rows(probed, neurons_of(probed, whole), whole)]
        theirs = [call["accuracies"][positive] for _, call in given for positive in call["items"]]
        side, what = ("llm", "raw neurons") if width == D else ("sae", "latents")
        each = pairs.setdefault(f"k-sparse accuracy per class, {what}", ([], []))
        each[0].extend(ours)
        each[1].extend(theirs)
        mean = values(probed, whole, ProbingSection(k=[k], resamples=100))[f"probing_k{k}"].value
        known = found["means"][side][f"{side}_top_{k}_test_accuracy"]
        pairs[f"{side}_top_{k}_test_accuracy"] = ([round(float(mean or 0), 12)], [round(known, 12)])
    return pairs


def dense_accuracy(found: dict[str, Any], sets: list[str], task: ProbingTask, place: Place) -> Pair:
    """Dense probes on the mean residual, the ridge chosen on held-out training items; SAEBench's beside."""
    ours, theirs = [], []
    for labelled, call in calls(found, sets):
        if call["k"] is None and call["width"] == D:
            problems = problems_of(labelled, call, place)
            fitted = [
                replace(p, items={**p.items, "train": p.items["train"][: -len(p.items["validation"])]},
                        truth={**p.truth, "train": p.truth["train"][: -len(p.truth["validation"])]})
                for p in problems
            ]  # fmt: skip
            train, validation, test = (Padded.of(fitted, split) for split in ("train", "validation", "test"))
            ours.append(float(accuracy(dense_logits(task.mean, train, validation, test), test).mean()))
            theirs.append(sum(call["accuracies"].values()) / len(problems))
    return sum(ours) / len(ours), sum(theirs) / len(theirs)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_probing(world: World, oracle: Oracle, ledger: Ledger, architecture: str) -> None:
    folder = oracle.finished("probing")
    task, place = texts_of(world, folder)
    codes = pooled_codes(load_sae(world.sae_folder(architecture))[0], task.x, task.offsets)
    pairs = pairs_of(world, folder, architecture, {D: task.mean, codes.shape[1]: codes}, task, place)
    assert len(pairs) == 2 + 2 * 3
    accuracies = {value for pair in pairs.values() for value in pair[0]}
    assert min(accuracies) > 0.4, "neither at chance"
    assert max(accuracies) < 0.97, "nor saturated"
    ledger.equal("sparse probing", pairs)
    found = json.loads((folder / f"{architecture}.json").read_text(encoding="utf-8"))
    sets = list(json.loads((world.folder / "labelled.json").read_text(encoding="utf-8")))
    ours, theirs = dense_accuracy(found, sets, task, place)
    ledger.differs(architecture, "sparse probing: llm_test_accuracy", theirs, "raw_dense", ours)


def test_accuracies_can_fail(world: World, oracle: Oracle) -> None:
    """Features moved by one text: no mean stays the same."""
    folder = oracle.finished("probing")
    task, place = texts_of(world, folder)
    codes = pooled_codes(load_sae(world.sae_folder("topk"))[0], task.x, task.offsets)
    features = {D: task.mean.roll(1, 0), codes.shape[1]: codes.roll(1, 0)}
    for name, pair in pairs_of(world, folder, "topk", features, task, place).items():
        with pytest.raises(AssertionError, match="largest difference"):
            Ledger().equal("sparse probing", {name: pair})
