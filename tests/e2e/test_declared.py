"""dvc.yaml declares everything that a result depends on, and the same inputs give the same bytes.

Each stage of the tiny graph runs once more in a folder that holds only its declared files and
parameters, under a tracer. A second process, another folder, no cache: bytes equal to the first
run's are also the proof that two clean runs agree, stage by stage.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.clone import Clone, Outcome
from tests.e2e.sandbox import Stage, build, content, trace, undeclared
from tests.e2e.tiny import all_stages

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def locked(clone: Clone, name: str) -> Stage:
    return Stage.read(name, clone.lock()[name])


@pytest.mark.parametrize("name", sorted(all_stages()))
def test_a_stage_needs_only_what_it_declares(
    first_run: tuple[Clone, Outcome], tmp_path: Path, name: str
) -> None:
    clone = first_run[0]
    stage = locked(clone, name)
    sandbox = build(stage, clone, tmp_path / "sandbox")
    assert undeclared(stage, trace(stage, sandbox, tmp_path / "notes.json")) == []
    assert content(sandbox.root, stage.outs) == content(clone.root, stage.outs)
    shutil.rmtree(sandbox.root)


PLANTED = """
from pathlib import Path
import pipeline.tasks.common.batches
from pipeline.params import read_params
Path("README.md").read_text()
Path("models").mkdir(exist_ok=True)
Path("models/notes.txt").write_text("")
read_params().value("behavior")
"""


def test_planted_inputs_are_caught(first_run: tuple[Clone, Outcome], tmp_path: Path) -> None:
    clone = first_run[0]
    stage = locked(clone, "reconstruction@atm")
    sandbox = build(stage, clone, tmp_path / "sandbox")
    (sandbox.root / "README.md").write_text("not declared\n")
    batches = (
        "pipeline/tasks/common/batches.py"  # beside its package file, which holds no code and is always there
    )
    shutil.copy2(clone.root / batches, sandbox.root / batches)
    sandbox.set_params({**sandbox.params(), "behavior": 1})
    with (sandbox.root / "pipeline/stages/reconstruction.py").open("a", encoding="utf-8") as file:
        file.write(PLANTED)
    assert undeclared(stage, trace(stage, sandbox, tmp_path / "notes.json")) == [
        "imports pipeline/tasks/common/batches.py",
        "reads README.md",
        "reads pipeline/tasks/common/batches.py",
        "writes models/notes.txt",
        "reads the parameter behavior",
    ]


def test_a_missing_declaration_stops_the_stage(first_run: tuple[Clone, Outcome], tmp_path: Path) -> None:
    """A read that raises no audit event has nothing to read in the sandbox."""
    clone = first_run[0]
    stage = locked(clone, "reconstruction@atm")
    sandbox = build(stage, clone, tmp_path / "sandbox")
    for weights in sandbox.root.glob("models/sae/atm/**/*.safetensors"):
        weights.unlink()
    with pytest.raises(AssertionError, match="safetensors"):
        trace(stage, sandbox, tmp_path / "notes.json")
