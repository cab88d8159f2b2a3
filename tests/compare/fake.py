"""Made-up evaluations in the real formats: what compare reads, without training anything."""

from __future__ import annotations

import hashlib
import math
import random
import string
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from pipeline.stages.compare import GIVEN
from pipeline.stages.files import write_json, write_tsv

VARIANTS = ["standard", "topk", "atm", "temporal"]
SEEDS = [42, 43]
TARGETS = [4, 16]
LETTER_COLUMNS = (
    "label", "seed", "run", "letter", "kept", "true_positives", "absorption_fraction", "full_absorption",
)  # fmt: skip
BETTER = {
    "reconstruction": {
        "l0": "neither", "explained_variance": "higher", "dead_share": "lower", "flicker": "lower",
        "flicker_shuffled": "neither", "mse": "lower", "l1": "neither",
        "explained_variance_random_sae": "neither", "explained_variance_shuffled_decoder": "neither",
    },
    "behavior": {"ce_score": "higher"},
    "absorption": {
        "mean_absorption_fraction": "lower", "mean_full_absorption": "lower", "letter_f1_k1": "higher",
        "mean_absorption_fraction_random_sae": "neither", "letter_f1_k1_random_sae": "neither",
        "mean_absorption_fraction_random_direction": "neither",
    },
    "probing": {
        "probing_k1": "higher", "probing_k5": "higher", "raw_dense": "higher", "raw_neurons_k1": "higher",
    },
    "ground_truth": {
        "l0": "neither", "l0_true": "neither", "recovery_mmcs": "higher", "recovery_share": "higher",
        "firing_f1": "higher", "exact_absorption": "lower", "exact_absorption_matched": "lower",
    },
}  # fmt: skip
CONTEXTS, WORDS = 40, 60
Values = dict[str, Any]
Dice = np.random.Generator
HIDDEN = ("l1", "flicker_shuffled", "l0_true")


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

    def write(self, root: Path) -> None:
        """params.yaml, models/sae and reports under `root`."""
        params = {
            "profile": "embedded",
            "profiles": {"embedded": {}},
            "variants": self.variants,
            "seeds": self.seeds,
            "external": {name: {"path": "somewhere"} for name in self.given},
        }
        with (root / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(params, file)
        for variant in self.variants:
            self._train(root, variant)
            for stage in BETTER:
                self._evaluate(root, stage, variant)
            self._letters(root, variant)
            for (stage, file), (columns, make) in ITEM_TABLES.items():
                rows = [
                    {"label": row["label"], "seed": row["seed"], "run": row["run"], **item}
                    for row in self._rows(stage, variant)
                    for item in self._items(row, make)
                ]
                path = root / "reports/evaluations" / stage / variant / file
                write_tsv(path, ["label", "seed", "run", *columns], rows)
        for name in self.given:
            index = [self.run(name, 0, *run) for run in self.runs(name)]
            write_json(root / "models/sae" / name / "external/index.json", index)
            for stage in GIVEN:
                self._evaluate(root, stage, name)
            self._letters(root, name)

    def _items(self, row: dict[str, Any], make: Any) -> list[dict[str, Any]]:
        """The items of one SAE: some difficult for all SAEs, some for this method at all its seeds."""
        values = {name: given["value"] for name, given in row["metrics"].items()}
        if row["status"] == "diverged":
            return []
        dice = np.random.default_rng(zlib.crc32(str(row["label"]).encode()))
        items: list[dict[str, Any]] = make(values, np.random.default_rng(5), dice)
        return items

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
            folder = root / "models/sae" / variant / str(seed)
            index = [self.run(variant, seed, *run) for run in self.runs(variant)]
            write_json(folder / "index.json", index)
            for run in index:
                rows = list(_curve(run, random.Random(f"{variant}{seed}{run['name']}")))
                write_tsv(folder / run["name"] / "training.tsv", list(rows[0]), rows)

    def run(self, variant: str, seed: int, name: str, reading: str, target: int | None) -> dict[str, Any]:
        """One entry of index.json."""
        reason = self.diverged.get((variant, name, seed))
        l0 = self.value("reconstruction", "l0", variant, name, target, seed)
        return {
            "name": name, "variant": variant, "seed": seed, "reading": reading, "target": target,
            "status": "diverged" if reason else "ok", "reason": reason, "l0": l0, "coefficient": 0.5,
            "on_target": None if target is None else abs(l0 - target) <= 0.1 * target,
        }  # fmt: skip

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
        if metric.endswith("_random_sae"):
            return 0.01 / at if metric.startswith("mean") else 0.1
        if metric.endswith("_random_direction"):
            return 0.2
        if metric.endswith("_shuffled_decoder"):
            return -0.5 - 0.2 * [*self.variants, *self.given].index(variant)
        if metric == "letter_f1_k1":
            wanted = 0.3 + 0.4 * of_variant + noise
            right = round(wanted * WORDS / (2 - wanted))
            return 2 * right / (WORDS + right)
        better = BETTER[stage][metric]
        quality = min(0.5 + 0.12 * math.log2(at) / 1.3 + 0.15 * of_variant, 0.97) + noise
        if metric == "flicker_shuffled":
            return min(0.98, 0.85 + 0.1 * of_variant)
        return quality if better == "higher" else 1 - quality

    def _evaluate(self, root: Path, stage: str, variant: str) -> None:
        metrics = {
            name: {"name": name, "better": better, "unit": "share", "version": 1, "definition": f"{name}.",
                   "aggregate": name not in HIDDEN}
            for name, better in BETTER[stage].items()
        }  # fmt: skip
        rows = self._rows(stage, variant)
        write_json(
            root / "reports/evaluations" / stage / variant / "results.json",
            {"schema": 2, "evaluation": stage, "variant": variant, "metrics": metrics, "rows": rows},
        )

    def _rows(self, stage: str, variant: str) -> list[dict[str, Any]]:
        return [
            self._row(stage, variant, seed, run)
            for seed in ([0, 1] if stage == "ground_truth" else self._seeds(variant))
            for run in self.runs(variant)
            if stage != "ground_truth" or run[0].startswith("l0")
        ]

    def _row(self, stage: str, variant: str, seed: int, run: tuple[str, str, int | None]) -> dict[str, Any]:
        entry = self.run(variant, seed, *run)
        name, reading, target = run
        label = f"{variant} ({reading})" if name.startswith(reading) else variant
        identity = {
            "variant": variant, "label": label, "seed": seed, "reading": reading, "target": target,
            "run": name, **{key: entry[key] for key in ("status", "reason", "l0", "on_target")},
            "sae_sha256": hashlib.sha256(f"{variant}{seed}{name}".encode()).hexdigest(),
            "model": "embedded", "layer": 1, "n": 1024, "d": 128,
        }  # fmt: skip
        values = {}
        for metric in BETTER[stage]:
            reason = entry["reason"] or self.missing.get((label + " " + name, seed, metric))
            value = None if reason else self.value(stage, metric, variant, name, target, seed)
            values[metric] = {
                "value": value,
                "items": 0 if reason else 5000,
                "reason": reason,
                "low": None,
                "high": None,
            }
        return identity | {"metrics": values}

    def _seeds(self, variant: str) -> list[int]:
        return [0] if variant in self.given else self.seeds

    def _letters(self, root: Path, variant: str) -> None:
        rows = []
        for seed in self._seeds(variant):
            for name, reading, _ in self.runs(variant):
                if (variant, name, seed) in self.diverged:
                    continue
                label = f"{variant} ({reading})" if name.startswith(reading) else variant
                for letter in string.ascii_lowercase:
                    fraction = random.Random(f"{variant}{name}{letter}{seed}").random() ** 4
                    rows.append({
                        "label": label, "seed": seed, "run": name, "letter": letter,
                        "kept": int(letter not in "xz"), "true_positives": 12,
                        "absorption_fraction": fraction, "full_absorption": fraction / 2,
                    })  # fmt: skip
        write_tsv(root / "reports/evaluations/absorption" / variant / "letters.tsv", LETTER_COLUMNS, rows)


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


def _flickered(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    score = values["flicker"]
    return _contexts("stays_on", "on_followed")(score, shared, own) if score is not None else []


def _behaved(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    score = values["ce_score"]
    found = _contexts("lost", "scale")(score, shared, own) if score is not None else []
    return [
        {"context": row["context"], "ce_clean": 100.0, "ce_zero": 100 + row["scale"],
         "ce_sae": 100 + row["lost"]}
        for row in found
    ]  # fmt: skip


def _worded(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    noise = shared.normal(0, 0.05, WORDS) + own.normal(0, 0.01, WORDS)
    noise -= noise.mean()
    names = {"absorption_fraction": "mean_absorption_fraction", "full_absorption": "mean_full_absorption"}
    return [
        {"word": f"word{i}", "letter": "a", "kept": 1,
         **{column: (values[name] or 0.0) + float(noise[i]) for column, name in names.items()}}
        for i in range(WORDS)
    ]  # fmt: skip


def _predicted(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    score = values["letter_f1_k1"] or 0.0
    right = round(score * WORDS / (2 - score))
    order = np.argsort(shared.random(WORDS) + 0.2 * own.random(WORDS))
    heard = set(order[:right].tolist())
    return [
        {"word": f"word{i}", "letter": "a", "kept": 1, "begins": 1, "predicted_k1": int(i in heard)}
        for i in range(WORDS)
    ]


def _probed(values: Values, shared: Dice, own: Dice) -> list[dict[str, Any]]:
    noise = shared.normal(0, 0.3, WORDS) + own.normal(0, 0.05, WORDS)
    noise -= noise.mean()
    return [
        {"set": "topics", "class": "news", "text": i, "right_k1": (values["probing_k1"] or 0.0) + float(each)}
        for i, each in enumerate(noise)
    ]


ITEM_TABLES = {
    ("reconstruction", "contexts.tsv"): (("context", "squared_error", "squared_deviation"), _reconstructed),
    ("reconstruction", "temporal.tsv"): (("context", "stays_on", "on_followed"), _flickered),
    ("behavior", "contexts.tsv"): (("context", "ce_clean", "ce_zero", "ce_sae"), _behaved),
    ("absorption", "words.tsv"): (
        ("word", "letter", "kept", "absorption_fraction", "full_absorption"), _worded,
    ),
    ("absorption", "predictions.tsv"): (("word", "letter", "kept", "begins", "predicted_k1"), _predicted),
    ("probing", "items.tsv"): (("set", "class", "text", "right_k1"), _probed),
}  # fmt: skip


def _curve(run: dict[str, Any], dice: random.Random) -> Any:
    target = run["target"] or 900
    floor = 0.35 / math.log2(target + 2) + 0.1 * dice.random()
    for step in range(0, 781, 5):
        done = step / 780
        l0 = target * (1 + 60 * math.exp(-9 * done)) * (1 + 0.04 * dice.uniform(-1, 1))
        error = floor + (1.2 - floor) * math.exp(-12 * done) + 0.01 * dice.uniform(-1, 1)
        yield {
            "step": step, "tokens": step * 1024, "loss": 130 * error, "reconstruction": 128 * error, "l0": l0,
            "explained_variance": 1 - error, "dead": int(100 * done), "coefficient": 0.5,
        }  # fmt: skip
