"""Made-up evaluations in the real formats: what compare reads, without training anything.

Definitions and tables' columns are those of the evaluations themselves; only the numbers are made up.
"""

from __future__ import annotations

import hashlib
import math
import random
import string
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from ruamel.yaml import YAML

from pipeline.metrics.absorption import evaluate as absorption
from pipeline.metrics.behavior import evaluate as behavior
from pipeline.metrics.ground_truth import evaluate as ground_truth
from pipeline.metrics.probing import evaluate as probing
from pipeline.metrics.probing import results as probed
from pipeline.metrics.probing.section import ProbingSection
from pipeline.metrics.reconstruction import evaluate as reconstruction
from pipeline.numbers.definition import Definition
from pipeline.numbers.document import Identity, Measured, nothing, write_measured
from pipeline.numbers.number import Number, missing
from pipeline.numbers.table import Columns, write_table
from pipeline.sae.core.index import TOLERANCE, Run, write_index
from pipeline.stages.common.files import evaluation_folder, external_folder, sae_folder

VARIANTS = ["standard", "topk", "atm", "temporal"]
SEEDS = [42, 43]
TARGETS = [4, 16]
NO_SETS = cast(Any, SimpleNamespace(problems=[]))
SECTION = ProbingSection()
DEFINED: Mapping[str, Iterable[Definition]] = {
    "reconstruction": reconstruction.METRICS,
    "behavior": behavior.METRICS,
    "absorption": absorption.METRICS,
    "probing": probing.metrics(NO_SETS, SECTION),
    "ground_truth": ground_truth.METRICS,
}
"""All that the evaluations measure."""
DECLARED: Mapping[str, Mapping[str, Columns]] = {
    "reconstruction": reconstruction.TABLES,
    "behavior": behavior.TABLES,
    "absorption": absorption.TABLES,
    "probing": probed.tables(SECTION.k),
    "ground_truth": {},
}
OTHERS = {
    "mse", "l1", "flicker", "flicker_shuffled", "probing_k5", "l0_true", "mean_absorption_fraction",
}  # fmt: skip
"""Made up beside headlines and references: fewer numbers are quicker."""
CHOSEN = {
    stage: {each.name: each for each in defined if each.headline or each.reference or each.name in OTHERS}
    for stage, defined in DEFINED.items()
}
CONTEXTS, WORDS = 40, 60
Values = dict[str, Any]
Dice = np.random.Generator
Rows = list[dict[str, Any]]


