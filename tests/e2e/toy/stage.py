"""`toy VARIANT`: the share of long encoder columns."""

from __future__ import annotations

import torch
from pipeline.metrics.toy.measure import METRICS, TABLES, measure
from pipeline.metrics.toy.section import ToySection

from pipeline.stages.common.evaluation import Control, Evaluation, Setting, evaluate, one_by_one
from pipeline.stages.common.files import ACTIVATIONS
from pipeline.store import open_store


def run(variant: str) -> None:
    """Measure every SAE of `variant`."""
    evaluate("toy", variant, ToySection, prepare)


def prepare(setting: Setting[ToySection]) -> Evaluation:
    """The control's centre is the mean activation."""
    section, centre = setting.section, torch.tensor(open_store(ACTIVATIONS).attrs.mean).float()[None]
    memo = setting.memo({"centre": centre.tolist()})
    return Evaluation(
        METRICS, one_by_one(lambda sae: measure(sae, section)), TABLES,
        control=Control(centre, section.seed, lambda sae: measure(sae, section).numbers, memo),
    )  # fmt: skip
