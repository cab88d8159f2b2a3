"""Our numbers in SAEBench 0.6.0's result files: core, absorption, sparse probing.

Each function takes what the evaluations wrote about one SAE and gives the content of one file, or None
where that evaluation has no result; SAEBench then writes no file either. Schema: sae-bench 0.6.0,
`evals/{core,absorption,sparse_probing}/eval_output.py`. The fields hold SAEBench-compatible values;
right values stand in `eval_result_unstructured`. What is not measured is absent, None or -1 (which is
what SAEBench itself writes where a number is not defined), never a guess; docs/parity.md lists it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid5

from pipeline.numbers.document import Identity
from pipeline.numbers.number import Number

if TYPE_CHECKING:
    from pandas import DataFrame

UNDEFINED = -1
"""SAEBench: a number that is not defined."""

CLASSES = {"batchtopk": "batch_topk", "matryoshka": "matryoshka_batch_topk"}
"""SAEBench's names of methods where ours differ; a control's name tells what differs."""

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

ABSORPTION = ("mean_absorption_fraction_score", "mean_full_absorption_score", "mean_num_split_features")
"""SAEBench's means over letters."""

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

Numbers = Mapping[str, Number]
Content = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """One SAE and its cfg.json."""

    sae: Identity
    cfg: Mapping[str, Any]

    @property
    def release(self) -> str:
        """The file's name before SAEBench's `custom_sae`: variant, seed, run."""
        return f"{self.sae.variant}_{self.sae.seed}_{self.sae.run}"

    @property
    def file(self) -> str:
        """Name of each result file, as SAEBench names those of SAEs that are not on the hub."""
        return f"{self.release}_custom_sae_eval_results.json"


def core(subject: Subject, reconstruction: Numbers, behavior: Numbers, config: Content) -> Content | None:
    """The core file, from the SAE's numbers of both evaluations."""
    found = {**reconstruction, **behavior}
    if found["l0"].value is None:
        return None
    metrics: dict[str, dict[str, Any]] = {
        category: {name: _number(found[OURS.get(name, name)]) for name in names}
        for category, names in CORE.items()
    }
    # the tokens that were scored; SAEBench's own count includes special ones
    metrics["token_stats"] = {
        "total_tokens_eval_reconstruction": found["kl_div_with_sae"].items,
        "total_tokens_eval_sparsity_variance": found["l0"].items,
    }
    return _output("core", subject, config, metrics, _right("core", found))


def absorption(subject: Subject, found: Numbers, letters: DataFrame, config: Content) -> Content | None:
    """The absorption file, from the SAE's numbers; our letters, of letters.tsv, stand beside."""
    if found["mean_absorption_fraction_score"].value is None:
        return None
    mean: Content = {name: found[name].value for name in ABSORPTION}
    mean |= {name.replace("mean_", "std_dev_"): UNDEFINED for name in ABSORPTION}
    ours = {
        letter["letter"]: {
            "mean_absorption_fraction": float(letter["absorption_fraction"]),
            "full_absorption_rate": float(letter["full_absorption"]),
            "num_full_absorption": int(letter["fully_absorbed"]),
            "num_probe_true_positives": int(letter["true_positives"]),
            "num_split_features": int(letter["split_features"]),
        }
        for letter in letters[(letters.kept == 1) & (letters.true_positives > 0)].to_dict("records")
    }
    kind = "absorption_first_letter"
    return _output(kind, subject, config, {"mean": mean}, {**_right(kind, found), "letters": ours})


def probing(subject: Subject, found: Numbers, problems: DataFrame, config: Content) -> Content | None:
    """The sparse probing file, from the SAE's numbers; our accuracies by class, of problems.tsv, beside."""
    if found["sae_test_accuracy"].value is None:
        return None
    sizes = [f"top_{k}_" for k in config["k_values"] if k in SIZES]
    metrics = {
        side: {f"{side}_{size}test_accuracy": found[f"{side}_{size}test_accuracy"].value
               for size in ("", *sizes)}
        for side in ("llm", "sae")
    }  # fmt: skip
    right = {name: vars(given) for name, given in found.items() if name.startswith(("probing_", "raw_"))}
    classes: dict[str, dict[str, dict[str, float]]] = {}
    for problem in problems.to_dict("records"):
        of_set = classes.setdefault(problem["set"], {})
        ours = {
            f"probing_k{problem['k']}": "accuracy", f"raw_neurons_k{problem['k']}": "raw_neurons",
            "raw_dense": "raw_dense",
        }  # fmt: skip
        for name, column in ours.items():
            of_set.setdefault(name, {})[problem["class"]] = float(problem[column])
    return _output("sparse_probing", subject, config, metrics, {**right, "classes": classes})


def _output(kind: str, subject: Subject, config: Content, metrics: Content, unstructured: Content) -> Content:
    label = subject.sae.label
    cfg = {**subject.cfg, "architecture": CLASSES.get(label, label)}
    if "training_tokens" in subject.cfg["metadata"]:
        cfg["training_tokens"] = subject.cfg["metadata"]["training_tokens"]
    content: dict[str, Any] = {
        "eval_type_id": kind,
        "eval_config": dict(config),
        "eval_result_metrics": metrics,
        "eval_result_details": [],
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


def _right(kind: str, found: Numbers) -> Content:
    return {name: vars(found[name]) for name in RIGHT[kind]}


def _number(number: Number) -> float:
    return UNDEFINED if number.value is None else float(number.value)
