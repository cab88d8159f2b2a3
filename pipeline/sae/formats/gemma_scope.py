"""Gemma Scope: layer_12/width_16k/average_l0_82/params.npz, float32, JumpReLU.

f = relu(pre) where pre > threshold, pre = x W_enc + b_enc: b_dec is not subtracted at the input. The input
scale is folded in. Model, site and layer stand in the names of the repository and its folders only.
"""

from __future__ import annotations

import re
import zipfile

import numpy as np
import torch

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site
from pipeline.sae.core.inference import SAE
from pipeline.sae.formats.external import (
    ExternalSAE,
    Location,
    exactly,
    refuse_site,
    unit_rows,
    width,
    without_subtraction,
)

FILES = ("params.npz",)
RELEASE = re.compile(r"gemma-scope-(2b|9b|27b)-(pt|it)-(\w+)")


def read(place: Location) -> ExternalSAE:
    """The SAE in `place`; raises BadInput for an archive that holds more than arrays."""
    path = place.folder / FILES[0]
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            state = {name: torch.from_numpy(archive[name]) for name in archive.files}
    except FileNotFoundError:
        raise BadInput(f"{path} is missing.") from None
    except (ValueError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is not an archive of plain arrays ({error}).") from None
    d, n = width(state, "W_enc", place.folder)
    shapes = {"W_enc": (d, n), "W_dec": (n, d), "b_enc": (n,), "b_dec": (d,), "threshold": (n,)}
    sae = SAE("jumprelu", **exactly(state, shapes, place.folder))  # type: ignore[arg-type]
    layer = re.search(r"(?:^|/)layer_(\d+)(?:/|$)", place.name)
    return ExternalSAE(
        unit_rows(without_subtraction(sae)), "gemma_scope", "jumprelu", _model(place),
        None if layer is None else Site("resid_post", int(layer[1])),
    )  # fmt: skip


def _model(place: Location) -> str | None:
    release = RELEASE.search(place.name)
    if release is None:
        return None
    size, tuned, site = release.groups()
    if site != "res":
        raise refuse_site(f"the site {site!r}", place.folder)
    return f"gemma-2-{size}" + ("-it" if tuned == "it" else "")
