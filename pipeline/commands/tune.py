"""Command `tune`: sweep one number of a variant's section on the validation split.

The same small sweep for every variant keeps the comparison fair; what it finds is written into
params.yaml by hand, with the command. No test token is read, nothing is saved.
"""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from pipeline.metrics.reconstruction.entries import Entries
from pipeline.metrics.reconstruction.temporal import Temporal
from pipeline.parallel.processes import Say, at_once, spread
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.files import ACTIVATIONS
from pipeline.store import Store, hold, open_store
from pipeline.store.blocks import blocks
from pipeline.training.job import Job
from pipeline.training.run import require, train
from pipeline.training.section import TrainSection
from pipeline.training.validation import validate, validation_rows


def run(variant: str, key: str, values: list[float], seed: int) -> None:
    """Train `variant` once per value of `key` and print what it reaches on validation tokens."""
    params = read_params()
    compute = params.get("profile.compute", ComputeSection)
    section = params.get("profile.train", TrainSection).model_copy(update={"world_size": 1})
    device = compute.apply()
    store = open_store(ACTIVATIONS)
    require(section, store)
    x = validation_rows(store, section.validation_tokens).to(device)
    columns = ("L0 target", "L0", "explained variance", "norm ratio", "flicker", "smoothness", "dead")
    table = Table(key, *columns, title=f"tune {variant}")
    given = params.value(variant)
    pieces: list[tuple[float, Job, TrainSection]] = []
    for value in values:
        # 1 and 1.0 are one number on a command line, but not in a strict section: a switch is 0 or 1
        typed = bool(value) if isinstance(given.get(key), bool) else value
        job = Job.of(variant, {**given, key: typed}, seed)
        pieces += [(value, job, part) for part in job.apart(section)]
    torch.set_num_threads(pieces[0][1].threads(section, compute.threads))
    hold(store, "train")

    def row(piece: tuple[float, Job, TrainSection], say: Say) -> list[str]:
        value, job, part = piece
        [one] = train(job, part, store, device)
        measured = validate(one.sae, x)
        flicker, smoothness = steadiness(one.sae, store, section.validation_tokens, device)
        dead = int(one.log[-1]["dead"]) if one.log else 0
        return [
            f"{value:g}", str(one.run.target), f"{measured.l0:.2f}",
            one.run.reason or f"{measured.explained_variance:.4f}",
            f"{measured.norm_ratio:.3f}", f"{flicker:.3f}", f"{smoothness:.3f}", str(dead),
        ]  # fmt: skip

    for cells in spread(row, pieces, count=at_once(device)):
        table.add_row(*cells)
    Console().print(table)


@torch.no_grad()
def steadiness(sae: SAE, store: Store, tokens: int, device: torch.device) -> tuple[float, float]:
    """Flicker and smoothness (metrics/reconstruction/temporal.py) on validation contexts, to `tokens`."""
    block = next(blocks(store, max(1, tokens // store.context_length), device, "validation"))
    temporal = Temporal(sae.n, store.context_length)
    temporal.add(block.x, Entries.of(sae.encode(block.x)), block.document, block.position, block.context)
    total = temporal.sums.total
    return (
        1 - total("stays_on") / max(total("on_followed"), 1),
        total("smoothness") / max(total("moving_pairs"), 1),
    )
