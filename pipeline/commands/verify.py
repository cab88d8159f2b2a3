"""Command `verify`: hold a fresh run's headline numbers against the intervals that git keeps.

Another CPU gives other digits, so a run is verified by where its numbers lie: at least `share` of them inside
the 95 % intervals of the committed run. Those intervals are of a mean; a fresh run is a draw of its own and
lies within sqrt(2) times their width in 95 of 100 cases, so that count stands beside it.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.console.errors import BadInput
from pipeline.numbers.files import read_json
from pipeline.stages.common.files import INTERVALS, METRICS
from pipeline.study import gather, replicate

Cells = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""label: {run: {headline: its interval, or the reason why there is none}}."""
Means = Mapping[str, Mapping[str, Mapping[str, float | None]]]
"""The same with the number itself."""


@dataclass(frozen=True)
class Held:
    """A fresh number and the committed interval of its place; `value` None: the fresh run has none."""

    label: str
    run: str
    headline: str
    value: float | None
    low: float
    high: float

    @property
    def inside(self) -> bool:
        """Whether the number lies in the interval."""
        return self._within(1.0)

    @property
    def as_a_draw(self) -> bool:
        """Whether it lies where a second draw of the same mean would in 95 of 100 cases."""
        return self._within(math.sqrt(2))

    def _within(self, widths: float) -> bool:
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return self.value is not None and abs(self.value - middle) <= widths * half * (1 + 1e-9)


def run(against: str, share: float, model: str | None = None) -> None:
    """Print how many numbers lie inside, per headline and in all; exit code 1 where they are too few.

    `against`: a file like reports/intervals.json, or a git revision that has one. A run of a few methods is
    held by the rows that it has. `model`: instead of a run, the SAEs of a language model of the study, whose
    scores count that the study measures at all.
    """
    fresh = means() if model is None else replicate.means(gather.read()[gather.TEXT], model)
    held = list(holding(fresh, committed(against)))
    if model is not None and (unmeasured := sorted({each.headline for each in held} - measured(fresh))):
        held = [each for each in held if each.headline not in unmeasured]
        print(f"The study does not measure: {', '.join(unmeasured)}.")
    if not held:
        where, how = (
            (INTERVALS, "`dvc repro`") if model is None
            else (f"The study's language model {model}", "`make study`")
        )  # fmt: skip
        raise BadInput(f"{where} and the intervals of {against} have no number in common: run {how}.")
    Console(highlight=False).print(table(held))
    inside = counted(held)[0]
    print(f"{inside} of {len(held)} numbers lie inside the intervals of {against}; {share:.0%} must.")
    if inside < share * len(held):
        raise SystemExit(1)


def means() -> Means:
    """The fresh run's numbers: the middles of its intervals; without one, those of metrics.json."""
    known: Means = read_json(METRICS, "compare")
    return {
        label: {
            run: {
                name: known.get(label, {}).get(run, {}).get(name) if "reason" in cell
                else (cell["low"] + cell["high"]) / 2
                for name, cell in cells.items()
            }
            for run, cells in runs.items()
        }
        for label, runs in cells_of(read_json(INTERVALS, "compare"), str(INTERVALS)).items()
    }  # fmt: skip


def measured(fresh: Means) -> set[str]:
    """The headlines that any row has a number of."""
    rows = [values for runs in fresh.values() for values in runs.values()]
    return {name for values in rows for name, value in values.items() if value is not None}


def holding(fresh: Means, intervals: Cells) -> Iterator[Held]:
    """Every committed interval of a row that the fresh run has, beside the fresh number."""
    for label, runs in fresh.items():
        for run, values in runs.items():
            for headline, given in intervals.get(label, {}).get(run, {}).items():
                if "reason" not in given:
                    yield Held(label, run, headline, values.get(headline), given["low"], given["high"])


def counted(held: Iterable[Held]) -> tuple[int, int, int]:
    """How many lie inside, how many where a second draw would, and of how many."""
    found = list(held)
    return sum(each.inside for each in found), sum(each.as_a_draw for each in found), len(found)


def table(held: list[Held]) -> Table:
    """A row per headline of each source of activations."""
    shown = Table("", "inside", "as a second draw", "of")
    for source, prefix in (("", False), ("synthetic: ", True)):
        here = [each for each in held if each.run.startswith("truth-") == prefix]
        for headline in dict.fromkeys(each.headline for each in here):
            counts = counted(each for each in here if each.headline == headline)
            shown.add_row(f"{source}{headline}", *map(str, counts))
    shown.add_row("all", *map(str, counted(held)), style="bold")
    return shown


def committed(against: str) -> Cells:
    """The intervals of a file, or of a git revision; raises BadInput where there are none."""
    if Path(against).is_file():
        content = read_json(Path(against), "compare")
    else:
        content = _shown(against)
    return cells_of(content, against)


def cells_of(content: Any, where: str) -> Cells:
    """The cells of an intervals.json; raises BadInput for another content."""
    try:
        cells: Cells = content["cells"]
    except (KeyError, TypeError):
        raise BadInput(f"{where} holds no intervals: name a file like {INTERVALS} or a revision.") from None
    return cells


def _shown(revision: str) -> Any:
    place = f"{revision}:./{INTERVALS.as_posix()}"
    try:
        done = subprocess.run(["git", "show", place], capture_output=True, check=True)
        return json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise BadInput(f"git has no {place}: name a file or a revision that has one.") from None
