"""A trained SAE on disk: SAELens' layout, written by hand.

`models/sae/{variant}/{seed}/` holds `index.json` (index.py) and one folder per SAE with `cfg.json`,
`sae_weights.safetensors`, `training.tsv` and, for methods that keep statistics, `statistics.safetensors`.
No pickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.sae.core.attention import Attention
from pipeline.sae.core.index import WEIGHTS
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.tensors import Tensors
from pipeline.sae.core.window import Window

TENSORS = ("W_enc", "W_dec", "b_enc", "b_dec", "threshold", "r_mag", "b_mag", "b_gate")
OF_WINDOW = {"W_past": "W_enc", "W_dec_past": "W_dec", "b_past": "b_dec"}
"""Tensors of an SAE that reads windows, and which field of `Window` each is. SAELens has no such SAE."""
OF_ATTENTION = "attention."
"""Begins the names of tfa's own tensors. SAELens' `temporal` has no b_enc, and gives the novel part alone."""
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
        sae = _sae(cfg, load_file(folder / WEIGHTS, device=str(device)))
        lacks = _lacks(sae)
    except FileNotFoundError as error:
        missing = error.filename or folder / WEIGHTS
        raise BadInput(f"{folder} is not an SAE folder: {missing} is missing.") from None
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} is damaged ({error}): run its train stage again.") from None
    if lacks:
        raise BadInput(f"{folder} is damaged (no {lacks}): run its train stage again.")
    return sae, cfg


def _sae(cfg: dict[str, Any], tensors: dict[str, Tensor]) -> SAE:
    """The SAE of its parts; KeyError, TypeError or ValueError where one is missing or does not fit `cfg`."""
    window, attention = _window(cfg, tensors), _attention(cfg, tensors)
    sae = SAE(architecture=cfg["architecture"], k=cfg.get("k"), window=window, attention=attention, **tensors)
    d, n = cfg["d_in"], cfg["d_sae"]
    _fits(sae, {name: (n,) for name in TENSORS} | {"W_enc": (d, n), "W_dec": (n, d), "b_dec": (d,)})
    return sae


def _window(cfg: dict[str, Any], tensors: dict[str, Tensor]) -> Window | None:
    """What a window has beside, taken out of `tensors`."""
    if cfg["architecture"] != "window":
        return None
    window = Window(**{of: tensors.pop(name) for name, of in OF_WINDOW.items()}, groups=cfg["groups"])
    before, d, n = cfg["window"] - 1, cfg["d_in"], cfg["d_sae"]
    _fits(window, {"W_enc": (before, d, n), "W_dec": (before, n, d), "b_dec": (before, d)})
    return window


def _attention(cfg: dict[str, Any], tensors: dict[str, Tensor]) -> Attention | None:
    """What reads the tokens before, taken out of `tensors`."""
    if cfg["architecture"] != "tfa":
        return None
    names = [name for name in tensors if name.startswith(OF_ATTENTION)]
    own = {name.removeprefix(OF_ATTENTION): tensors.pop(name) for name in names}
    attention = Attention(**own, heads=cfg["heads"], kept=cfg["kept"])
    n, keys, values = cfg["d_sae"], len(attention.b_q), len(attention.b_v)
    _fits(attention, {
        "W_q": (n, keys), "b_q": (keys,), "W_k": (n, keys),
        "W_v": (n, values), "b_v": (values,), "W_o": (values, n), "b_o": (n,),
    })  # fmt: skip
    if keys % attention.heads or values % attention.heads:
        raise ValueError(f"{keys} keys and {values} values are no whole number for {attention.heads} heads")
    return attention


def _fits(part: Tensors, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """ValueError where a tensor of `part` has another shape than the `wanted` one."""
    for name, tensor in part.tensors().items():
        if tensor.shape != wanted[name]:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, not {wanted[name]}")


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