@dataclass
class World:
    """What to make up; change a field, then `write`."""

    variants: list[str] = field(default_factory=lambda: list(VARIANTS))
    seeds: list[int] = field(default_factory=lambda: list(SEEDS))
    targets: list[int] = field(default_factory=lambda: list(TARGETS))
    values: dict[tuple[str, str, int | None, int, str], float] = field(default_factory=dict)
    """(variant, run, target, seed, metric) -> value, instead of a made-up one."""
    missing: dict[tuple[str, int, str], str] = field(
        default_factory=dict
    )  # (run label, seed, metric) -> reason
    diverged: dict[tuple[str, str, int], str] = field(default_factory=dict)  # (variant, run, seed) -> reason
    controls: tuple[str, ...] = ("standard",)
    papers: tuple[str, ...] = ("temporal",)
    given: tuple[str, ...] = ()  # trained elsewhere
    compare: dict[str, Any] = field(default_factory=lambda: {"family": [], "margins": {}})

    def write(self, root: Path) -> None:
        """params.yaml, models/sae and reports under `root`."""
        params = {
            "profile": "embedded",
            "profiles": {"embedded": {}},
            "variants": self.variants,
            "seeds": self.seeds,
            "external": {name: {"path": "somewhere"} for name in self.given},
            "compare": self.compare,
        }
        with (root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(params, file)
        for variant in self.variants:
            self._train(root, variant)
            for stage in CHOSEN:
                self._evaluate(root, stage, variant)
        for name in self.given:
            folder = root / external_folder(name)
            folder.mkdir(parents=True, exist_ok=True)
            write_index(folder, [self.run(name, 0, *run) for run in self.runs(name)])
            for stage in CHOSEN:
                if stage != "ground_truth":
                    self._evaluate(root, stage, name)

    def runs(self, variant: str) -> list[tuple[str, str, int | None]]:
        """(name, reading, target) of every SAE of one (variant, seed)."""
        if variant in self.given:
            return [("given", "external", None)]
        own = {"temporal": "pairs", "tsae": "contexts", "contrastive": "pairs"}.get(variant, "tokens")
        runs: list[tuple[str, str, int | None]] = [(f"l0-{target}", own, target) for target in self.targets]
        if variant in self.controls:
            runs += [(f"{r}-l0-{t}", r, t) for r in ("pairs", "contexts") for t in self.targets]
        if variant in self.papers:
            runs.append(("paper", own, None))
        return runs

    def _train(self, root: Path, variant: str) -> None:
        for seed in self.seeds:
            folder = root / sae_folder(variant, seed)
            folder.mkdir(parents=True, exist_ok=True)
            index = [self.run(variant, seed, *run) for run in self.runs(variant)]
            write_index(folder, index)
            for run in index:
                rows = list(_curve(run, random.Random(f"{variant}{seed}{run.name}")))
                write_table(folder / run.name / "training.tsv", dict.fromkeys(rows[0], float), rows)

    def run(self, variant: str, seed: int, name: str, reading: str, target: int | None) -> Run:
        """One entry of index.json."""
        reason = self.diverged.get((variant, name, seed))
        l0 = self.value("reconstruction", "l0", variant, name, target, seed)
        return Run(
            name=name, variant=variant, control=reading if name.startswith(reading) else None, seed=seed,
            reading=reading, target=target, status="diverged" if reason else "ok", reason=reason, l0=l0,
            coefficient=0.5, on_target=None if target is None else abs(l0 - target) <= TOLERANCE * target,
        )  # fmt: skip

    def value(self, stage: str, metric: str, variant: str, run: str, target: int | None, seed: int) -> float:
        """The made-up value, smooth in the target, different by variant, a little different by seed."""
        given = self.values.get((variant, run, target, seed, metric))
        if given is not None:
            return given
        of_variant = random.Random(f"{variant}{run.split('l0')[0]}{metric}").random()
        noise = random.Random(f"{variant}{run}{metric}{seed}").uniform(-0.01, 0.01)
        at = target or 900
        if metric in ("l0", "l0_true"):
            return at * (1 + noise) if metric == "l0" else 8.0
        if metric.startswith("raw_"):
            return 0.93 if metric == "raw_dense" else 0.71
        if metric.endswith(("_token_lookup", "_shuffled_tokens")):
            return 0.25
        if metric.endswith("_random_sae"):
            return 0.01 / at if metric.startswith("mean") else 0.1
        if metric.endswith("_random_direction"):
            return 0.2
        if metric.endswith("_shuffled_decoder"):
            return -0.5 - 0.2 * [*self.variants, *self.given].index(variant) if "variance" in metric else 0.3
        if metric == "letter_f1_k1":
            wanted = 0.3 + 0.4 * of_variant + noise
            right = round(wanted * WORDS / (2 - wanted))
            return 2 * right / (WORDS + right)
        if metric == "flicker_shuffled":
            return min(0.98, 0.85 + 0.1 * of_variant)
        quality = min(0.5 + 0.12 * math.log2(at) / 1.3 + 0.15 * of_variant, 0.97) + noise
        value = quality if CHOSEN[stage][metric].better == "higher" else 1 - quality
        return round(value * WORDS) / WORDS if metric in COUNTED else value

    def _evaluate(self, root: Path, stage: str, variant: str) -> None:
        own = stage == "ground_truth"
        saes = [
            self.measured(stage, variant, seed, run)
            for seed in ([0, 1] if own else [0] if variant in self.given else self.seeds)
            for run in self.runs(variant)
            if not own or run[0].startswith("l0")
        ]
        folder = root / evaluation_folder(stage, variant)
        write_measured(folder, stage, variant, CHOSEN[stage].values(), DECLARED[stage], saes, {}, own)

    def measured(
        self, stage: str, variant: str, seed: int, run: tuple[str, str, int | None]
    ) -> tuple[Identity, Measured]:
        """What the evaluation `stage` says of one SAE."""
        entry = self.run(variant, seed, *run)
        name, reading, target = run
        label = entry.label
        identity = Identity(
            variant=variant, label=label, seed=seed, reading=reading, target=target, run=name,
            status=entry.status, reason=entry.reason, l0=entry.l0, on_target=entry.on_target,
            sae_sha256=hashlib.sha256(f"{variant}{seed}{name}".encode()).hexdigest(),
            model="embedded", layer=1, n=1024, d=128,
        )  # fmt: skip
        if entry.reason:
            return identity, nothing(CHOSEN[stage].values(), entry.reason)
        numbers = {}
        for metric in CHOSEN[stage]:
            reason = self.missing.get((label + " " + name, seed, metric))
            value = self.value(stage, metric, variant, name, target, seed)
            numbers[metric] = missing(reason) if reason else Number(value, 5000)
        values = {metric: number.value for metric, number in numbers.items()}
        dice = zlib.crc32(label.encode())  # items difficult for this method at all its seeds
        tables: dict[str, Rows] = {
            file: _completed(make(values, np.random.default_rng(5), np.random.default_rng(dice)), stage, file)
            for (of, file), make in ITEM_TABLES.items()
            if of == stage
        }
        if stage == "absorption":
            tables["letters.tsv"] = _completed(_letters(f"{variant}{name}", seed), stage, "letters.tsv")
        return identity, Measured(numbers, tables)


def _completed(rows: Iterable[dict[str, Any]], stage: str, file: str) -> Rows:
    """`rows` with every column that the stage declares."""
    empty = {name: "" if kind is str else 0 for name, kind in DECLARED[stage][file].items()}
    return [empty | row for row in rows]


def _letters(name: str, seed: int) -> Iterable[dict[str, Any]]:
    for letter in string.ascii_lowercase:
        fraction = random.Random(f"{name}{letter}{seed}").random() ** 4
        yield {"letter": letter, "kept": int(letter not in "xz"), "true_positives": 12,
               "absorption_fraction": fraction, "full_absorption": fraction / 2}  # fmt: skip


def _contexts(above: str, below: str) -> Any:
    """Contexts whose pooled `above` / `below` is 1 - score."""

    def make(score: float, shared: np.random.Generator, own: np.random.Generator) -> list[dict[str, Any]]:
        size = shared.uniform(50, 150, CONTEXTS)
        share = (1 - score) * shared.uniform(0.5, 1.5, CONTEXTS) * own.uniform(0.95, 1.05, CONTEXTS)
        share *= (1 - score) * size.sum() / (share * size).sum()
        return [
            {"context": i, below: float(each), above: float(each * part)}
            for i, (each, part) in enumerate(zip(size, share, strict=True))
        ]

    return make


def _reconstructed(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    score = values["explained_variance"]
    return _contexts("squared_error", "squared_deviation")(score, shared, own) if score is not None else []


def _steady(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    """Half of all latents, and of the energy, switch in random order."""
    scores = [values[name] for name in ("persistence", "persistence_energy", "smoothness_ratio")]
    if None in scores:
        return []
    made = [_contexts("part", "size")(score, shared, own) for score in (*scores[:2], 1 - scores[2])]
    return [
        {
            "context": off["context"],
            "on_followed": off["size"], "stays_on": off["size"] - off["part"] / 2,
            "on_followed_shuffled": off["size"], "stays_on_shuffled": off["size"] / 2,
            "sides": switched["size"], "switched": switched["part"] / 2,
            "sides_shuffled": switched["size"], "switched_shuffled": switched["size"] / 2,
            "smoothness": ratio["size"], "moving_pairs": ratio["size"],
            "smoothness_shuffled": ratio["part"], "moving_pairs_shuffled": ratio["size"],
        }
        for off, switched, ratio in zip(*made, strict=True)
    ]  # fmt: skip


def _behaved(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    score = values["kl_sae"]
    return [] if score is None else _contexts("kl_sae", "kl_tokens")(1 - score, shared, own)


def _worded(values: Values, shared: Dice, own: Dice) -> Rows:
    missed = _right(values["miss_rate"] or 0.0, shared, own)
    carrier, fraction = values["carrier"] or 0.0, values["mean_absorption_fraction"] or 0.0
    return [
        {"word": f"word{i}", "letter": "a", "kept": 1, "absorption_fraction": fraction, "main_silent": each,
         "full_absorption": each, "chance": each * (1 - carrier)}
        for i, each in enumerate(missed)
    ]  # fmt: skip


def _predicted(values: Values, shared: Dice, own: Dice) -> Rows:
    score = values["letter_f1_k1"] or 0.0
    heard = _right(round(score * WORDS / (2 - score)) / WORDS, shared, own)
    return [
        {"word": f"word{i}", "letter": "a", "kept": 1, "begins": 1, "predicted_k1": each, "both_k1": each}
        for i, each in enumerate(heard)
    ]


def _probed(values: Values, shared: Dice, own: Dice) -> Rows:
    right = _right(values["probing"] or 0.0, shared, own)
    every = [f"right_k{k}" for k in SECTION.k]
    return [
        {"set": "topics", "class": "news", "text": i} | dict.fromkeys(every, each)
        for i, each in enumerate(right)
    ]


def _right(share: float, shared: Dice, own: Dice) -> list[int]:
    """1 for a `share` of the words, the easiest for this SAE; 0 for the others."""
    order = np.argsort(shared.random(WORDS) + 0.2 * own.random(WORDS))
    easiest = set(order[: round(share * WORDS)].tolist())
    return [int(i in easiest) for i in range(WORDS)]


COUNTED = ("miss_rate", "probing")
"""Scores whose items are right or wrong."""
ITEM_TABLES: Mapping[tuple[str, str], Callable[[Values, Dice, Dice], Rows]] = {
    ("reconstruction", "contexts.tsv"): _reconstructed,
    ("reconstruction", "temporal.tsv"): _steady,
    ("behavior", "contexts.tsv"): _behaved,
    ("absorption", "words.tsv"): _worded,
    ("absorption", "predictions.tsv"): _predicted,
    ("probing", "items.tsv"): _probed,
}


def _curve(run: Run, dice: random.Random) -> Any:
    target = run.target or 900
    floor = 0.35 / math.log2(target + 2) + 0.1 * dice.random()
    for step in range(0, 781, 5):
        done = step / 780
        l0 = target * (1 + 60 * math.exp(-9 * done)) * (1 + 0.04 * dice.uniform(-1, 1))
        error = floor + (1.2 - floor) * math.exp(-12 * done) + 0.01 * dice.uniform(-1, 1)
        yield {
            "step": step, "tokens": step * 1024, "loss": 130 * error, "reconstruction": 128 * error, "l0": l0,
            "explained_variance": 1 - error, "dead": int(100 * done), "coefficient": 0.5,
        }  # fmt: skip
