"""The four architectures that are known to work. Without torch."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.console.errors import BadInput


@dataclass(frozen=True)
class Architecture:
    """Where one model family keeps its blocks, and how its attention is computed."""

    blocks: str  # attribute of the base model: the list of blocks
    norm: str  # attribute of the base model: the norm after the last block
    attention: str = "sdpa"


ARCHITECTURES: dict[str, Architecture] = {
    # only eager attention applies Gemma 2's softcap to the attention scores
    "gemma2": Architecture("layers", "norm", "eager"),
    "llama": Architecture("layers", "norm"),
    "gpt_neox": Architecture("layers", "final_layer_norm"),
    "gpt2": Architecture("h", "ln_f"),
}
"""By transformers' `model_type`."""


def architecture(model_type: str, where: str) -> Architecture:
    """The entry of `model_type`; raises BadInput naming `where` when there is none."""
    if model_type not in ARCHITECTURES:
        raise BadInput(
            f"{where} is a `{model_type}` model; this pipeline knows {', '.join(ARCHITECTURES)} "
            "(pipeline/lm/core/architectures.py)."
        )
    return ARCHITECTURES[model_type]
