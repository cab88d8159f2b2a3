"""`probing VARIANT`: k-sparse probing of every SAE of one variant, beside the raw residual stream.

Tables: problems.tsv and items.tsv (whether each probe is right on each text, for paired comparisons).
"""

from __future__ import annotations

from pipeline.metrics.probing.evaluate import Texts, metrics, raw
from pipeline.metrics.probing.results import tables
from pipeline.metrics.probing.section import ProbingSection
from pipeline.stages.common.evaluation import Control, Evaluation, Setting, evaluate, one_by_one
from pipeline.stages.common.files import PROBING
from pipeline.tasks.probing.task import load_probing


def run(variant: str) -> None:
    """Measure every SAE of `variant` on the labelled texts."""
    evaluate("probing", variant, ProbingSection, prepare)


def prepare(setting: Setting[ProbingSection]) -> Evaluation:
    """The labelled texts, and what the raw residual stream gives on them."""
    section, task, memo = setting.section, load_probing(PROBING), setting.memo({}, [PROBING])
    texts = Texts(task, section, memo.get("raw", lambda: raw(task, section)))
    return Evaluation(
        metrics(task, section), one_by_one(texts.of), tables(section.k),
        control=Control(task.x, section.seed, texts.of_control, memo), width=(task.x.shape[1], PROBING),
    )  # fmt: skip
