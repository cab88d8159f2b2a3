"""The logit lens: which tokens a decoder row, written to the residual stream, makes more likely."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.lm.core.architectures import architecture
from pipeline.lm.core.load import LanguageModel


@torch.no_grad()
def logit_lens(lm: LanguageModel, rows: Tensor) -> Tensor:
    """(C, V) logits of decoder rows (C, d): the model's final norm, less its bias, then the unembedding.

    nostalgebraist's logit lens (2020) on a direction: blocks after the SAE's layer are skipped, and a
    softcap on the logits is left out; neither order nor sign of a row's logits depends on its length.
    """
    norm = getattr(lm.model.base_model, architecture(lm.resolved.architecture, lm.model_id).norm)
    rows = rows.to(lm.device, lm.model.dtype)
    weight = lm.model.get_output_embeddings().weight
    return ((norm(rows) - norm(torch.zeros_like(rows[:1]))) @ weight.T).float().cpu()
