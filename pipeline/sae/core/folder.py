"""A trained SAE on disk: SAELens' layout, written by hand.

`models/sae/{variant}/{seed}/` holds `index.json` (index.py) and one folder per SAE with `cfg.json`,
`sae_weights.safetensors`, `training.tsv` and, for methods that keep statistics, `statistics.safetensors`.
No pickles.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.sae.core.attention import Attention
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.window import Window

TENSORS = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold", "r_mag", "b_mag", "b_gate")
OF_WINDOW = {"W_past": "W_enc", "W_dec_past": "W_dec", "b_past": "b_dec"}
"""Tensors of an SAE that reads windows, and which field of `Window` each is. SAELens has no such SAE."""
OF_ATTENTION = "attention."
"""Begins the names of tfa's own tensors. SAELens' `temporal` has no b_enc, and gives the novel part alone."""
WEIGHTS = "sae_weights.safetensors"
SAELENS_FORMAT = "6.54.12"
"""The SAELens release whose layout this is; loaders treat a cfg without it as a pre-6.0 file."""


def save_sae(folder: Path, sae: SAE, metadata: dict[str, Any]) -> None:
    """Write `cfg.json` and weights for SAELens to load as they stand. `sae` is in the model's units."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(sae, name) for name in TENSORS if getattr(sae, name) is not None}
    if sae.window is not None:
        tensors |= {name: getattr(sae.window, of) for name, of in OF_WINDOW.items()}
    if sae.attention is not None:
        tensors |= {OF_ATTENTION + name: tensor for name, tensor in sae.attention.tensors().items()}
    save_file({name: t.detach().float().cpu().contiguous() for name, t in tensors.items()}, folder / WEIGHTS)
    cfg: dict[str, Any] = {
        "architecture": sae.architecture,
        "d_in": sae.d,
        "d_sae": sae.n,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": SAELENS_FORMAT, **metadata},
    }
    if sae.architecture == "topk":
        cfg |= {"k": sae.k, "rescale_acts_by_decoder_norm": False}
    if sae.window is not None:
        cfg |= {"k": sae.k, "window": sae.window.tokens, "groups": sae.window.groups}
    if sae.attention is not None:
        cfg |= {"k": sae.k, "heads": sae.attention.heads, "kept": sae.attention.kept}
    (folder / "cfg.json").write_text(json.dumps(cfg, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def load_sae(folder: Path, device: torch.device | str = "cpu") -> tuple[SAE, dict[str, Any]]:
    """The SAE in `folder` and its cfg; raises BadInput when a file is absent, damaged or mis-shaped."""
    try:
        cfg = json.loads((folder / "cfg.json").read_text(encoding="utf-8"))
        tensors: dict[str, Tensor] = load_file(folder / WEIGHTS, device=str(device))
        window, attention = _window(cfg, tensors), _attention(cfg, tensors)
        beside = {"k": cfg.get("k"), "window": window, "attention": attention}
        sae = SAE(**{"architecture": cfg["architecture"], **beside, **tensors})
        shape, lacks = (cfg["d_in"], cfg["d_sae"]), _lacks(sae)
    except FileNotFoundError as error:
        missing = error.filename or folder / WEIGHTS
        raise BadInput(f"{folder} is not an SAE folder: {missing} is missing.") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} is damaged ({error}): run its train stage again.") from None
    if lacks:
        raise BadInput(f"{folder} is damaged (no {lacks}): run its train stage again.")
    if sae.W_enc.shape != shape or sae.W_dec.shape != shape[::-1]:
        raise BadInput(f"{folder}: weights of shape {tuple(sae.W_enc.shape)} do not match its cfg.json.")
    return sae, cfg


def _window(cfg: dict[str, Any], tensors: dict[str, Tensor]) -> Window | None:
    """What a window has beside, taken out of `tensors`; KeyError where a part is missing."""
    if cfg["architecture"] != "window":
        return None
    window = Window(**{of: tensors.pop(name) for name, of in OF_WINDOW.items()}, groups=cfg["groups"])
    before, d, n = cfg["window"] - 1, cfg["d_in"], cfg["d_sae"]
    wanted = {"W_enc": (before, d, n), "W_dec": (before, n, d), "b_dec": (before, d)}
    for name, tensor in window.tensors().items():
        if tensor.shape != wanted[name]:
            raise ValueError(f"a window's {name} has shape {tuple(tensor.shape)}, not {wanted[name]}")
    return window


def _attention(cfg: dict[str, Any], tensors: dict[str, Tensor]) -> Attention | None:
    """What reads the tokens before, taken out of `tensors`; TypeError or ValueError where it does not fit."""
    if cfg["architecture"] != "tfa":
        return None
    names = [name for name in tensors if name.startswith(OF_ATTENTION)]
    own = {name.removeprefix(OF_ATTENTION): tensors.pop(name) for name in names}
    attention = Attention(**own, heads=cfg["heads"], kept=cfg["kept"])
    n, keys, values = cfg["d_sae"], len(attention.b_q), len(attention.b_v)
    wanted = {
        "W_q": (n, keys), "b_q": (keys,), "W_k": (n, keys),
        "W_v": (n, values), "b_v": (values,), "W_o": (values, n), "b_o": (n,),
    }  # fmt: skip
    for name, tensor in own.items():
        if tensor.shape != wanted[name]:
            raise ValueError(f"the attention's {name} has shape {tuple(tensor.shape)}, not {wanted[name]}")
    if keys % attention.heads or values % attention.heads:
        raise ValueError(f"{keys} keys and {values} values are no whole number for {attention.heads} heads")
    return attention


def _lacks(sae: SAE) -> str | None:
    """What the SAE's architecture needs and its folder did not give; KeyError for an unknown one."""
    needs = {
        "standard": ("b_enc",),
        "topk": ("b_enc", "k"),
        "jumprelu": ("b_enc", "threshold"),
        "gated": ("r_mag", "b_mag", "b_gate"),
        "window": ("b_enc", "k"),
        "tfa": ("b_enc", "k"),
    }
    return next((name for name in needs[sae.architecture] if getattr(sae, name) is None), None)


def weights_hash(folder: Path) -> str:
    """sha256 of the weights file: stands in every metric record."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
