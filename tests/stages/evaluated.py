"""A finished store and trained SAEs in the current folder, as the evaluation stages find them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.sae.core.folder import save_sae
from pipeline.sae.core.index import Run, write_index
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.files import ACTIVATIONS, evaluation_folder, sae_folder
from pipeline.store import Writer
from pipeline.store.schema import Header

BOS, SPECIAL = 0, [0, 1, 2]
SPLITS = {"train": [0, 4], "validation": [4, 6], "test": [6, 12]}


def write_params(**sections: dict[str, Any]) -> None:
    """params.yaml with one profile, seeds 1 and 2 and the given top-level sections."""
    tree = {
        "profile": "small",
        "seeds": [1, 2],
        "profiles": {"small": {"compute": {"threads": 1}}},
        **sections,
    }
    Path("params.yaml").write_text(json.dumps(tree), encoding="utf-8")


def write_store(ids: Tensor, residual: Tensor, **header: Any) -> None:
    """data/activations over `ids` (C, T) and `residual` (C, T, d), split by `SPLITS`."""
    length, d = ids.shape[1], residual.shape[2]
    known: dict[str, Any] = {
        "model_id": "small", "revision": None, "weights_sha256": "w", "tokenizer_hash": "t", "layer": 1,
        "hook_name": "blocks.1.hook_resid_post", "special_ids": SPECIAL, "splits": SPLITS,
        "logical_dtype": "float32", "codec": "none", "chunk_contexts": 5,
    }  # fmt: skip
    writer = Writer(
        ACTIVATIONS, Header(**{**known, **header}, d=d, context_length=length), ids.int().numpy(),
        (ids == BOS).int().reshape(-1).cumsum(0).reshape(ids.shape).int().numpy(),
    )  # fmt: skip
    for chunk in range(writer.chunks):
        span = writer.span(chunk)
        writer.write(chunk, residual[span.start : span.stop])
    writer.finish()


def write_saes(variant: str, seed: int, saes: dict[str, SAE], diverged: str | None = None) -> None:
    """models/sae/{variant}/{seed} with the SAEs of `saes` by run name; the run `diverged` did diverge."""
    folder = sae_folder(variant, seed)
    runs = []
    for name, sae in saes.items():
        save_sae(folder / name, sae, {"model_name": "small", "layer": 1, "training_tokens": 1000})
        bad = name == diverged
        runs.append(
            Run(name=name, variant=variant, control=None, seed=seed, reading="tokens", target=4,
                status="diverged" if bad else "ok", reason="diverged at step 7" if bad else None,
                l0=4.0, coefficient=None, on_target=not bad)
        )  # fmt: skip
    write_index(folder, runs)


def read_results(stage: str, variant: str) -> dict[str, Any]:
    """results.json of an evaluation."""
    path = evaluation_folder(stage, variant) / "results.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_table(stage: str, variant: str, name: str) -> list[dict[str, str]]:
    """A TSV of an evaluation."""
    text = (evaluation_folder(stage, variant) / name).read_text(encoding="utf-8")
    head, *lines = text.splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def contexts(count: int, length: int, vocabulary: int, seed: int = 0) -> Tensor:
    """Ids (count, length) that begin with BOS, with further BOS inside."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, vocabulary, (count, length), generator=generator)
    ids[torch.rand(count, length, generator=generator) < 0.1] = BOS
    ids[:, 0] = BOS
    return ids
