"""Four evaluations of a few SAEs on a tiny model, in the current folder, as gathering stages find them."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import torch

from pipeline.lm.core.load import load_lm
from pipeline.lm.core.site import Site
from pipeline.metrics.common.controls import random_sae
from pipeline.sae.core.inference import SAE
from pipeline.stages import absorption, behavior, probing, reconstruction
from pipeline.stages import letter_task as letters
from pipeline.stages import probing_task as labelled
from pipeline.stages.common.files import LM
from tests.metrics import codes
from tests.stages.evaluated import contexts, write_saes, write_store
from tests.stages.lettered import TOKENS, WORDS, D, write_lm, write_task_params

SECTIONS: dict[str, dict[str, Any]] = {
    "reconstruction": {"batch_contexts": 4, "resamples": 100, "window": 8},
    "behavior": {"contexts": 5, "batch_contexts": 2, "resamples": 100},
    # the compatible recipe has one fold of this small vocabulary to find letters in
    "absorption": {"min_letters": 2, "min_probe_f1": 0.2, "resamples": 100},
    "probing": {"k": [1, 2, 3], "resamples": 100},
    "stability": {"contexts": 6, "resamples": 100},
}


def evaluate(**variants: dict[str, SAE]) -> None:
    """Models, tasks and reports of `variants`, their SAEs by run name; the run `diverged` did diverge."""
    write_lm(WORDS)
    write_task_params(_labelled(Path("labelled.csv")), variants=list(variants), external={}, **SECTIONS)
    lm = load_lm(LM, "cpu")
    ids = contexts(12, 16, len(TOKENS) + len(WORDS))
    write_store(ids, lm.forward_to(ids, Site("resid_post", 0)), layer=0, weights_sha256=lm.weights_sha256)
    letters.run()
    labelled.run()
    for variant, saes in variants.items():
        for seed in (1, 2):
            write_saes(variant, seed, saes, diverged="diverged")
        for stage in (reconstruction, behavior, absorption, probing):
            stage.run(variant)


def readers() -> dict[str, SAE]:
    """SAEs of width `D`: a reader of letters, a perfect one, an untrained and a diverged one."""
    eye = torch.eye(D)
    letter = SAE("topk", eye.clone(), eye.clone(), torch.zeros(D), torch.zeros(D), k=4)
    untrained = random_sae(torch.randn(50, D, generator=torch.Generator().manual_seed(0)), 48, 4, 0)
    return {
        "l0-4": letter, "l0-8": codes.perfect_sae(D), "untrained": untrained, "diverged": codes.perfect_sae(D)
    }  # fmt: skip


def _labelled(path: Path) -> str:
    """Texts of three classes, one word in two beginning with the class's letter."""
    rng, lines = Random(0), ["text,label"]
    for _ in range(20):
        for each in "abc":
            own = [word for word in WORDS if word[0] == each]
            words = [rng.choice(own if rng.random() < 0.5 else WORDS) for _ in range(rng.randint(2, 20))]
            lines.append(f"{' '.join(words)},{each}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)
