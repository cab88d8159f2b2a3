"""What the parts of an SAE have in common: fields that are tensors, and move between devices together."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tensors:
    """A frozen dataclass of tensors, further such parts and plain values."""

    def tensors(self) -> dict[str, Tensor]:
        """By field; those of its parts are theirs."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def to(self, device: torch.device | str) -> Self:
        """The same with all tensors on `device`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        own = (Tensor, Tensors)
        return replace(self, **{n: each.to(device) for n, each in values.items() if isinstance(each, own)})
