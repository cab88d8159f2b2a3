"""SAEBench's core evaluation: its numbers, and the token batches that it drew."""

from pathlib import Path
from typing import Any

from sae_bench.evals.core import main
from safetensors.torch import save_file

from tests.parity.oracle import offline

BATCH, RECONSTRUCTION, VARIANCE = 6, 3, 4
"""Contexts per batch, and batches of each of the two passes."""


def run(folder: Path) -> None:
    """core/{architecture}.safetensors: batches in order; core/{architecture}.json: every number."""
    facts = offline.facts(folder)
    offline.lend_model(main, folder)
    for architecture in facts["architectures"]:
        batches = _recorded()
        found = main.multiple_evals(
            [(architecture, offline.sae(folder, architecture))],
            n_eval_reconstruction_batches=RECONSTRUCTION,
            n_eval_sparsity_variance_batches=VARIANCE,
            eval_batch_size_prompts=BATCH,
            compute_featurewise_density_statistics=True,
            compute_featurewise_weight_based_metrics=True,
            dataset=str(folder / "documents"),
            context_size=facts["context"],
            output_folder=str(offline.out(folder, "results", "core")),
            device="cpu",
        )
        assert len(batches) == RECONSTRUCTION + VARIANCE, "SAEBench logs its failures and goes on"
        save_file({f"{i:03}": ids for i, ids in enumerate(batches)}, _path(folder, architecture))
        offline.write(
            _path(folder, architecture).with_suffix(".json"),
            {
                "reconstruction_batches": RECONSTRUCTION,
                "metrics": found[0]["metrics"],
                "features": found[0]["feature_metrics"],
            },
        )


def _path(folder: Path, architecture: str) -> Path:
    return offline.out(folder, "core") / f"{architecture}.safetensors"


def _recorded() -> list[Any]:
    """Every batch of tokens that an activation store gives from here on."""
    batches: list[Any] = []
    original = _ORIGINAL

    def get_batch_tokens(self: Any, *args: Any, **kwargs: Any) -> Any:
        ids = original(self, *args, **kwargs)
        batches.append(ids.clone())
        return ids

    main.ActivationsStore.get_batch_tokens = get_batch_tokens
    return batches


_ORIGINAL = main.ActivationsStore.get_batch_tokens
