"""The section every numeric stage shares: where it computes, on how many threads, in what precision.

All are parameters because all change bits: a sum over two threads is not the sum over four.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.console.errors import BadInput
from pipeline.params.section import Section

if TYPE_CHECKING:
    import torch


class ComputeSection(Section):
    """Device, threads and language-model precision of a stage."""

    device: Literal["cpu", "cuda"] = Field("cpu", description="where tensors live; `cuda` is the first GPU")
    threads: int = Field(2, ge=1, description="CPU threads of torch's operations; changes the last bits")
    lm_precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the language model's weights, the same in harvest, tasks and behavior"
    )

    def apply(self) -> torch.device:
        """Set torch's threads and return the device; raises BadInput when there is no such device."""
        # torch is imported here so that reading params.yaml does not cost its second and a half
        import torch

        torch.set_num_threads(self.threads)
        _keep_freed_memory()
        if self.device == "cuda":
            # without a fixed workspace cuBLAS may give other bits on every run; read when CUDA starts
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            if not torch.cuda.is_available():
                raise BadInput(
                    "params.yaml: `compute.device` is cuda but torch finds no GPU; set it to cpu, or "
                    "install a torch with CUDA on a machine that has one."
                )
        return torch.device(self.device)


def _keep_freed_memory() -> None:
    """Let the C library keep what large tensors free, instead of making every page anew for the next one.

    A fifth of harvest's CPU time went into page faults, and up to a tenth of training's. Nothing happens
    where the C library has no `mallopt` (glibc has it).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3  # of malloc.h; together, or the other's default is lost
        mallopt(mmap_threshold, 2**25)
        mallopt(trim_threshold, 2**30)
