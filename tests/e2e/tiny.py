"""params.yaml of a graph that runs in about a minute: three variants, one seed, one L0 target, one SAE
trained elsewhere."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch

VARIANTS = ("standard", "topk", "atm")
SEED = 42
D, N = 32, 48
"""Width of the tiny model; dictionary size of the SAE trained elsewhere."""
GIVEN = "given"
"""An SAE trained elsewhere and the folder, in the clone, that it lies in."""
GATHERING = ("compare", "claims", "saebench", "page")
"""What reads every variant's results."""

EVALUATIONS = (
    "reconstruction", "behavior", "absorption", "probing", "slow_states", "stability", "ground_truth",
    "latents",
)  # fmt: skip


def tiny(tree: dict[str, Any]) -> dict[str, Any]:
    """`tree` with the profile `embedded` cut to seconds, and `other`, which differs in its text's seed."""
    tree = copy.deepcopy(tree)
    tree.update(profile="embedded", variants=list(VARIANTS), seeds=[SEED])
    tree["external"] = {GIVEN: {"path": GIVEN}}
    profile = tree["profiles"]["embedded"]
    profile["compute"] = {"device": "cpu", "threads": 1}
    profile["text"].update(
        context_length=32, train_contexts=96, validation_contexts=16, test_contexts=32, words=600,
        languages=2, domains=2, sub_domains=2, registers=2, speakers=3, tenses=2,
    )  # fmt: skip
    profile["model"].update(
        retrain=True,
        layers=2,
        d=D,
        heads=2,
        kv_heads=1,
        head_dim=16,
        mlp=64,
        steps=20,
        warmup=2,
        site_layer=0,
        gate=0.0,
        precision="float32",
    )
    profile["harvest"].update(site="resid_post.0", batch_contexts=16, gate=None)
    profile["train"].update(
        n=64, l0=[4], tokens=8192, batch=128, dead_tokens=2048, validation_tokens=256, checkpoint_every=40
    )
    tree["profiles"]["other"] = copy.deepcopy(profile)
    tree["profiles"]["other"]["text"]["seed"] = 1
    tree["ground_truth"] = {
        "seeds": [0], "n": 32, "l0": [4], "tokens": 8192, "batch": 128,
        "train_contexts": 64, "validation_contexts": 8, "test_contexts": 16,
        "source": {"d": 16, "parents": 4, "children": 2, "independents": 12, "context_length": 32},
    }  # fmt: skip
    # whatever a model of twenty steps knows of letters is enough: the code after the checks is to run too
    tree["absorption"].update(min_letters=1, min_probe_f1=0.0)
    tree["letter_task"].update(max_words=500)
    tree["probing_task"].update(per_class=20)
    # comparisons of methods that this run has; the stage is not told of the others
    family = tree["compare"]["family"]
    tree["compare"]["family"] = [each for each in family if {each["variant"], each["against"]} <= {*VARIANTS}]
    tree["reconstruction"].update(resamples=100)
    tree["behavior"].update(contexts=8, resamples=100)
    for variant in tree["variants"]:
        tree[variant]["controls"] = []
    return tree


def stages_of(variant: str) -> set[str]:
    """The stages that belong to one variant."""
    return {f"train@{variant}-{SEED}", *(f"{stage}@{variant}" for stage in EVALUATIONS)}


def stages_of_external(name: str) -> set[str]:
    """The stages that belong to one SAE trained elsewhere."""
    measured = {f"{stage}_external@{name}" for stage in EVALUATIONS if stage != "ground_truth"}
    return {f"external@{name}"} | measured


def write_given(folder: Path) -> None:
    """Random weights in the width of the tiny model, in dictionary_learning's form, into `folder`."""
    g = torch.Generator().manual_seed(0)
    decoder = torch.nn.functional.normalize(torch.randn(D, N, generator=g), dim=0)
    state = {
        "bias": torch.zeros(D), "encoder.weight": decoder.T.contiguous(), "encoder.bias": -torch.ones(N),
        "decoder.weight": decoder,
    }  # fmt: skip
    trainer = {"dict_class": "AutoEncoder", "lm_name": "embedded", "layer": 0}
    folder.mkdir()
    torch.save(state, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": trainer}), encoding="utf-8")


def all_stages() -> set[str]:
    """Every stage of the tiny graph."""
    shared = {"corpus", "model", "harvest", "letter_task", "probing_task", *GATHERING}
    return shared.union(*(stages_of(variant) for variant in VARIANTS), stages_of_external(GIVEN))
