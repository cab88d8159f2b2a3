"""A study of two small blocks, the parameters it changes, and results as stages write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.numbers.definition import Better, Definition, Headline
from pipeline.numbers.document import Identity, Measured, write_measured
from pipeline.numbers.number import Number, missing
from pipeline.study.section import Study
from pipeline.study.workspace import Workspace

PARAMS: dict[str, Any] = {
    "profile": "other",
    "variants": ["topk"],
    "seeds": [1],
    "external": {"mine": {"path": "x"}},
    "inputs": {"model": "data/none", "text": "texts", "labels": "data/none"},
    "profiles": {
        "other": {"train": {"l0": [4], "tokens": 1000}},
        "small": {"text": {"seed": 0}, "model": {"seed": 0}, "train": {"l0": [4], "tokens": 1000}},
    },
    "topk": {"lr_scale": 1.0},
    "atm": {"lr_scale": 1.0, "controls": ["uniform_mask"]},
    "ground_truth": {"l0": [5], "seeds": [0, 1]},
}
STUDY: dict[str, Any] = {
    "profile": "small",
    "hours": 10.0,
    "models": {"first": {}, "second": {"set": {"profile.text.seed": 1}, "hours": 2.0}},
    "blocks": {
        "main": {
            "question": "Is atm better?", "overturned_by": "a third text.", "models": ["first", "second"],
            "seeds": [1, 2], "variants": ["topk", "atm"], "evaluations": ["reconstruction"],
            "set": {"profile.train.l0": [4, 8]},
            "compared": [{"row": "atm", "against": "topk", "outcomes": ["score", "price"]}],
        },
        "truth": {
            "question": "Does it find the truth?", "overturned_by": "noise.", "models": ["first"],
            "seeds": [1], "variants": ["topk", "atm"], "evaluations": ["ground_truth"],
            "compared": [{"row": "atm", "against": "topk", "outcomes": ["truth.recovery"]}],
        },
    },
}  # fmt: skip


def study(**changes: Any) -> Study:
    """The study with other values at its top."""
    return Study.parse({**STUDY, **changes}, "study", "study.yaml")


Score = Callable[[str, str, int, int], float | None]
"""Metric, label, seed and target to a value; None: missing."""


def _metric(name: str, better: Better) -> Definition:
    return Definition(name, better, "share", 1, f"{name}, made", headline=Headline(name, name, 10))


SCORE, PRICE, RECOVERY = _metric("score", "higher"), _metric("price", "lower"), _metric("recovery", "higher")


def write_results(space: Workspace, score: Score, missed: tuple[str, int] | None = None) -> None:
    """Results of every evaluation of `space`; the row (label, target) `missed` is off its target."""
    tree = space.params
    for evaluation in space.evaluations:
        truth = evaluation == "ground_truth"
        metrics = (
            [_metric("recovery", "higher")]
            if truth
            else [_metric("score", "higher"), _metric("price", "lower")]
        )
        seeds = tree["ground_truth"]["seeds"] if truth else tree["seeds"]
        targets = tree["ground_truth"]["l0"] if truth else tree["profiles"][tree["profile"]]["train"]["l0"]
        for variant in tree["variants"]:
            found = []
            for seed in seeds:
                for target in targets:
                    values = {each.name: score(each.name, variant, seed, target) for each in metrics}
                    numbers = {n: missing("none") if v is None else Number(v, 1) for n, v in values.items()}
                    on = (variant, target) != missed
                    found.append((identity(variant, seed, target, on), Measured(numbers)))
            folder = space.results(evaluation, variant)
            write_measured(folder, evaluation, variant, metrics, {}, found, {}, truth)


def identity(variant: str, seed: int, target: int, on: bool) -> Identity:
    return Identity(
        variant=variant, label=variant, seed=seed, reading="tokens", target=target, run=f"l0-{target}",
        status="ok", reason=None, l0=float(target), on_target=on, sae_sha256=None, model="m", layer=0,
        n=8, d=4,
    )  # fmt: skip


def write_params(folder: Path) -> None:
    """What `make` copies, as small as it can be."""
    for name in ("pipeline/one.py", "requirements/numeric.txt", "dvc.yaml", ".dvcignore", "data/none"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
