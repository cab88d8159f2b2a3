"""All that is measured of one SAE on the labelled texts, beside the raw residual stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.common.lookup import fit
from pipeline.metrics.probing import results, saebench
from pipeline.metrics.probing.pooling import pooled_codes, pooled_lookup
from pipeline.metrics.probing.results import baselines, looked_up, neurons_of, probe
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
    """What no SAE changes: the raw residual stream in the place of codes, and the token lookup.

    Their numbers, and the raw residual's accuracy problem by problem.
    """
    probed, words = probe(task.mean, task, section.k), probe(counted(task), task, section.k)
    numbers = baselines(probed, task, section) | saebench.values("llm", task.mean, task, section)
    numbers |= looked_up(words, task, section)
    plain = {name: asdict(number) for name, number in numbers.items()}
    return {"numbers": plain, "neurons": neurons_of(probed, task)}


def counted(task: ProbingTask) -> Tensor:
    """(X, V): the texts' mean codes of the token lookup that is fitted on the tokens of training texts."""
    trained = sorted({text for problem in task.problems for text in problem.items["train"]})
    text = torch.repeat_interleave(torch.arange(len(task.offsets) - 1), task.offsets.diff())
    rows = torch.isin(text, torch.tensor(trained))
    lookup = fit([(task.x[rows], task.ids[rows])], task.ids, task.x.shape[1])
    return pooled_lookup(lookup, task.ids, task.offsets)


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
