"""`absorption VARIANT`: first-letter absorption of a variant's SAEs, by projection and by ablation.

The language model is loaded only where it spells (tasks/letters/ablation.py); elsewhere the ablation's
values are missing with the reason. Tables: letters.tsv, words.tsv, predictions.tsv and ablation.tsv.
"""

from __future__ import annotations

from typing import Any, cast

from pipeline.console.errors import BadInput
from pipeline.lm.core.load import load_lm
from pipeline.lm.core.site import Site
from pipeline.metrics.absorption.evaluate import METRICS, TABLES, AblationSetup, Letters, unavailable
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.numbers.document import Measured, nothing
from pipeline.stages.common.evaluation import Control, Evaluation, Setting, evaluate, one_by_one
from pipeline.stages.common.files import LETTERS, LM
from pipeline.tasks.letters.ablation import AblationTask, CutModel, load_ablation
from pipeline.tasks.letters.saebench_probe import load_probe
from pipeline.tasks.letters.task import LetterTask, load_letters


def run(variant: str) -> None:
    """Measure every SAE of `variant` on the letter task."""
    evaluate("absorption", variant, AbsorptionSection, prepare)


def prepare(setting: Setting[AbsorptionSection]) -> Evaluation:
    """The letter task, and the language model where it spells."""
    section, task, prompts = setting.section, load_letters(LETTERS), load_ablation(LETTERS)
    without = nothing(METRICS, task) if isinstance(task, str) else unavailable(task, section)
    if isinstance(task, str) or without is not None:
        return Evaluation(METRICS, one_by_one(lambda _: cast(Measured, without)), TABLES)
    speller = prompts if isinstance(prompts, str) else _speller(prompts, task, setting)
    letters = Letters(task, load_probe(LETTERS), speller, section)
    # the letter task names the language model's weights
    control = Control(task.x, section.seed, letters.of_control, setting.memo({}, [LETTERS]))
    width = (task.x.shape[1], LETTERS)
    return Evaluation(METRICS, one_by_one(letters.of), TABLES, control=control, width=width)


def _speller(prompts: AblationTask, task: LetterTask, setting: Setting[Any]) -> AblationSetup:
    """Load the language model; raises BadInput unless it is the one that the prompts were made for."""
    lm = load_lm(LM, setting.device, setting.compute.lm_precision)
    if lm.weights_sha256 != prompts.facts["weights_sha256"]:
        raise BadInput(f"{LETTERS} was made for other weights than {LM}: run `dvc repro letter_task`.")
    return AblationSetup(prompts, CutModel.of(lm, Site("resid_post", int(task.facts["layer"]))))
