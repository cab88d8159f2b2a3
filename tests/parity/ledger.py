"""What was compared with SAEBench and how far apart it was: the checks, and the table of docs/parity.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

RELATIVE = 1e-5
"""Float32 against float64 sums of thousands of tokens; the same formula stays well below."""

Pair = tuple[Any, Any]
"""Ours, SAEBench's: numbers, lists or tensors of one shape."""


@dataclass(frozen=True)
class Row:
    """One quantity of one SAE."""

    evaluation: str
    quantity: str
    comparisons: int
    largest: float
    rule: str


@dataclass
class Ledger:
    """Every comparison of a run, in order."""

    rows: list[Row] = field(default_factory=list)
    beside: list[tuple[str, str, float, str, float]] = field(default_factory=list)

    def relative(self, evaluation: str, pairs: dict[str, Pair], tolerance: float = RELATIVE) -> None:
        """Each pair equal within `tolerance` of SAEBench's value."""
        for name, (ours, theirs) in pairs.items():
            mine, other = _tensors(ours, theirs)
            difference = (mine - other).abs() / other.abs().clamp_min(1e-12)
            self._note(evaluation, name, difference, tolerance, f"{tolerance:g} relative")

    def absolute(self, evaluation: str, pairs: dict[str, Pair], tolerance: float) -> None:
        """Each pair equal within `tolerance`."""
        for name, (ours, theirs) in pairs.items():
            mine, other = _tensors(ours, theirs)
            self._note(evaluation, name, (mine - other).abs(), tolerance, f"{tolerance:g} absolute")

    def equal(self, evaluation: str, pairs: dict[str, tuple[Sequence[Any], Sequence[Any]]]) -> None:
        """Each pair equal item by item."""
        for name, (ours, theirs) in pairs.items():
            assert len(ours) == len(theirs), f"{name}: {len(ours)} of ours, {len(theirs)} of SAEBench"
            unequal = torch.tensor([a != b for a, b in zip(ours, theirs, strict=True)], dtype=torch.float64)
            self._note(evaluation, name, unequal, 0.0, "equal")

    def differs(self, sae: str, quantity: str, compatible: float, right: str, value: float) -> None:
        """A value that SAEBench gets wrong, with the right one beside it."""
        self.beside.append((sae, quantity, compatible, right, value))

    def _note(self, evaluation: str, name: str, difference: Tensor, tolerance: float, rule: str) -> None:
        assert difference.numel() > 0, f"{name}: nothing was compared"
        assert not difference.isnan().any(), f"{name}: not a number"
        largest = float(difference.max())
        self.rows.append(Row(evaluation, name, difference.numel(), largest, rule))
        assert largest <= tolerance, f"{evaluation}, {name}: largest difference {largest:.3g} > {tolerance:g}"

    def table(self) -> list[Row]:
        """One row per quantity: comparisons added, the largest difference of all SAEs."""
        merged: dict[tuple[str, str], Row] = {}
        for row in self.rows:
            before = merged.get((row.evaluation, row.quantity))
            count, largest = (before.comparisons, before.largest) if before else (0, 0.0)
            merged[row.evaluation, row.quantity] = Row(
                row.evaluation, row.quantity, count + row.comparisons, max(largest, row.largest), row.rule
            )
        return list(merged.values())


def _tensors(ours: Any, theirs: Any) -> tuple[Tensor, Tensor]:
    mine, other = (torch.as_tensor(value, dtype=torch.float64) for value in (ours, theirs))
    assert mine.shape == other.shape, f"{tuple(mine.shape)} of ours, {tuple(other.shape)} of SAEBench"
    return mine.flatten(), other.flatten()
