"""Our numbers in SAEBench 0.6.0's result files: core, absorption, sparse probing.

Each function takes what the evaluations wrote about one SAE and gives the content of one file, or None
where that evaluation has no result; SAEBench then writes no file either. Schema: sae-bench 0.6.0,
`evals/{core,absorption,sparse_probing}/eval_output.py`. The fields hold SAEBench-compatible values;
right values stand in `eval_result_unstructured`. What is not measured is absent, None or -1 (which is
what SAEBench itself writes where a number is not defined), never a guess; docs/parity.md lists it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any
from uuid import NAMESPACE_OID, uuid5

UNDEFINED = -1
"""SAEBench: a number that is not defined."""

CLASSES = {"batchtopk": "batch_topk", "matryoshka": "matryoshka_batch_topk"}
"""SAEBench's names of methods where ours differ; a control's name tells how it read its tokens."""

SIZES = (1, 2, 5, 10, 20, 50, 100)
"""The numbers of latents that the schema has fields for."""

CORE = {
    "model_behavior_preservation": ("kl_div_score", "kl_div_with_ablation", "kl_div_with_sae"),
    "model_performance_preservation": (
        "ce_loss_score", "ce_loss_with_ablation", "ce_loss_with_sae", "ce_loss_without_sae",
    ),
    "reconstruction_quality": ("explained_variance", "explained_variance_legacy", "mse", "cossim"),
    "shrinkage": ("l2_norm_in", "l2_norm_out", "l2_ratio", "relative_reconstruction_bias"),
    "sparsity": ("l0", "l1"),
    "misc_metrics": (
        "freq_over_1_percent", "freq_over_10_percent", "normalized_freq_over_1_percent",
        "normalized_freq_over_10_percent", "average_max_encoder_cosine_sim",
        "average_max_decoder_cosine_sim", "frac_alive",
    ),
}  # fmt: skip
"""SAEBench's fields by category."""

OURS = {"explained_variance": "explained_variance_saebench", "mse": "mse_saebench", "cossim": "cosine"}
"""Our metric of a field, where the names differ."""

RIGHT = {
    "core": (
        "explained_variance", "mse", "ce_score", "ce_score_mean", "kl_score", "kl_sae", "l0", "dead_share",
    ),
    "absorption_first_letter": (
        "mean_absorption_fraction", "mean_full_absorption", "full_absorption_pooled", "letter_f1_k1",
        "letters_kept", "words_scored",
    ),
}  # fmt: skip
"""What stands in `eval_result_unstructured` beside the fields, with items and intervals."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """One SAE: its row of results.json (the identity) and its cfg.json."""

    row: Row
    cfg: Mapping[str, Any]

    @property
    def release(self) -> str:
        """The file's name before SAEBench's `custom_sae`: variant, seed, run."""
        return f"{self.row['variant']}_{self.row['seed']}_{self.row['run']}"

    @property
    def file(self) -> str:
        """Name of each result file, as SAEBench names those of SAEs that are not on the hub."""
        return f"{self.release}_custom_sae_eval_results.json"


def core(subject: Subject, reconstruction: Row, behavior: Row, config: Row) -> dict[str, Any] | None:
    """The core file, from the SAE's rows of both evaluations."""
    found = {**reconstruction["metrics"], **behavior["metrics"]}
    if found["l0"]["value"] is None:
        return None
    metrics: dict[str, dict[str, Any]] = {
        category: {name: _number(found[OURS.get(name, name)]) for name in names}
        for category, names in CORE.items()
    }
    # the tokens that were scored; SAEBench's own count includes special ones
    metrics["token_stats"] = {
        "total_tokens_eval_reconstruction": found["kl_div_with_sae"]["items"],
        "total_tokens_eval_sparsity_variance": found["l0"]["items"],
    }
    return _output("core", subject, config, metrics, [], _right("core", found))


