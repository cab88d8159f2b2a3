"""sparsify: {run}/{hookpoint}/cfg.json and sae.safetensors; encoder.weight and W_dec are both (n, d).

pre = relu((x - b_dec) encoder.weight^T + encoder.bias), of which the k largest are kept. The hookpoint
`layers.12` is the output of block 12; the model is named in the run's config.json only.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site
from pipeline.sae.core.inference import SAE
from pipeline.sae.formats.external import ExternalSAE, Location, exactly, read_json, refuse_site, whole

FILES = ("cfg.json", "sae.safetensors")
RUN = "config.json"
OTHER_KINDS = ("transcode", "skip_connection", "embed_skip", "gram_lookup", "signed")


def read(place: Location) -> ExternalSAE:
    """The SAE in `place`; raises BadInput for transcoders and other activation functions than topk."""
    cfg = read_json(place.folder / FILES[0])
    _refuse_others(cfg, place.folder)
    d = whole(cfg.get("d_in"), "d_in", place.folder)
    # 0 latents stand for the expansion factor
    n = cfg.get("num_latents") or d * whole(cfg.get("expansion_factor"), "expansion_factor", place.folder)
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.weight": (n, d), "encoder.bias": (n,), "W_dec": (n, d), "b_dec": (d,)
    }  # fmt: skip
    try:
        w = exactly(load_file(place.folder / FILES[1]), shapes, place.folder)
    except FileNotFoundError:
        raise BadInput(f"{place.folder / FILES[1]} is missing.") from None
    except SafetensorError as error:
        raise BadInput(f"{place.folder / FILES[1]} is damaged ({error}).") from None
    sae = SAE("topk", w["encoder.weight"].T.contiguous(), w["W_dec"], w["b_dec"], w["encoder.bias"],
              k=whole(cfg.get("k"), "k", place.folder))  # fmt: skip
    return ExternalSAE(sae, "sparsify", "topk", _model(place), _site(place))


def _refuse_others(cfg: dict[str, Any], where: Path) -> None:
    activation = cfg.get("activation", "topk")
    if activation != "topk":
        raise BadInput(
            f"{where} has the activation function {activation!r}; only topk can be evaluated here."
        )
    other = [name for name in OTHER_KINDS if cfg.get(name)]
    if other:
        raise BadInput(f"{where} is no plain SAE (`{other[0]}` is set), so it cannot stand in the table.")


def _site(place: Location) -> Site | None:
    """From the last part of the name: `layers.12`, or `h.12` and the like."""
    hookpoint = place.name.rstrip("/").rsplit("/", 1)[-1]
    found = re.fullmatch(r"(?:[a-z_]+\.)*(?:layers|h|blocks)\.(\d+)(\.[\w.]+)?", hookpoint)
    if found is None:
        return None
    if found[2]:
        raise refuse_site(f"`{hookpoint}`", place.folder)
    return Site("resid_post", int(found[1]))


def _model(place: Location) -> str | None:
    if place.run is None or not (place.run / RUN).is_file():
        return None
    return read_json(place.run / RUN).get("model")
