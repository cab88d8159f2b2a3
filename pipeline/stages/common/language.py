"""The language model, and whether it is the one that an input was made with."""

from __future__ import annotations

from typing import Any

import torch

from pipeline.console.errors import BadInput
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.stages.common.files import ACTIVATIONS, LM
from pipeline.store import Store


def model_of(store: Store, device: torch.device, precision: Any) -> LanguageModel:
    """The language model in models/lm; raises BadInput unless `store` was harvested from it."""
    lm = load_lm(LM, device, precision)
    if lm.weights_sha256 != store.attrs.weights_sha256:
        raise BadInput(
            f"{ACTIVATIONS} was harvested from {store.attrs.model_id} with other weights than {LM} "
            f"({lm.model_id}): run `dvc repro harvest`."
        )
    return lm
