"""All that is measured of one SAE on the labelled texts, beside the raw residual stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.metrics.probing import results, saebench
from pipeline.metrics.probing.pooling import pooled_codes
from pipeline.metrics.probing.results import baselines, neurons_of, probe
from pipeline.metrics.probing.section import ProbingSection
from pipeline.numbers.definition import Definition
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.tasks.probing.task import ProbingTask


def metrics(task: ProbingTask, section: ProbingSection) -> list[Definition]:
    """The definitions, for the section's k and the task's sets."""
    return results.metrics(task, section) + saebench.metrics(section)


def raw(task: ProbingTask, section: ProbingSection) -> dict[str, Any]:
    """The raw residual stream in the place of codes: its numbers, and its accuracy problem by problem."""
    probed = probe(task.mean, task, section.k)
    numbers = baselines(probed, task, section) | saebench.values("llm", task.mean, task, section)
    plain = {name: asdict(number) for name, number in numbers.items()}
    return {"numbers": plain, "neurons": neurons_of(probed, task)}


@dataclass(frozen=True)
class Texts:
    """What SAEs are measured on; `raw` is what the function of that name gave."""

    task: ProbingTask
    section: ProbingSection
    raw: Mapping[str, Any]

    def of(self, sae: SAE) -> Measured:
        """What is measured of one SAE."""
        task, section, neurons = self.task, self.section, self.raw["neurons"]
        codes = pooled_codes(sae, task.x, task.offsets)
        probed = probe(codes, task, section.k)
        numbers = {name: Number(**number) for name, number in self.raw["numbers"].items()}
        numbers |= results.values(probed, task, section)
        numbers |= saebench.values("sae", codes, task, section) | saebench.probing_all(codes, task, section)
        return Measured(numbers, {
            "problems.tsv": results.problem_rows(probed, neurons, task),
            results.ITEMS: results.item_rows(probed, task),
        })  # fmt: skip

    def of_control(self, sae: SAE) -> dict[str, Number]:
        """What is measured of an untrained SAE: nothing by SAEBench's recipe."""
        codes = pooled_codes(sae, self.task.x, self.task.offsets)
        return results.values(probe(codes, self.task, self.section.k), self.task, self.section)
