"""SAELens 6: cfg.json and sae_weights.safetensors, W_enc (d, n), W_dec (n, d). Ours has the same layout.

pre = (x - b_dec [apply_b_dec_to_input]) W_enc + b_enc, then relu (standard), the k largest of pre, or of
pre * |d_i| under `rescale_acts_by_decoder_norm`, then relu (topk), relu(pre) where pre > threshold
(jumprelu), or two paths (gated). Tensors are cast to `dtype` on loading. Folders of SAELens before 6
keep the model's name and the hook at the top of cfg.json.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site
from pipeline.sae.core.inference import SAE
from pipeline.sae.formats.external import (
    ExternalSAE,
    Location,
    exactly,
    read_json,
    refuse_site,
    unit_rows,
    whole,
    without_subtraction,
)

FILES = ("cfg.json", "sae_weights.safetensors")
DTYPES = {
    "float32": torch.float32, "torch.float32": torch.float32,
    "float64": torch.float64, "torch.float64": torch.float64,
    "float16": torch.float16, "torch.float16": torch.float16,
    "bfloat16": torch.bfloat16, "torch.bfloat16": torch.bfloat16,
}  # fmt: skip


def read(place: Location) -> ExternalSAE:
    """The SAE in `place`; raises BadInput for what is no inference SAE on the residual stream."""
    cfg = read_json(place.folder / FILES[0])
    metadata = cfg.get("metadata") or cfg
    kind = _kind(cfg, place.folder)
    _refuse_normalised(cfg, place.folder)
    tensors = _tensors(cfg, kind, place.folder)
    k = whole(_k(cfg), "k", place.folder) if kind == "topk" else None
    sae = SAE(kind, k=k, **tensors)  # type: ignore[arg-type]
    if not cfg.get("apply_b_dec_to_input", True):
        sae = without_subtraction(sae)
    rescaled = kind == "topk" and cfg.get("rescale_acts_by_decoder_norm")
    return ExternalSAE(
        sae.unit_decoder() if rescaled else unit_rows(sae),
        "saelens",
        str(metadata.get("training_architecture") or kind),
        metadata.get("model_name"),
        _site(metadata, place.folder),
        metadata.get("model_sha256"),
    )


def _kind(cfg: dict[str, Any], where: Path) -> str:
    kind = cfg.get("architecture", "standard")
    # before 6.0 topk was a standard SAE with another activation function
    if kind == "standard" and cfg.get("activation_fn_str", cfg.get("activation_fn", "relu")) == "topk":
        kind = "topk"
    if kind not in ("standard", "topk", "jumprelu", "gated"):
        raise BadInput(
            f"{where} has the architecture {kind!r}; only standard, topk, jumprelu and gated are "
            "read (a training checkpoint becomes one of them by SAELens' `save_inference_model`)."
        )
    return str(kind)


def _refuse_normalised(cfg: dict[str, Any], where: Path) -> None:
    if cfg.get("normalize_activations") not in (None, False, "none"):
        raise BadInput(
            f"{where} normalises its inputs ({cfg['normalize_activations']!r}), which differs by text: fold "
            "the factor into the weights (SAELens' `fold_activation_norm_scaling_factor`) and save it again."
        )
    if cfg.get("reshape_activations") not in (None, "none"):
        raise refuse_site(f"reshaped activations ({cfg['reshape_activations']!r})", where)


def _tensors(cfg: dict[str, Any], kind: str, where: Path) -> dict[str, torch.Tensor]:
    d, n = whole(cfg.get("d_in"), "d_in", where), whole(cfg.get("d_sae"), "d_sae", where)
    shapes: dict[str, tuple[int, ...]] = {"W_enc": (d, n), "W_dec": (n, d), "b_dec": (d,)}
    own = {"gated": ("r_mag", "b_mag", "b_gate"), "jumprelu": ("b_enc", "threshold")}.get(kind, ("b_enc",))
    try:
        tensors = load_file(where / FILES[1])
    except FileNotFoundError:
        raise BadInput(f"{where / FILES[1]} is missing.") from None
    except SafetensorError as error:
        raise BadInput(f"{where / FILES[1]} is damaged ({error}).") from None
    if cfg.get("dtype", "float32") not in DTYPES:
        raise BadInput(f"{where}: `dtype` {cfg['dtype']!r} is none of {', '.join(DTYPES)}.")
    # a scale that SAELens before 6.0 wrote beside the weights; it means something only when it is not 1
    scale = tensors.pop("scaling_factor", None)
    if scale is not None and not torch.allclose(scale, torch.ones_like(scale)):
        raise BadInput(
            f"{where} has a `scaling_factor` that is not 1: fold it into the weights and save it again."
        )
    cast = {name: tensor.to(DTYPES[cfg.get("dtype", "float32")]) for name, tensor in tensors.items()}
    return exactly(cast, shapes | dict.fromkeys(own, (n,)), where)


def _k(cfg: dict[str, Any]) -> Any:
    return cfg.get("k", (cfg.get("activation_fn_kwargs") or {}).get("k"))


def _site(metadata: dict[str, Any], where: Path) -> Site | None:
    """What is read: hook_resid_pre of a block is hook_resid_post of the one before."""
    hook = metadata.get("hook_name", metadata.get("hook_point"))
    if hook is None:
        return None
    found = re.fullmatch(r"blocks\.(\d+)\.hook_resid_(pre|post)", str(hook))
    if found is None or metadata.get("hook_head_index", metadata.get("hook_point_head_index")) is not None:
        raise refuse_site(f"`{hook}`", where)
    if (metadata.get("model_from_pretrained_kwargs") or {}).get("center_writing_weights"):
        raise refuse_site("a residual stream that TransformerLens centred (center_writing_weights)", where)
    layer = int(found[1]) - (found[2] == "pre")
    if layer < 0:
        raise refuse_site(f"`{hook}`, the embedding", where)
    return Site("resid_post", layer)
