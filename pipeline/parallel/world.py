"""The processes that share one task. `World` itself is a single one: everything is the identity.

Every method that takes a tensor is a collective: all processes call it, in the same order. Code that
is written against `World` therefore says how partial results add up and knows nothing of ranks.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


class World:
    """One process."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes what all have made."""
        return self.rank == 0

    def sum(self, x: Tensor) -> Tensor:
        """`x` summed over the processes, without a graph."""
        return x

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """The same in place."""

    def any(self, mask: Tensor) -> Tensor:
        """`mask` (bool), true where it is true in any process."""
        return mask

    def smallest(self, values: Tensor) -> Tensor | None:
        """() least of all processes' `values` (E,); None where there is none."""
        return values.min() if len(values) else None

    def gather(self, x: Tensor) -> list[Tensor]:
        """Every process's `x`, which may differ in length, in order of rank; this one's as it is."""
        return [x]

    def wait(self) -> None:
        """Go on when all processes have come here."""


ALONE = World()


def part(world: World, items: list[int]) -> list[int]:
    """The items of this process, dealt one by one."""
    return items[world.rank :: world.size]
