"""dictionary_learning: ae.pt, a pickled state dict of which only tensors are read, and config.json.

nn.Linear classes keep encoder.weight (n, d) and decoder.weight (d, n), the others W_enc (d, n) and
W_dec (n, d). All subtract their decoder bias at the input but JumpReluAutoEncoder. BatchTopKSAE and
MatryoshkaBatchTopKSAE use their scalar threshold at inference, AutoEncoderTopK the k largest.
Their input scale is folded in when they are saved. Codes of the gated and the jumprelu class are those of
the repository's version, times |d_i|; release 0.1.0 leaves the factor out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

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
    width,
    without_subtraction,
)

FILES = ("ae.pt", "config.json")
OTHER_SITE = re.compile(r"attn|attention|mlp|resid_pre", re.IGNORECASE)

Tensors = dict[str, Tensor]


def read(place: Location) -> ExternalSAE:
    """The SAE in `place`; raises BadInput for an unknown class and a file that holds more than tensors."""
    trainer = read_json(place.folder / FILES[1]).get("trainer")
    if not isinstance(trainer, dict):
        raise BadInput(f"{place.folder / FILES[1]} has no section `trainer`.")
    kind = str(trainer.get("dict_class", "")).rsplit(".", 1)[-1].rstrip("'>")
    if kind not in CLASSES:
        raise BadInput(f"{place.folder} holds a {kind!r}; known here are {', '.join(CLASSES)}.")
    site = trainer.get("submodule_name")
    if site is not None and OTHER_SITE.search(str(site)):
        raise refuse_site(f"`{site}`", place.folder)
    sae = CLASSES[kind](_state(place.folder / FILES[0]), trainer, place.folder)
    layer = trainer.get("layer")
    model = trainer.get("lm_name")
    reads = Site("resid_post", layer) if type(layer) is int else None
    return ExternalSAE(unit_rows(sae), "dictionary_learning", kind, model, reads)


def _state(path: Path) -> Tensors:
    """The tensors of a pickled state dict; nothing else in it is ever run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"{path} is missing.") from None
    except Exception as error:  # of many types: what a file that is no state dict breaks differs
        first = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        raise BadInput(
            f"{path} is not a plain state dict of tensors ({first}): save `ae.state_dict()` with torch.save."
        ) from None
    if not isinstance(state, dict) or not all(isinstance(each, Tensor) for each in state.values()):
        raise BadInput(
            f"{path} is not a plain state dict of tensors: save `ae.state_dict()` with torch.save."
        )
    return {str(name): tensor for name, tensor in state.items()}


def _linear(state: Tensors, extra: dict[str, tuple[int, ...]], n_vectors: tuple[str, ...], d_vector: str,
            where: Path, optional: tuple[str, ...] = ()) -> Tensors:  # fmt: skip
    """Checked tensors of a class whose encoder and decoder are nn.Linear."""
    n, d = width(state, "encoder.weight", where)
    shapes = {"encoder.weight": (n, d), "decoder.weight": (d, n), d_vector: (d,)}
    return exactly(state, shapes | dict.fromkeys(n_vectors, (n,)) | extra, where, optional)


def _matrices(w: Tensors) -> tuple[Tensor, Tensor]:
    """W_enc (d, n) and W_dec (n, d)."""
    return w["encoder.weight"].T.contiguous(), w["decoder.weight"].T.contiguous()


def _standard(state: Tensors, trainer: dict[str, Any], where: Path) -> SAE:
    w = _linear(state, {}, ("encoder.bias",), "bias", where)
    return SAE("standard", *_matrices(w), b_dec=w["bias"], b_enc=w["encoder.bias"])


def _topk(state: Tensors, trainer: dict[str, Any], where: Path) -> SAE:
    w = _linear(state, {"k": (), "threshold": ()}, ("encoder.bias",), "b_dec", where, ("k", "threshold"))
    k = int(w["k"]) if "k" in w else trainer.get("k")
    return SAE("topk", *_matrices(w), b_dec=w["b_dec"], b_enc=w["encoder.bias"], k=whole(k, "k", where))


def _batch_topk(state: Tensors, trainer: dict[str, Any], where: Path) -> SAE:
    w = _linear(state, {"k": (), "threshold": ()}, ("encoder.bias",), "b_dec", where, ("k",))
    threshold = w["threshold"].expand_as(w["encoder.bias"]).clone()
    return SAE("jumprelu", *_matrices(w), b_dec=w["b_dec"], b_enc=w["encoder.bias"], threshold=threshold)


def _gated(state: Tensors, trainer: dict[str, Any], where: Path) -> SAE:
    w = _linear(state, {}, ("r_mag", "gate_bias", "mag_bias"), "decoder_bias", where)
    return SAE("gated", *_matrices(w), b_dec=w["decoder_bias"], r_mag=w["r_mag"], b_mag=w["mag_bias"],
               b_gate=w["gate_bias"])  # fmt: skip


def _jumprelu(state: Tensors, trainer: dict[str, Any], where: Path) -> SAE:
    d, n = width(state, "W_enc", where)
    shapes = {"W_enc": (d, n), "W_dec": (n, d), "b_enc": (n,), "b_dec": (d,), "threshold": (n,)}
    return without_subtraction(SAE("jumprelu", **exactly(state, shapes, where)))  # type: ignore[arg-type]


def _matryoshka(state: Tensors, trainer: dict[str, Any], where: Path) -> SAE:
    d, n = width(state, "W_enc", where)
    groups = tuple(state["group_sizes"].shape) if "group_sizes" in state else ()
    shapes = {"W_enc": (d, n), "W_dec": (n, d), "b_enc": (n,), "b_dec": (d,), "threshold": (),
              "k": (), "group_sizes": groups}  # fmt: skip
    w = exactly(state, shapes, where, ("k", "group_sizes"))
    threshold = w["threshold"].expand(n).clone()
    names = ("W_enc", "W_dec", "b_enc", "b_dec")
    return SAE("jumprelu", **{name: w[name] for name in names}, threshold=threshold)  # type: ignore[arg-type]


CLASSES: dict[str, Callable[[Tensors, dict[str, Any], Path], SAE]] = {
    "AutoEncoder": _standard,
    "AutoEncoderTopK": _topk,
    "BatchTopKSAE": _batch_topk,
    "JumpReluAutoEncoder": _jumprelu,
    "GatedAutoEncoder": _gated,
    "MatryoshkaBatchTopKSAE": _matryoshka,
}
