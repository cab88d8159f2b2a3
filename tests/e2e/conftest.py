from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.clone import Clone, Outcome, working_tree
from tests.e2e.tiny import GIVEN, tiny, write_given


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Clone, Outcome]]:
    """The tiny graph, run once and committed, and what its `dvc repro` printed. Not to be changed."""
    clone = working_tree(tmp_path_factory.mktemp("e2e") / "first")
    clone.set_params(tiny(clone.params()))
    write_given(clone.root / GIVEN)
    clone.commit("Tiny parameters")
    outcome = Clone(clone.root, warm=True).dvc("repro")
    clone.commit("First run")
    yield clone, outcome
    shutil.rmtree(clone.root)


@pytest.fixture
def clone(first_run: tuple[Clone, Outcome], tmp_path: Path) -> Iterator[Clone]:
    """A copy of the first run, with its outputs and cache, for one test to change."""
    copy = first_run[0].copy(tmp_path / "clone")
    yield copy
    shutil.rmtree(copy.root)
