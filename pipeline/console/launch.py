"""Start a stage's command again as several processes, through torchrun.

`SAELINE_TORCHRUN` holds arguments of torchrun (`--nproc-per-node 4`, rendezvous, nodes). It is no
parameter: the harvested bytes do not depend on it, and what training depends on is
`train.world_size`, which must agree.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

VARIABLE = "SAELINE_TORCHRUN"


def launched() -> int | None:
    """How many processes torchrun started together with this one; None outside of torchrun."""
    size = os.environ.get("WORLD_SIZE")
    return int(size) if size and "RANK" in os.environ else None


def arguments() -> list[str]:
    """The user's arguments of torchrun; empty when there are none."""
    return shlex.split(os.environ.get(VARIABLE, ""))


def relaunch(words: Sequence[str], processes: int, threads: int) -> None:
    """Become `torchrun ... -m pipeline WORDS`, with `processes` on this machine unless the user says more.

    Does not return. The process is replaced, so that a signal to it reaches torchrun and its workers.
    """
    how = arguments() or ["--standalone", "--nproc-per-node", str(processes)]
    # torchrun would set 1 and say so on every start; the stage sets torch's threads itself
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", *how, "-m", "pipeline", *words])
