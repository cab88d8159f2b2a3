"""What two processes do together for test_world.py: `python -m tests.training.ranks OUT`, once per rank.

One session does everything, because starting torch twice costs more than all of it. Each rank writes
what it saw to OUT/{rank}/.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.parallel.ranks import join
from pipeline.parallel.world import World
from pipeline.sae.method.batch_topk import batch_topk
from pipeline.store import Mode, Reader
from pipeline.training.job import Job
from pipeline.training.run import Trained, train
from tests.common import ROOT
from tests.training import toy

STEPS = 200
EVENTFUL: dict[str, dict[str, Any]] = {
    "jumprelu": {"bandwidth": 0.1, "pre_activation_weight": 0.01},
    "temporal": {"decay": 0.8, "weight": 0.01, "lr_scale": 2.0},
    "atm": {"sharpness": 2.0},
    "contrastive": {"control_values": {"l1_base": {"weight": 0.01}}},
    "tfa": {"share": 0.67, "lr_scale": 2.0},
}
"""Values under which what a method keeps over steps matters within 200 steps; tfa's keep two predictable
codes, because near ties would decide which is the only one."""
SEEDS = {"contrastive": 2}
"""1 elsewhere. Sums in another order decide a near tie of a selection otherwise now and then (batchtopk
with seed 2: one of 38400 entries, 0.5 % of the loss of that step); these seeds meet none."""
CONTROLS = (
    ("topk", "soft_frozen_decoder"), ("topk", "frozen_encoder"), ("atm", "permuted"),
    ("atm", "batchtopk_base"), ("temporal", "shuffled"), ("temporal", "batchtopk_base"),
    ("tsae", "shuffled"), ("tsae", "batchtopk_base"), ("contrastive", "l1_base"),
    ("txc", "stacked"),
)  # fmt: skip
"""Of each thing that a control changes, one."""
DENSER = (("tsae", "shuffled"), ("contrastive", "l1_base"))
"""So short a run of these explains nothing at L0 3, which ends it."""
ROWS: list[tuple[str, str | None]] = [*((variant, None) for variant in toy.VARIANTS), *CONTROLS]
SIZES: dict[str, Any] = {"n": 64, "batch": 64, "tokens": STEPS * 64, "log_every": 1, "dead_tokens": 256}


def run(variant: str, world: World, control: str | None = None, **changes: Any) -> list[Trained]:
    """Train `variant`, or a control of it, on the toy store for 200 steps, each of them logged."""
    checkpoint = changes.pop("checkpoint", None)
    on_step = changes.pop("on_step", None)
    denser = {"l0": [8]} if (variant, control) in DENSER else {}
    section = toy.section(world_size=world.size, **(SIZES | denser | changes))
    job = Job.of(variant, EVENTFUL.get(variant, {}), SEEDS.get(variant, 1), control)
    return train(job, section, toy.store(), torch.device("cpu"), on_step, checkpoint, world)


RESUMED = ("topk", "atm", "temporal", "contrastive")
"""Variants that are stopped and continued: AuxK, masks, resampling, pairs."""
SAVED, STOPPED = 80, 90
"""The step of the only checkpoint, and the step after which every process stops."""


class Stopped(Exception):
    """Stands for the end of the machine."""


def resumed(variant: str, world: World, checkpoint: Path) -> dict[str, Any]:
    """The log of a run that was stopped and continued, and how many steps it took after that."""
    steps = 0

    def stop(tokens: int, figures: dict[str, float]) -> None:
        nonlocal steps
        steps += 1
        if steps == STOPPED:
            raise Stopped

    def count(tokens: int, figures: dict[str, float]) -> None:
        nonlocal steps
        steps += 1

    kept = {"checkpoint": checkpoint, "checkpoint_every": SAVED}
    try:
        run(variant, world, on_step=stop, **kept)
    except Stopped:
        steps = 0
    [one] = run(variant, world, on_step=count, **kept)
    return {"steps": steps, "log": one.log}


def uneven(rank: int) -> Tensor:
    """Rows of a rank: three in the first, none in the second."""
    return torch.arange(6.0).view(3, 2)[: 3 * (1 - rank)]


def pre() -> Tensor:
    """(9, 20) pre-activations with ties."""
    return (4 * torch.randn(9, 20, generator=torch.Generator().manual_seed(3))).round() / 4


COUNTS = (1, 30, 60, 500)


def primitives(world: World) -> dict[str, Any]:
    """Each collective on something that differs between ranks."""
    mine = torch.tensor([1.0, 2.0]) * (world.rank + 1)
    transposed = torch.arange(6.0).view(2, 3).T + world.rank
    world.add_up([transposed])
    mask = torch.tensor([world.rank == 0, world.rank == 1, False])
    smallest = world.smallest(uneven(world.rank).flatten() + 5)
    nothing = world.smallest(torch.empty(0))
    part = pre()[:4] if world.rank == 0 else pre()[4:]
    chosen = [batch_topk(part, count, world) for count in COUNTS]
    return {
        "sum": world.sum(mine).tolist(),
        "mine": mine.tolist(),
        "transposed": transposed.tolist(),
        "any": world.any(mask).tolist(),
        "smallest": None if smallest is None else float(smallest),
        "nothing": nothing is None,
        "gathered": [each.tolist() for each in world.gather(uneven(world.rank))],
        "chosen": [[pairs.token.tolist(), pairs.latent.tolist()] for pairs in chosen],
    }


def batches(mode: Mode, world: World) -> list[dict[str, Any]]:
    """A hundred batches of a reader over pools smaller than the split."""
    reader = Reader(toy.store(), "train", mode, 64, 5, pool_rows=1500, part=(world.rank, world.size))
    found = []
    for _ in range(100):
        batch = reader.next()
        found.append({"context": batch.context.tolist(), "position": batch.position.tolist(),
                      "sum": batch.x.double().sum(1).tolist()})  # fmt: skip
    return found


def main(out: Path) -> None:
    """All of it."""
    world = join(torch.device("cpu"))
    folder = out / str(world.rank)
    folder.mkdir()
    notes: dict[str, Any] = {"primitives": primitives(world)}
    notes["batches"] = {mode: batches(mode, world) for mode in ("tokens", "pairs", "contexts")}
    notes["logs"], notes["runs"] = {}, {}
    for variant, control in ROWS:
        [one] = run(variant, world, control)
        name = one.run.label
        notes["logs"][name], notes["runs"][name] = one.log, vars(one.run)
        tensors = {name: t for name, t in vars(one.sae).items() if isinstance(t, Tensor)}
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, folder / f"{name}.safetensors")
    [diverged] = run("standard", world, lr=1e6)
    notes["diverged"] = vars(diverged.run)
    notes["resumed"] = {each: resumed(each, world, out / f"checkpoint-{each}") for each in RESUMED}
    two = run("batchtopk", world, l0=[2, 3], tokens=20 * 64)
    notes["two"] = [one.log for one in two]
    (folder / "notes.json").write_text(json.dumps(notes))


def start(command: list[str], processes: int = 2) -> None:
    """Run `python COMMAND` as that many ranks on this machine; all must end well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1",
              "MASTER_PORT": port, "WORLD_SIZE": str(processes), "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
    ranks = [
        subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(processes)
    ]  # fmt: skip
    try:
        said = [rank.communicate(timeout=500)[1] for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0] * processes, "\n".join(said)
    finally:
        for rank in ranks:
            rank.kill()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
