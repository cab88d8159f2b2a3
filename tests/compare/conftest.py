"""A made-up world and its board."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline.compare.board import Board, board
from pipeline.compare.table import Report, report

from pipeline.compare.paired.comparison import families
from pipeline.stages.compare import GIVEN, _given_index, _index, _results
from pipeline.stages.files import EVALUATIONS
from tests.compare.fake import World


def tables(whole: Board) -> Report:
    """The tables of a board whose rows are told apart by their seeds only."""
    return report(whole, families(whole, {}))


@pytest.fixture
def gather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[World], Board]:
    def build(world: World) -> Board:
        world.write(tmp_path)
        monkeypatch.chdir(tmp_path)
        return board(
            {(v, s): _index(v, s) for v in world.variants for s in world.seeds}
            | {(name, 0): _given_index(name) for name in world.given},
            {(stage, v): _results(stage, v) for stage in EVALUATIONS for v in world.variants}
            | {(stage, name): _results(stage, name) for stage in GIVEN for name in world.given},
        )

    return build
