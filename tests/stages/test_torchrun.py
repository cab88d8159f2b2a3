"""The stages `harvest` and `train` as two processes that torchrun starts on this machine."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.console import app as command_line
from pipeline.console.errors import BadInput
from pipeline.sae.core.index import read_index
from pipeline.stages import harvest, train
from tests.common import ROOT
from tests.stages import test_harvest, test_train
from tests.stages.test_harvest import Counter, digests

STANDALONE = "--standalone --nproc-per-node 2"
KILLED = """\
import os, signal
from pipeline.stages import harvest
from pipeline.store import Writer
write = Writer.write
def once(self, chunk, x):
    write(self, chunk, x)
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
Writer.write = once
harvest.run()
"""

here = test_harvest.here


@pytest.fixture
def toy_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test_train.make_store(tmp_path, monkeypatch)


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in the current folder."""
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_two_processes_harvest_the_same_bytes(here: Path) -> None:
    harvest.run()
    alone = digests(Path("data/activations"))
    done = python("-m", "pipeline", "harvest", SAELINE_TORCHRUN=STANDALONE)
    assert done.returncode == 0, done.stderr
    assert "harvest 1 of 2: 88 tokens" in done.stderr
    assert "harvest 2 of 2: 72 tokens" in done.stderr
    assert digests(Path("data/activations")) == alone
    assert test_harvest.scratch_folders() == []


def test_a_killed_process_is_made_up_for(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("killed.py").write_text(KILLED)
    done = python("-m", "torch.distributed.run", *STANDALONE.split(), "killed.py")
    assert done.returncode != 0
    assert not Path("data/activations").exists()
    [folder] = Path(".scratch").iterdir()
    finished = {int(path.name.split(".")[1]) for path in folder.glob("activations/c.*.0")}
    assert 1 in finished
    counter = Counter(monkeypatch)
    harvest.run()
    assert counter.chunks == sorted({*range(7)} - finished)
    resumed = digests(Path("data/activations"))
    harvest.run()
    assert digests(Path("data/activations")) == resumed


def losses(target: int) -> list[float]:
    with Path(f"models/sae/matryoshka/7/l0-{target}/training.tsv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file, delimiter="\t")]


def test_a_stage_starts_its_own_processes(toy_store: None) -> None:
    """The command is the one of dvc.yaml; the parameter alone makes it two processes."""
    test_train.params("matryoshka: {}")
    train.run("matryoshka", 7)
    alone = [losses(target) for target in (2, 5)]
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("{n: 48,", "{n: 48, world_size: 2,"))
    done = python("-m", "pipeline", "train", "matryoshka", "7")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("train matryoshka 7: 7,680 tokens") == 1
    assert [run.status for run in read_index(Path("models/sae/matryoshka/7"))] == ["ok", "ok"]
    for target, expected in zip((2, 5), alone, strict=True):
        assert losses(target) == pytest.approx(expected, rel=1e-5)
    assert not [*Path(".scratch").iterdir()]
    metadata = json.loads(Path("models/sae/matryoshka/7/l0-2/cfg.json").read_text())["metadata"]
    assert metadata["training_tokens"] == 60 * 64


def launched_as(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(size))
    monkeypatch.setenv("RANK", "0")


def test_a_launch_that_the_parameter_does_not_name(toy_store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    test_train.params("topk: {}")
    launched_as(monkeypatch, 4)
    with pytest.raises(BadInput, match="world_size = 1, but the command runs as 4 process"):
        train.run("topk", 7)
    assert not Path("models").exists()


def test_torchrun_with_one_process_is_no_other_run(toy_store: None, monkeypatch: pytest.MonkeyPatch) -> None:
    test_train.params("topk: {}", l0="[2]")
    train.run("topk", 7)
    alone = test_train.contents("topk")
    launched_as(monkeypatch, 1)
    train.run("topk", 7)
    assert test_train.contents("topk") == alone


def test_other_stages_refuse_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    launched_as(monkeypatch, 2)
    monkeypatch.setattr(sys, "argv", ["pipeline", "compare"])
    with pytest.raises(BadInput, match="`compare` runs as one process"):
        command_line.app(standalone_mode=False)
