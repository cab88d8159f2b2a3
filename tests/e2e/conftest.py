from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from filelock import FileLock

from tests.e2e.clone import Clone, Outcome, working_tree
from tests.e2e.tiny import GIVEN, tiny, write_given


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Outcome]:
    """The tiny graph, run once and committed, and what its `dvc repro` printed. Not to be changed.

    Test processes side by side (pytest-xdist) share one; pytest removes it with the session's folder.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    root, printed = shared / "e2e-first", shared / "e2e-first.json"
    with FileLock(shared / "e2e-first.lock"):
        if not printed.exists():
            printed.write_text(json.dumps(asdict(_run_first(root))), encoding="utf-8")
    return Clone(root), Outcome(**json.loads(printed.read_text(encoding="utf-8")))


def _run_first(root: Path) -> Outcome:
    clone = working_tree(root)
    clone.set_params(tiny(clone.params()))
    write_given(clone.root / GIVEN)
    clone.commit("Tiny parameters")
    outcome = Clone(clone.root, warm=True).dvc("repro")
    clone.commit("First run")
    return outcome


@pytest.fixture
def clone(first_run: tuple[Clone, Outcome], tmp_path: Path) -> Iterator[Clone]:
    """A copy of the first run, with its outputs and cache, for one test to change."""
    copy = first_run[0].copy(tmp_path / "clone")
    yield copy
    shutil.rmtree(copy.root)
