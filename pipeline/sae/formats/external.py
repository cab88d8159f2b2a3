"""What every reader of another library's folder gives, and the checks they share.

`ExternalSAE.sae` computes what the other library computes at inference, in its units, with two changes of
form that change no reconstruction: our encoder subtracts b_dec at the input, so a format that does not
gets it added to its bias; decoder rows get norm 1, their norms |d_i| moving into the codes. topk
keeps rows as they are, because its selection would change (`SAE.unit_decoder`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site
from pipeline.sae.core.inference import SAE

UNIT = 1e-5
"""Norms this close to 1 are 1: float32 cannot make them more so."""
Format = Literal["saelens", "dictionary_learning", "sparsify", "gemma_scope"]


@dataclass(frozen=True)
class Location:
    """Where an external SAE lies."""

    folder: Path  # its files
    name: str  # as the user named it; some formats say model and site nowhere else
    run: Path | None = None  # the folder of the run that `folder` is a part of


@dataclass(frozen=True)
class ExternalSAE:
    """An SAE trained elsewhere and what its files say of themselves; None where they say nothing."""

    sae: SAE
    format: Format
    kind: str  # the other library's name of its architecture
    model: str | None
    site: Site | None  # what it reads
    model_sha256: str | None = None


def without_subtraction(sae: SAE) -> SAE:
    """`sae` whose encoder read x itself, as one of ours, which reads x - b_dec: pre keeps its values."""
    shift = (sae.b_dec.double() @ sae.W_enc.double()).float()
    if sae.architecture != "gated":
        assert sae.b_enc is not None
        return replace(sae, b_enc=sae.b_enc + shift)
    assert sae.r_mag is not None
    assert sae.b_mag is not None
    assert sae.b_gate is not None
    return replace(sae, b_gate=sae.b_gate + shift, b_mag=sae.b_mag + shift * sae.r_mag.exp())


def unit_rows(sae: SAE) -> SAE:
    """`sae` with decoder rows of norm 1; a topk one, and one whose rows have it already, bit for bit."""
    norm = sae.W_dec.norm(dim=1)
    unit = bool(((norm - 1).abs() < UNIT)[norm > 0].all())
    return sae if unit or sae.architecture == "topk" else sae.unit_decoder()


def exactly(
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    where: Path,
    optional: Collection[str] = (),
) -> dict[str, Tensor]:
    """`tensors` in float32 when they are those of `shapes` and no others; `optional` ones may be absent."""
    missing = [name for name in shapes if name not in tensors and name not in optional]
    if missing:
        raise BadInput(f"{where} lacks {_listed(missing)}: it is damaged or of another kind than it says.")
    extra = [name for name in tensors if name not in shapes]
    if extra:
        raise BadInput(
            f"{where} holds {_listed(extra)}, which an SAE of its kind does not have, so what it computes is "
            "not known here: leave it out of `external`."
        )
    for name, tensor in tensors.items():
        if tensor.shape != shapes[name]:
            raise BadInput(f"{where}: `{name}` has shape {tuple(tensor.shape)} instead of {shapes[name]}.")
        if bool(tensor.isnan().any()):
            raise BadInput(f"{where}: `{name}` holds NaN, so this SAE cannot be evaluated.")
    return {name: tensor.float() for name, tensor in tensors.items()}


def width(tensors: Mapping[str, Tensor], name: str, where: Path) -> tuple[int, int]:
    """The two dimensions of the matrix `name`."""
    matrix = tensors.get(name)
    if matrix is None or matrix.ndim != 2:
        raise BadInput(f"{where} lacks the matrix `{name}`: it is damaged or of another format.")
    return matrix.shape[0], matrix.shape[1]


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} is missing.") from None
    except ValueError as error:
        raise BadInput(f"{path} is not JSON ({error}).") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path} should hold one JSON object.")
    return found


def whole(value: Any, what: str, where: Path) -> int:
    """`value` as the positive whole number that `what` must be."""
    if type(value) is not int or value < 1:
        raise BadInput(f"{where}: `{what}` should be a positive whole number, not {value!r}.")
    return value


def refuse_site(site: str, where: Path) -> BadInput:
    """The refusal of an SAE of another activation than the store holds."""
    return BadInput(
        f"{where} reads {site}, but the activation store holds the residual stream after a block: "
        "choose an SAE of that one."
    )


def _listed(names: list[str]) -> str:
    return ("the tensor " if len(names) == 1 else "the tensors ") + ", ".join(f"`{name}`" for name in names)