def absorption(
    subject: Subject, row: Row, letters: Sequence[Mapping[str, str]], config: Row
) -> dict[str, Any] | None:
    """The absorption file, from the SAE's row and its rows of letters.tsv."""
    found = row["metrics"]
    if found["mean_absorption_fraction"]["value"] is None:
        return None
    details: list[dict[str, Any]] = [
        {
            "first_letter": letter["letter"],
            "mean_absorption_fraction": float(letter["absorption_fraction"]),
            "full_absorption_rate": float(letter["full_absorption"]),
            "num_full_absorption": int(letter["fully_absorbed"]),
            "num_probe_true_positives": int(letter["true_positives"]),
            "num_split_features": int(letter["split_features"]),
        }
        for letter in letters
        if letter["kept"] == "1" and letter["true_positives"] != "0"
    ]
    averaged = {
        "absorption_fraction_score": "mean_absorption_fraction",
        "full_absorption_score": "full_absorption_rate",
        "num_split_features": "num_split_features",
    }
    columns = {name: [float(detail[field]) for detail in details] for name, field in averaged.items()}
    means = {f"mean_{name}": mean(column) for name, column in columns.items()}
    spread = {f"std_dev_{name}": _sd(column) for name, column in columns.items()}
    kind = "absorption_first_letter"
    return _output(kind, subject, config, {"mean": means | spread}, details, _right(kind, found))


def probing(
    subject: Subject, row: Row, problems: Sequence[Mapping[str, str]], config: Row
) -> dict[str, Any] | None:
    """The sparse probing file, from the SAE's row and its rows of problems.tsv."""
    found = row["metrics"]
    sizes = [k for k in config["k_values"] if k in SIZES]
    if not problems or any(found[f"probing_k{k}"]["value"] is None for k in sizes):
        return None
    sets = list(dict.fromkeys(problem["set"] for problem in problems))
    metrics = {
        "llm": {"llm_test_accuracy": found["raw_dense"]["value"]} | _per_size("llm", found, sizes, ""),
        "sae": _per_size("sae", found, sizes, ""),
    }
    details = [
        {"dataset_name": f"{name}_results", "llm_test_accuracy": found[f"raw_dense_{name}"]["value"]}
        | _per_size("llm", found, sizes, f"_{name}")
        | _per_size("sae", found, sizes, f"_{name}")
        for name in sets
    ]
    by_class: dict[str, dict[str, dict[str, float]]] = {f"{name}_results": {} for name in sets}
    for problem in problems:
        fields = {
            "llm_test_accuracy": "raw_dense",
            f"llm_top_{problem['k']}_test_accuracy": "raw_neurons",
            f"sae_top_{problem['k']}_test_accuracy": "accuracy",
        }
        for field, column in fields.items():
            classes = by_class[f"{problem['set']}_results"].setdefault(field, {})
            classes[problem["class"]] = float(problem[column])
    return _output("sparse_probing", subject, config, metrics, details, by_class)


def _per_size(side: str, found: Row, sizes: Sequence[int], suffix: str) -> dict[str, float]:
    ours = {"llm": "raw_neurons_k", "sae": "probing_k"}[side]
    return {f"{side}_top_{k}_test_accuracy": found[f"{ours}{k}{suffix}"]["value"] for k in sizes}


def _output(
    kind: str, subject: Subject, config: Row, metrics: Row, details: Sequence[Row], unstructured: Row
) -> dict[str, Any]:
    label = subject.row["label"]
    cfg = {**subject.cfg, "architecture": CLASSES.get(label, label)}
    if "training_tokens" in subject.cfg["metadata"]:
        cfg["training_tokens"] = subject.cfg["metadata"]["training_tokens"]
    content = {
        "eval_type_id": kind,
        "eval_config": dict(config),
        "eval_result_metrics": metrics,
        "eval_result_details": list(details),
        "eval_result_unstructured": unstructured,
        "sae_bench_commit_hash": "Unknown",
        "sae_lens_id": "custom_sae",
        "sae_lens_release_id": subject.release,
        "sae_lens_version": None,
        "sae_cfg_dict": cfg,
    }
    # of the content, not of the moment: equal results are equal bytes
    identity = str(uuid5(NAMESPACE_OID, json.dumps(content, sort_keys=True)))
    return {**content, "eval_id": identity, "datetime_epoch_millis": 0}


def _right(kind: str, found: Row) -> dict[str, dict[str, Any]]:
    return {name: dict(found[name]) for name in RIGHT[kind]}


def _number(measured: Row) -> float:
    value = measured["value"]
    return UNDEFINED if value is None else float(value)


def _sd(column: Sequence[float]) -> float:
    return stdev(column) if len(column) > 1 else UNDEFINED
