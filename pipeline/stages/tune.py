"""Command `tune`: sweep one number of a variant's section on the validation split.

The same small sweep for every variant keeps the comparison fair; what it finds is written into
params.yaml by hand, with the command. No test token is read, nothing is saved.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.files import ACTIVATIONS
from pipeline.store import open_store
from pipeline.training.guard import validate
from pipeline.training.run import Job, train, validation_rows
from pipeline.training.section import TrainSection


def run(variant: str, key: str, values: list[float], seed: int) -> None:
    """Train `variant` once per value of `key` and print explained variance and L0 on validation tokens."""
    params = read_params()
    compute = params.get("profile.compute", ComputeSection)
    section = params.get("profile.train", TrainSection)
    device = compute.apply()
    store = open_store(ACTIVATIONS)
    x = validation_rows(store, section.validation_tokens).to(device)
    table = Table(key, "L0 target", "L0", "explained variance", "norm ratio", "dead", title=f"tune {variant}")
    for value in values:
        section_values = {**params.value(variant), key: value}
        for one in train(Job(variant, section_values, seed), section, store, device, compute.threads):
            measured = validate(one.sae, x)
            dead = int(one.log[-1]["dead"]) if one.log else 0
            table.add_row(
                f"{value:g}", str(one.run.target), f"{measured.l0:.2f}",
                one.run.reason or f"{measured.explained_variance:.4f}",
                f"{measured.norm_ratio:.3f}", str(dead),
            )  # fmt: skip
    Console().print(table)
