"""What a method keeps over the steps, in typed fields that a checkpoint can write and read."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass
class State:
    """Fields are tensors, None for what is not known yet, or states in turn."""

    def tensors(self) -> dict[str, Tensor]:
        """All that is known, under dotted names."""
        out: dict[str, Tensor] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, State):
                out |= {f"{each.name}.{name}": tensor for name, tensor in value.tensors().items()}
            elif value is not None:
                out[each.name] = value
        return out

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Become what `tensors()` gave."""
        for each in fields(self):
            value, prefix = getattr(self, each.name), f"{each.name}."
            if isinstance(value, State):
                value.restore({k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)})
            else:
                setattr(self, each.name, tensors[each.name].clone() if each.name in tensors else None)


@dataclass
class Average(State):
    """A running average from zero, with the zero start divided out, as in Adam."""

    total: Tensor | None = None
    weight: Tensor | None = None  # 0-d, or one for each entry where entries move apart

    def move(self, value: Tensor, decay: float) -> Tensor:
        """Move towards `value` and return the average."""
        if self.total is None or self.weight is None:
            self.total, self.weight = torch.zeros_like(value), value.new_zeros(())
        self.total.mul_(decay).add_(value, alpha=1 - decay)
        self.weight.mul_(decay).add_(1 - decay)
        return self.total / self.weight

    def move_where(self, value: Tensor, where: Tensor, decay: float) -> Tensor:
        """The same for the entries for which `where` is true alone; 0 for those that never moved."""
        if self.total is None or self.weight is None:
            self.total, self.weight = torch.zeros_like(value), torch.zeros_like(value)
        self.total = torch.where(where, decay * self.total + (1 - decay) * value, self.total)
        self.weight = torch.where(where, decay * self.weight + (1 - decay), self.weight)
        return torch.where(self.weight > 0, self.total / self.weight.clamp_min(1e-12), 0.0)

    def value(self) -> Tensor | None:
        """The average; None before the first value."""
        if self.total is None or self.weight is None:
            return None
        return self.total / self.weight.clamp_min(1e-12)
