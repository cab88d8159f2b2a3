"""What lets SAEBench run without a network and without packages that no evaluation uses."""

import importlib.machinery
import json
import os
import random
import sys
import types
from pathlib import Path
from typing import Any

SEED = 0


def prepare() -> None:
    """Before sae_bench is imported.

    wandb is a logger that sae_lens imports and only its trainer calls. jaxtyping's checks reject a call
    of SAEBench to itself (a dimension's name is bound twice); they check shapes and nothing else.
    """
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", JAXTYPING_DISABLE="1")
    wandb = types.ModuleType("wandb")
    wandb.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    sys.modules["wandb"] = wandb


def seed() -> None:
    """SAEBench leaves its absorption evaluation unseeded."""
    import torch

    random.seed(SEED)
    torch.manual_seed(SEED)


def facts(folder: Path) -> dict[str, Any]:
    """world.json."""
    return json.loads((folder / "world.json").read_text(encoding="utf-8"))


def model(folder: Path) -> Any:
    """The world's model as TransformerLens holds it, weights unprocessed."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = str(folder / "lm")
    hf = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager")
    bridge = TransformerBridge.boot_transformers(
        path, hf_model=hf, tokenizer=AutoTokenizer.from_pretrained(path)
    )
    bridge.enable_compatibility_mode(no_processing=True)
    bridge.cfg.model_name = facts(folder)["name"]
    return bridge


def lend_model(module: Any, folder: Path) -> None:
    """Give `module`, an evaluation's main, the world's model wherever it asks for one by name."""
    loaded = model(folder)
    module.HookedTransformer = types.SimpleNamespace(from_pretrained_no_processing=lambda *_, **__: loaded)


def sae(folder: Path, architecture: str) -> Any:
    """One SAE of the world as SAELens loads it."""
    from sae_lens import SAE

    return SAE.load_from_disk(folder / "saes" / architecture, device="cpu")


def out(folder: Path, *parts: str) -> Path:
    """A folder for results."""
    place = folder.joinpath("oracle", *parts)
    place.mkdir(parents=True, exist_ok=True)
    return place


def write(path: Path, value: Any) -> None:
    """JSON, numbers with all their digits."""
    path.write_text(json.dumps(value), encoding="utf-8")
