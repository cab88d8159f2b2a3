"""A forward pass cut in two at a block.

transformers writes a decoder's forward as: embed, make masks and rotary angles, loop over a list of
blocks, final norm, head. Exchanging that list for the length of one call gives both halves without
repeating any of a model's own logic (sliding windows, softcapping, rotary angles, masks).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from pipeline.lm.core.architectures import Architecture


class FixedOutput(nn.Module):
    """Stands in for a block: whatever comes in, the residual stream (B, T, d) it was made with goes out."""

    def __init__(self, residual: Tensor) -> None:
        super().__init__()
        self._residual = residual

    def forward(self, *_: Any, **__: Any) -> Tensor:
        """The residual stream."""
        return self._residual


@contextmanager
def first_blocks(base: nn.Module, model: Architecture, count: int) -> Iterator[None]:
    """Within: `base` ends after `count` blocks, without the final norm."""
    blocks = getattr(base, model.blocks)
    with _exchanged(base, {model.blocks: blocks[:count], model.norm: nn.Identity()}):
        yield


@contextmanager
def last_blocks(base: nn.Module, model: Architecture, skipped: int, residual: Tensor) -> Iterator[None]:
    """Within: `base` begins with `residual` (B, T, d) after its first `skipped` blocks.

    The skipped blocks are replaced, not removed, because Gemma 2 takes a block's mask by its index.
    """
    blocks = getattr(base, model.blocks)
    fixed = FixedOutput(residual)
    with _exchanged(base, {model.blocks: nn.ModuleList([*[fixed] * skipped, *blocks[skipped:]])}):
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
