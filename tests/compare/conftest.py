"""A made-up world and its scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.compare.outcomes import Answers, answers
from pipeline.compare.paired.comparison import families
from pipeline.compare.paired.reached import reached
from pipeline.compare.planned import Plan
from pipeline.compare.report import Report, report
from pipeline.compare.scores import Scores, gather
from pipeline.compare.standing import Level, standing
from pipeline.params.experiment import Experiment
from pipeline.params.read import read_params
from pipeline.stages.compare import evaluations, indices
from tests.compare.fake import World

NOTHING: Answers = answers(Plan([], []))
"""No comparison was named in advance."""


def tables(scores: Scores) -> Report:
    """The tables of SAEs that are told apart by their seeds only."""
    return report(scores, families(scores, {}, {}), reached(scores, {}))


def told(scores: Scores) -> list[Level]:
    """Who leads and who differs, by seeds only."""
    return standing(scores, families(scores, {}, {}))


def gathered() -> Scores:
    """The scores of the current folder."""
    experiment = Experiment.read(read_params())
    return gather(indices(experiment), list(evaluations(experiment).values()))


@pytest.fixture(name="gather")
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[World], Scores]:
    def made(world: World) -> Scores:
        world.write(tmp_path)
        monkeypatch.chdir(tmp_path)
        return gathered()

    return made
