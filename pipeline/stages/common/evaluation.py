"""What every evaluation stage shares: params, the SAEs of a variant, their control, what is written.

A stage says in `prepare` what it measures; here every SAE of the variant is measured and
reports/evaluations/{name}/{variant} written: results.json and the tables declared in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from pipeline.console.progress import Progress
from pipeline.metrics.common.controls import RANDOM, random_sae
from pipeline.numbers.definition import Definition
from pipeline.numbers.document import Measured, nothing, write_measured
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.parallel.processes import Count, Say, adding, at_once, spread
from pipeline.parallel.workers import workers
from pipeline.params import Section, read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.code import closure
from pipeline.stages.common.files import VERSIONS, evaluation_folder, fresh
from pipeline.stages.common.memo import Memo
from pipeline.stages.common.saes import Trained, require_width, trained_saes

S = TypeVar("S", bound=Section)
Advance = Callable[[int], None]


@dataclass(frozen=True)
class Setting(Generic[S]):
    """What a stage prepares its evaluation with."""

    name: str
    section: S
    compute: ComputeSection
    device: torch.device

    def memo(self, inputs: Mapping[str, Any], files: Iterable[Path] = ()) -> Memo:
        """Where the stage keeps what no SAE changes: one result per content of `inputs`, `files` and code."""
        key = {"section": self.section.model_dump(), "compute": self.compute.model_dump(), **inputs}
        return Memo(
            self.name,
            key,
            [*files, VERSIONS, *closure(f"stages.{self.name}")],
        )


@dataclass(frozen=True)
class Control:
    """The untrained SAE beside every trained one of its size and L0, measured once per run."""

    centre: Tensor  # (N, d): rows whose mean is its b_dec
    seed: int
    measure: Callable[[SAE], Mapping[str, Number]]  # its numbers, under the names of the SAEs' own
    memo: Memo

    def numbers(self, n: int, k: int, device: torch.device, defined: Iterable[str]) -> dict[str, Number]:
        """Those of its numbers that are `defined` as a control, under the control's names."""

        def values() -> dict[str, Any]:
            sae = random_sae(self.centre, n, k, self.seed).to(device)
            return {name: asdict(number) for name, number in self.measure(sae).items()}

        found = self.memo.get(f"untrained-{n}-{k}", values)
        wanted = {name: name.removesuffix(RANDOM) for name in defined if name.endswith(RANDOM)}
        return {name: Number(**found[of]) for name, of in wanted.items() if of in found}


@dataclass(frozen=True)
class Evaluation:
    """What a stage measures; all SAEs of a variant in one call, so that they can share a pass."""

    definitions: Sequence[Definition]
    measure: Callable[[Sequence[SAE], Advance], Sequence[Measured]]
    tables: Mapping[str, Columns] = field(default_factory=dict)  # file: its columns after label, seed and run
    unit: str = "SAEs"
    steps: int = 1  # of `unit`, that an SAE takes
    control: Control | None = None
    width: tuple[int, Path] | None = None  # of the activations that SAEs must take, and where these lie
    beside: Mapping[str, Number] = field(default_factory=dict)  # numbers that no SAE changes, in every row


def one_by_one(measure: Callable[[SAE], Measured]) -> Callable[[Sequence[SAE], Advance], list[Measured]]:
    """`measure`, SAE after SAE."""

    def measured(saes: Sequence[SAE], advance: Advance) -> list[Measured]:
        found = []
        for sae in saes:
            found.append(measure(sae))
            advance(1)
        return found

    return measured


def evaluate(name: str, variant: str, schema: type[S], prepare: Callable[[Setting[S]], Evaluation]) -> None:
    """Measure every SAE of `variant` and write what was found; a diverged SAE's numbers are its reason."""
    params = read_params()
    section = params.get(name, schema)
    compute = params.get("profile.compute", ComputeSection)
    device = compute.apply()
    saes = list(trained_saes(variant, params.value("seeds"), device))
    evaluation = prepare(Setting(name, section, compute, device))
    if evaluation.width:
        require_width(saes, *evaluation.width)
    well = [trained for trained in saes if trained.run.status == "ok"]
    with Progress(f"{name} {variant}", evaluation.steps * len(well), evaluation.unit) as bar:
        numbers = _measured(evaluation, [each.sae for each in well], device, bar)
    measured = dict(zip([each.folder for each in well], numbers, strict=True))
    found = []
    for trained in saes:
        own = measured.get(trained.folder)
        if own is None:
            own = nothing(evaluation.definitions, trained.run.reason or "the training diverged")
        else:
            own = Measured({**own.numbers, **_beside(evaluation, trained, own, device)}, own.tables)
        found.append((trained.identity, own))
    write_measured(
        fresh(evaluation_folder(name, variant)),
        name,
        variant,
        evaluation.definitions,
        evaluation.tables,
        found,
        section.model_dump(),
    )


def _beside(
    evaluation: Evaluation, trained: Trained, own: Measured, device: torch.device
) -> dict[str, Number]:
    """What stands in the row of `trained` that is not its `own`."""
    found = dict(evaluation.beside)
    if evaluation.control:
        defined = [each.name for each in evaluation.definitions if each.name not in own.numbers]
        found |= evaluation.control.numbers(trained.sae.n, trained.control_k, device, defined)
    return found


def _measured(
    evaluation: Evaluation, saes: Sequence[SAE], device: torch.device, bar: Progress
) -> list[Measured]:
    """What is measured of each of `saes`, whose order is kept: a share of them in each process."""
    size = max(-(-len(saes) // (at_once(device) or workers())), 1)
    shares = [saes[start : start + size] for start in range(0, len(saes), size)]

    def work(share: Sequence[SAE], say: Say) -> list[Measured]:
        with Count(say) as count:
            found = evaluation.measure(share, lambda steps: count(steps, {}))
        # rows that are still to be made are made here: they are sent to the parent
        return [
            Measured(each.numbers, {name: [*rows] for name, rows in each.tables.items()}) for each in found
        ]

    return [each for share in spread(work, shares, adding(bar.advance), at_once(device)) for each in share]
