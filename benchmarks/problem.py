"""The same data and the same starting weights for everyone who takes a training step.

Activations are sparse sums of known directions plus a mean and noise. Biases and thresholds are set to
quantiles of the pre-activations, so that ReLU and JumpReLU SAEs begin at the wanted L0, with latents of
unequal frequency as trained ones have; the learning rate is so small that they stay there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pipeline.sae.core.sparse import bag
from pipeline.store import Batch, Mode, Reader, Store

LR = 1e-7
CONTEXT = 128


@dataclass(frozen=True)
class Shape:
    """The size of one training step."""

    d: int
    n: int
    batch: int
    l0: int
    device: str

    def __str__(self) -> str:
        return f"d {self.d}, n {self.n}, batch {self.batch}, L0 {self.l0}"


def shapes() -> list[Shape]:
    """The CPU's shape, or the GPU's two where torch finds one."""
    if not torch.cuda.is_available():
        return [Shape(256, 4096, 2048, 48, "cpu")]
    return [Shape(2304, n, 4096, 64, "cuda") for n in (16384, 65536)]


class Problem:
    """Batches and weights of one shape."""

    def __init__(self, shape: Shape, seed: int = 0, batches: int = 8) -> None:
        self.shape, self.seed, self._batches = shape, seed, batches
        self._generator = torch.Generator().manual_seed(seed)
        self.x = activations(shape.d, shape.batch * batches, self._generator)
        rows = torch.randn(shape.n, shape.d, generator=self._generator)
        self.W_dec = (rows / rows.norm(dim=1, keepdim=True)).to(shape.device)
        self.W_enc = self.W_dec.T.contiguous()

    @cached_property
    def store(self) -> Store:
        """The activations as a store of contexts."""
        return Store.from_tensors(self.x, context_length=CONTEXT)

    def batches(self, mode: Mode) -> list[Batch]:
        """Batches as a reader in `mode` gives them, on the device, in scaled units already."""
        reader = Reader(self.store, "train", mode, self.shape.batch, self.seed)
        taken = [reader.next() for _ in range(self._batches)]
        names = Batch.__dataclass_fields__
        return [Batch(*(getattr(each, name).to(self.shape.device) for name in names)) for each in taken]

    @cached_property
    def threshold(self) -> Tensor:
        """(n,) pre-activations above which latents fire so that L0 is the shape's; rates differ tenfold."""
        share = torch.randn(self.shape.n, generator=self._generator).exp()
        share = (share / share.sum() * self.shape.l0).clamp(max=0.5).to(self.shape.device)
        pre = self.x[: self.shape.batch].to(self.shape.device) @ self.W_enc
        ranks = (share * len(pre)).long().clamp(1, len(pre) - 1)
        return pre.sort(0, descending=True).values.gather(0, ranks[None])[0].clamp_min(1e-3)


def activations(d: int, count: int, generator: torch.Generator) -> Tensor:
    """(count, d) rows: 24 of 8 d unit directions each, a mean, noise; scaled to E|x|^2 = d."""
    true, active = 8 * d, 24
    directions = torch.randn(true, d, generator=generator)
    directions /= directions.norm(dim=1, keepdim=True)
    # squares of uniforms: low-numbered directions are frequent
    which = (torch.rand(count * active, generator=generator).square() * true).long()
    size = torch.rand(count * active, generator=generator) + 0.5
    x = bag(size, directions, which, torch.arange(0, count * active + 1, active))
    x += torch.randn(d, generator=generator) * 0.3
    x += torch.randn(count, d, generator=generator) * 0.05
    return x * (d / x.square().sum(1).mean()).sqrt()
