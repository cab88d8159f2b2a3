"""Small SAE folders exactly as each library writes them, and that library's formulas in plain NumPy.

Every writer returns a function x -> (f, x^) in float64, dense. Sizes are odd and different, so that a
forgotten transpose fails; b_dec is far from 0, so that a forgotten subtraction does too; decoder rows
are not unit where the library leaves them free.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

D, N, K = 5, 17, 3

Arrays = dict[str, np.ndarray]
Reference = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def arrays(unit: bool = False, seed: int = 0) -> Arrays:
    """W_enc (D, N), W_dec (N, D) and every vector that some kind has, float32."""
    rng = np.random.default_rng(seed)
    w_dec = rng.normal(size=(N, D)) * rng.uniform(0.3, 3, size=(N, 1))
    if unit:
        w_dec /= np.linalg.norm(w_dec, axis=1, keepdims=True)
    made = {
        "W_enc": rng.normal(size=(D, N)), "W_dec": w_dec, "b_enc": rng.normal(size=N),
        "b_dec": 2 + rng.normal(size=D), "threshold": np.abs(rng.normal(size=N)),
        "r_mag": rng.normal(size=N) / 2, "b_mag": rng.normal(size=N), "b_gate": rng.normal(size=N),
    }  # fmt: skip
    return {name: array.astype(np.float32) for name, array in made.items()}


def tensors(w: Arrays, **names: str) -> dict[str, torch.Tensor]:
    """The arrays under other names: `tensors(w, bias="b_dec")`; `.T` behind a name transposes."""
    return {
        given.replace("__", "."): torch.from_numpy(
            np.ascontiguousarray(w[source.removesuffix(".T")].T if source.endswith(".T") else w[source])
        )
        for given, source in names.items()
    }


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def top(pre: np.ndarray, k: int) -> np.ndarray:
    """relu of the k largest of each row."""
    f = np.zeros_like(pre)
    for row, out in zip(pre, f, strict=True):
        best = np.argsort(-row)[:k]
        out[best] = relu(row[best])
    return f


def wide(w: Arrays) -> Arrays:
    return {name: array.astype(np.float64) for name, array in w.items()}


# --- SAELens


def saelens(folder: Path, kind: str, subtract: bool = True, rescale: bool = False, **cfg: Any) -> Reference:
    w = arrays()
    own = {"gated": ("r_mag", "b_mag", "b_gate"), "jumprelu": ("b_enc", "threshold")}.get(kind, ("b_enc",))
    folder.mkdir(parents=True, exist_ok=True)
    names = {name: name for name in ("W_enc", "W_dec", "b_dec", *own)}
    save_file(tensors(w, **names), folder / "sae_weights.safetensors")
    content = {
        "d_in": D, "d_sae": N, "dtype": "float32", "device": "cpu", "normalize_activations": "none",
        "reshape_activations": "none", "apply_b_dec_to_input": subtract, "architecture": kind,
        "metadata": {"sae_lens_version": "6.54.12", "model_name": "small", "hook_head_index": None,
                     "hook_name": "blocks.2.hook_resid_post", "prepend_bos": True},
    }  # fmt: skip
    if kind == "topk":
        content |= {"k": K, "rescale_acts_by_decoder_norm": rescale}
    (folder / "cfg.json").write_text(json.dumps(content | cfg))
    w = wide(w)
    norm = np.linalg.norm(w["W_dec"], axis=1)

    def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c = (x - w["b_dec"] * subtract) @ w["W_enc"]
        if kind == "gated":
            f = (c + w["b_gate"] > 0) * relu(c * np.exp(w["r_mag"]) + w["b_mag"])
        elif kind == "jumprelu":
            f = relu(c + w["b_enc"]) * (c + w["b_enc"] > w["threshold"])
        elif kind == "topk":
            f = top((c + w["b_enc"]) * (norm if rescale else 1), K)
        else:
            f = relu(c + w["b_enc"])
        return f, (f / norm if rescale else f) @ w["W_dec"] + w["b_dec"]

    return reference


# --- dictionary_learning


def dictionary_learning(folder: Path, kind: str, **trainer: Any) -> Reference:
    w = arrays(unit=kind not in ("GatedAutoEncoder", "JumpReluAutoEncoder"))
    linear = {"encoder__weight": "W_enc.T", "decoder__weight": "W_dec.T"}
    plain = {name: name for name in ("W_enc", "W_dec", "b_enc", "b_dec")}
    state = {
        "AutoEncoder": tensors(w, bias="b_dec", encoder__bias="b_enc", **linear),
        "AutoEncoderTopK": tensors(w, b_dec="b_dec", encoder__bias="b_enc", **linear),
        "BatchTopKSAE": tensors(w, b_dec="b_dec", encoder__bias="b_enc", **linear),
        "JumpReluAutoEncoder": tensors(w, threshold="threshold", **plain),
        "GatedAutoEncoder": tensors(
            w, decoder_bias="b_dec", r_mag="r_mag", gate_bias="b_gate", mag_bias="b_mag", **linear
        ),
        "MatryoshkaBatchTopKSAE": tensors(w, **plain),
    }[kind]
    if "TopK" in kind:
        state |= {"k": torch.tensor(K, dtype=torch.int32), "threshold": torch.tensor(0.8)}
    if kind == "MatryoshkaBatchTopKSAE":
        state["group_sizes"] = torch.tensor([5, N - 5])
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "ae.pt")
    content = {
        "trainer": {
            "trainer_class": "Trainer", "dict_class": kind, "activation_dim": D, "dict_size": N, "k": K,
            "layer": 2, "lm_name": "owner/small", "submodule_name": "resid_post_layer_2", **trainer,
        },
        "buffer": {"d_submodule": D, "ctx_len": 128},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(content))
    w = wide(w)
    norm = np.linalg.norm(w["W_dec"], axis=1)

    def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        centred = (x - w["b_dec"]) @ w["W_enc"]
        if kind == "GatedAutoEncoder":
            gate = centred + w["b_gate"] > 0
            f = gate * relu(np.exp(w["r_mag"]) * centred + w["b_mag"])
        elif kind == "JumpReluAutoEncoder":
            pre = x @ w["W_enc"] + w["b_enc"]
            f = relu(pre * (pre > w["threshold"]))
        elif kind == "AutoEncoder":
            f = relu(centred + w["b_enc"])
        elif kind == "AutoEncoderTopK":
            f = top(relu(centred + w["b_enc"]), K)
        else:
            positive = relu(centred + w["b_enc"])
            f = positive * (positive > np.float64(np.float32(0.8)))
        # the two classes with free rows give codes times the rows' norms; the others have unit rows
        return f * norm, f @ w["W_dec"] + w["b_dec"]

    return reference


# --- sparsify


def sparsify(folder: Path, explicit: bool = True, unit: bool = True, **cfg: Any) -> Reference:
    """`explicit`: num_latents is written; else 0 and an expansion factor, with N = 15."""
    n = N if explicit else 3 * D
    w = arrays(unit)
    w = {name: a[:, :n] if name == "W_enc" else a[:n] if len(a) == N else a for name, a in w.items()}
    folder.mkdir(parents=True, exist_ok=True)
    state = tensors(w, encoder__weight="W_enc.T", encoder__bias="b_enc", W_dec="W_dec", b_dec="b_dec")
    save_file(state, folder / "sae.safetensors")
    content = {
        "activation": "topk", "expansion_factor": 3, "normalize_decoder": unit, "d_in": D, "k": K,
        "num_latents": N if explicit else 0, "multi_topk": False, "skip_connection": False,
        "transcode": False, **cfg,
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(content))
    w = wide(w)

    def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        f = top(relu((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]), K)
        return f, f @ w["W_dec"] + w["b_dec"]

    return reference


# --- Gemma Scope


def gemma_scope(folder: Path) -> Reference:
    w = arrays()
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **{n: w[n] for n in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")})
    w = wide(w)

    def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pre = x @ w["W_enc"] + w["b_enc"]
        f = (pre > w["threshold"]) * relu(pre)
        return f, f @ w["W_dec"] + w["b_dec"]

    return reference
