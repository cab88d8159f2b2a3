"""SAEBench's first-letter absorption: the prompts, splits and probes it drew, and its number per word."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sae_bench.evals.absorption import common, feature_absorption, main
from sae_bench.evals.absorption.eval_config import AbsorptionEvalConfig
from sae_bench.evals.absorption.vocab import LETTERS, get_alpha_tokens
from safetensors.torch import save_file

from tests.parity.oracle import offline

K = range(1, 11)


def run(folder: Path) -> None:
    """absorption/task.*: words and probes of all SAEs; absorption/{architecture}.*: what was found."""
    facts = offline.facts(folder)
    cache = offline.out(folder, "absorption-cache")
    _redirect(cache)
    offline.lend_model(main, folder)
    config = AbsorptionEvalConfig(
        model_name=facts["name"],
        prompt_template=facts["template"],
        prompt_token_pos=facts["position"],
        precalc_k_sparse_probe_sae_acts=True,
        eval_k_sparse_probe_batch_size=256,
        llm_batch_size=64,
    )
    for architecture in facts["architectures"]:
        offline.seed()
        found = main.run_eval(
            config, [(architecture, offline.sae(folder, architecture))], "cpu",
            str(offline.out(folder, "results", "absorption")),
        )  # fmt: skip
        (result,) = found.values()
        _write(folder, architecture, result, cache, facts["layer"])
    _write_task(folder, cache / "probes" / facts["name"] / f"layer_{facts['layer']}")


def _redirect(cache: Path) -> None:
    """SAEBench keeps its probes inside site-packages and takes words in the order of a hash map."""

    def in_order(*args: Any, **kwargs: Any) -> list[str]:
        return sorted(get_alpha_tokens(*args, **kwargs))

    common.get_alpha_tokens = feature_absorption.get_alpha_tokens = in_order
    sparse = cache / "k_sparse"
    main.run_k_sparse_probing_experiment = partial(
        main.run_k_sparse_probing_experiment, experiment_dir=sparse, probes_dir=cache / "probes"
    )
    main.run_feature_absortion_experiment = partial(
        main.run_feature_absortion_experiment, experiment_dir=cache / "absorption",
        sparse_probing_experiment_dir=sparse, probes_dir=cache / "probes",
    )  # fmt: skip


def _write_task(folder: Path, probes: Path) -> None:
    data = np.load(probes / "data.npz")
    probe = torch.load(probes / "probe.pth", weights_only=False)
    place = offline.out(folder, "absorption")
    tensors = {name: torch.from_numpy(data[name]) for name in ("X_train", "X_test", "y_train", "y_test")}
    save_file({**tensors, "weight": probe.weights.detach(), "bias": probe.biases.detach()},
              place / "task.safetensors")  # fmt: skip
    rows = {
        split: pd.read_csv(probes / f"{split}_df.csv", keep_default_na=False) for split in ("train", "test")
    }
    offline.write(
        place / "task.json",
        {split: {name: row[name].tolist() for name in ("token", "prompt")} for split, row in rows.items()},
    )


def _write(folder: Path, architecture: str, result: Any, cache: Path, layer: int) -> None:
    name = f"{architecture}_custom_sae"
    place, file = offline.out(folder, "absorption"), f"layer_{layer}_{name}"
    words = pd.read_parquet(cache / "absorption" / name / f"{file}.parquet")
    metrics = pd.read_parquet(cache / "k_sparse" / name / f"{file}_metrics.parquet").set_index("letter")
    scores = pd.read_parquet(cache / "k_sparse" / name / f"{file}_raw_results.parquet")
    main_latents = words.groupby("letter")["split_feats"].first()
    logits = [[scores[f"score_sparse_sae_{a}_k_{k}"].to_numpy() for a in LETTERS] for k in K]
    f1 = [[metrics.loc[a, f"f1_sparse_sae_{k}"] for a in LETTERS] for k in K]
    top = [metrics.loc[a, f"sparse_sae_k_{max(K)}_feats"] for a in LETTERS]
    save_file(
        {
            "logits": torch.from_numpy(np.array(logits)),  # (10, 26, W)
            "f1": torch.from_numpy(np.array(f1)),  # (10, 26)
            "top": torch.from_numpy(np.array(top)),  # (26, 10)
            "f1_probe": torch.tensor([metrics.loc[a, "f1_probe"] for a in LETTERS]),
        },
        place / f"{architecture}.safetensors",
    )
    offline.write(
        place / f"{architecture}.json",
        {
            "words": {
                column: words[column].tolist()
                for column in ("letter", "token", "prompt", "absorption_fraction", "is_full_absorption")
            },
            "main_latents": {letter: feats.tolist() for letter, feats in main_latents.items()},
            "mean": result["eval_result_metrics"]["mean"],
            "letters": result["eval_result_details"],
        },
    )
