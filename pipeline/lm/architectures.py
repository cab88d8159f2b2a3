"""The four architectures that are known to work, and how a forward pass is cut in two at a block.

transformers writes a decoder's forward as: embed, make masks and rotary angles, loop over a list of
blocks, final norm, head. Exchanging that list for the length of one call gives both model without
repeating any of a model's own logic (sliding windows, softcapping, rotary angles, masks).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

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
            "(pipeline/lm/architectures.py)."
        )
    return ARCHITECTURES[model_type]


class Given(nn.Module):
    """Stands in for a block: whatever comes in, the residual stream (B, T, d) it was made with goes out."""

    def __init__(self, residual: Tensor) -> None:
        super().__init__()
        self._residual = residual

    def forward(self, *_: Any, **__: Any) -> Tensor:
        """The given residual stream."""
        return self._residual


@contextmanager
def first_blocks(base: nn.Module, kind: Architecture, count: int) -> Iterator[None]:
    """Within: `base` ends after `count` blocks, without the final norm."""
    blocks = getattr(base, kind.blocks)
    with _exchanged(base, {kind.blocks: blocks[:count], kind.norm: nn.Identity()}):
        yield


@contextmanager
def last_blocks(base: nn.Module, kind: Architecture, skipped: int, residual: Tensor) -> Iterator[None]:
    """Within: `base` begins with `residual` (B, T, d) after its first `skipped` blocks.

    The skipped blocks are replaced, not removed, because Gemma 2 takes a block's mask by its index.
    """
    blocks = getattr(base, kind.blocks)
    given = Given(residual)
    with _exchanged(base, {kind.blocks: nn.ModuleList([*[given] * skipped, *blocks[skipped:]])}):
        yield


@contextmanager
def _exchanged(base: nn.Module, modules: dict[str, nn.Module]) -> Iterator[None]:
    before = {name: getattr(base, name) for name in modules}
    try:
        for name, module in modules.items():
            setattr(base, name, module)
        yield
    finally:
        for name, module in before.items():
            setattr(base, name, module)
