"""All that is measured of one SAE on the first-letter task: by projection, by ablation, as SAEBench does."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.metrics.absorption import ablation_results, metrics, results, saebench
from pipeline.metrics.absorption.ablation import Ablated, ablate
from pipeline.metrics.absorption.measure import Absorption, measure
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.common.context import no_context
from pipeline.numbers.document import Measured, nothing
from pipeline.numbers.number import Number
from pipeline.numbers.table import Columns
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.ablation import AblationTask, CutModel
from pipeline.tasks.letters.saebench_probe import Probe
from pipeline.tasks.letters.task import LetterTask

METRICS = metrics.METRICS + ablation_results.METRICS + saebench.METRICS
TABLES: dict[str, Columns] = metrics.TABLES | ablation_results.TABLES


@dataclass(frozen=True)
class AblationSetup:
    """The language model, and the prompts that it answers."""

    prompts: AblationTask
    model: CutModel


@dataclass(frozen=True)
class Letters:
    """What SAEs are measured on; `speller` may be the reason why the model cannot be asked."""

    task: LetterTask
    probe: Probe
    speller: AblationSetup | str
    section: AbsorptionSection

    def of(self, sae: SAE) -> Measured:
        """What is measured of one SAE; nothing of one that reads more than the word's own row."""
        if sae.context > 1:
            return nothing(METRICS, no_context(sae, "the letter task keeps"))
        found = measure(sae, self.task, self.section)
        numbers = results.values(found, self.task, self.section)
        numbers |= saebench.values(sae, self.task, self.probe, self.section)
        tables = results.tables(found, self.task, self.section)
        if isinstance(self.speller, str):
            silent = nothing(ablation_results.METRICS, self.speller)
            return Measured(numbers | dict(silent.numbers), tables)
        kept, prompts = results.kept_letters(self.task, self.section), self.speller.prompts
        ablated = self._ablated(sae, found, self.speller)
        numbers |= ablation_results.values(ablated, prompts, kept, self.section)
        rows = ablation_results.rows(ablated, self.task, prompts)
        return Measured(numbers, {**tables, ablation_results.ABLATION: rows})

    def of_control(self, sae: SAE) -> dict[str, Number]:
        """What is measured of an untrained SAE: nothing by SAEBench's recipe."""
        found = measure(sae, self.task, self.section)
        numbers = results.values(found, self.task, self.section)
        if not isinstance(self.speller, str):
            kept = results.kept_letters(self.task, self.section)
            ablated = self._ablated(sae, found, self.speller)
            numbers["mean_ablation_absorption"] = ablation_results.estimated(ablated, kept, self.section)
        return numbers

    def _ablated(self, sae: SAE, found: Absorption, speller: AblationSetup) -> Ablated:
        kept = results.kept_letters(self.task, self.section)
        return ablate(sae, found.splits, self.task, speller.prompts, speller.model, kept, self.section)


def unavailable(task: LetterTask, section: AbsorptionSection) -> Measured | None:
    """What to report of every SAE when too few letters can be measured, else None."""
    few = results.too_few(task, section)
    if few is None:
        return None
    known, reason = few
    return Measured({**nothing(METRICS, reason).numbers, **known})
