"""The processes that torchrun started, over torch.distributed: gloo for the CPU, NCCL for GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.console.launch import launched
from pipeline.parallel.world import World

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others. torchrun ends all when one dies; this ends a hung one."""


class Ranks(World):
    """Several processes, of which this is one."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def sum(self, x: Tensor) -> Tensor:
        """All-reduced copy."""
        total = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """All-reduced in place, as one message per dtype and device: what waiting costs, it costs once."""
        kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            kinds.setdefault((tensor.dtype, tensor.device), []).append(tensor)
        for alike in kinds.values():
            # a transposed tensor is sent as the block of memory that it is
            blocks = [tensor if tensor.is_contiguous() else tensor.T for tensor in alike]
            message = torch.cat([block.reshape(-1) for block in blocks])
            dist.all_reduce(message)
            for block, total in zip(blocks, message.split([block.numel() for block in blocks]), strict=True):
                block.copy_(total.view(block.shape))

    def any(self, mask: Tensor) -> Tensor:
        """Maximum over the processes."""
        seen = mask.to(torch.uint8)
        dist.all_reduce(seen, dist.ReduceOp.MAX)
        return seen.bool()

    def smallest(self, values: Tensor) -> Tensor | None:
        """Infinity stands for a process without a value."""
        least = values.min() if len(values) else values.new_tensor(torch.inf)
        least = least.detach().clone()
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return least if bool(torch.isfinite(least)) else None

    def gather(self, x: Tensor) -> list[Tensor]:
        """Padded to the longest, cut back after."""
        lengths = [torch.zeros((), dtype=torch.int64, device=x.device) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor(len(x), device=x.device))
        counts = [int(length) for length in lengths]
        padded = x.new_zeros(max(counts), *x.shape[1:])
        padded[: len(x)] = x.detach()
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        found = [each[:count] for each, count in zip(found, counts, strict=True)]
        found[self.rank] = x
        return found

    def wait(self) -> None:
        """A sum that nobody needs: a barrier on the backend at hand."""
        dist.all_reduce(torch.zeros(()))


def join(device: torch.device) -> World:
    """The processes that torchrun started together; a `World` of one when it started none or one.

    On a GPU each process takes the one of its local rank, which `device` cuda then means.
    """
    if launched() in (None, 1):
        return World()
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
    return Ranks()
