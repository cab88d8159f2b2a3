"""The stage `train` on a small store on disk: what it writes, twice the same, killed and resumed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from pipeline.console.errors import BadInput
from pipeline.parallel.workers import WORKERS
from pipeline.sae.core.folder import load_sae
from pipeline.sae.core.index import read_index
from pipeline.stages import train
from pipeline.stages.common.saes import trained_saes
from pipeline.store import Writer
from pipeline.store.schema import Header
from tests.common import ROOT
from tests.stages.keyed import deaf_to, named
from tests.training import toy

PARAMS = """\
profile: tiny
profiles:
  tiny:
    compute: {{device: cpu, threads: 1}}
    train:
      {{n: 48, l0: {l0}, tokens: {tokens}, batch: {batch}, lr: {lr}, dead_tokens: 256, validation_tokens: 256,
       log_every: 10, checkpoint_every: 20}}
{section}
"""
KILLED_AFTER = """\
import os, signal, torch
from pipeline.parallel.workers import WORKERS
from pipeline.stages import train
from pipeline.training.trainer import Trainer

stage = os.getpid()
left, step = {steps}, Trainer.step

def counted(self, batch, logged):
    global left
    step(self, batch, logged)
    left -= 1
    if left == 0:
        os.kill(stage, signal.SIGKILL)

Trainer.step = counted
train.run({variant!r}, 7)
"""


def make_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to `folder` and write the toy store there."""
    monkeypatch.chdir(folder)
    x, document = toy.rows(contexts=120)
    length = toy.T
    tokens = np.ones((120, length), dtype=np.int32)
    tokens[:, 0] = toy.BOS
    header = Header(
        model_id="toy", revision=None, weights_sha256="ab", tokenizer_hash="cd", layer=2,
        hook_name="blocks.2.hook_resid_post", d=toy.D, context_length=length, special_ids=[toy.BOS],
        splits={"train": [0, 90], "validation": [90, 110], "test": [110, 120]}, logical_dtype="float32",
        codec="none", chunk_contexts=30,
    )  # fmt: skip
    ids = document.numpy().astype(np.int32).reshape(120, length)
    writer = Writer(Path("data/activations"), header, tokens, ids)
    for chunk in range(writer.chunks):
        span = writer.span(chunk)
        writer.write(chunk, x.view(120, length, toy.D)[span.start : span.stop])
    writer.finish()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKERS, "1")
    make_store(tmp_path, monkeypatch)


def params(
    section: str, l0: str = "[2, 5]", tokens: int = 60 * 64, batch: int = 64, lr: str = "3.0e-3"
) -> None:
    text = PARAMS.format(l0=l0, tokens=tokens, batch=batch, lr=lr, section=section)
    Path("params.yaml").write_text(text)


def contents(variant: str) -> dict[str, bytes]:
    folder = Path("models/sae") / variant / "7"
    return {
        f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()
    }


def test_what_a_run_leaves() -> None:
    params("standard: {controls: [pairs]}")
    train.run("standard", 7)
    folder = Path("models/sae/standard/7")
    names = ["l0-2", "l0-5", "pairs-l0-2", "pairs-l0-5"]
    assert sorted(contents("standard")) == sorted(
        [
            "index.json",
            *(f"{n}/{f}" for n in names for f in ("cfg.json", "sae_weights.safetensors", "training.tsv")),
        ]
    )
    runs = read_index(folder)
    assert [run.name for run in runs] == names
    assert [run.label for run in runs] == ["standard", "standard", "standard (pairs)", "standard (pairs)"]
    sae, cfg = load_sae(folder / "l0-5")
    assert (sae.d, sae.n, cfg["metadata"]["layer"]) == (toy.D, 48, 2)
    assert cfg["metadata"]["training_tokens"] == 60 * 64
    assert cfg["metadata"]["hook_name"] == "blocks.2.hook_resid_post"
    with (folder / "l0-5/training.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["step"] for row in rows] == ["10", "20", "30", "40", "50", "60"]
    assert float(rows[-1]["coefficient"]) == pytest.approx(float(runs[1].coefficient or 0), rel=0.2)
    assert not [*Path(".scratch").iterdir()]  # checkpoints are gone
    assert [one.run for one in trained_saes("standard", [7])] == runs


def test_method_statistics_and_gap_lie_beside_the_weights() -> None:
    params("atm: {sharpness: 2.0}")
    train.run("atm", 7)
    folder = Path("models/sae/atm/7/l0-5")
    statistics = load_file(folder / "statistics.safetensors")
    assert set(statistics) == {"magnitude", "frequency", "contribution", "importance", "mask"}
    assert all(t.shape == (48,) for t in statistics.values())
    gap = json.loads((folder / "gap.json").read_text())
    assert gap["training"]["l0"] < gap["inference"]["l0"]


@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_any_number_of_processes_gives_the_same_bytes(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    params(f"{variant}: {{}}")
    train.run(variant, 7)
    first = contents(variant)
    shutil.rmtree("models")
    monkeypatch.setenv(WORKERS, "2")
    train.run(variant, 7)
    assert contents(variant) == first
    assert first


@pytest.mark.parametrize(
    ("variant", "steps", "workers"),
    [("temporal", 70, "1"), ("atm", 119, "1"), ("standard", 190, "1"), ("topk", 10, "1"), ("topk", 50, "2")],
)
def test_killed_and_resumed_gives_the_same_bytes(variant: str, steps: int, workers: str) -> None:
    """SIGKILL of the stage after `steps` steps of a process (standard: within its control reading), again."""
    section = "{controls: [pairs]}" if variant == "standard" else "{}"
    params(f"{variant}: {section}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), WORKERS: workers}
    script = KILLED_AFTER.format(steps=steps, variant=variant)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not Path("models").exists()
    left = [*Path(".scratch").rglob("state.json")]
    assert bool(left) == (steps >= 20)
    counted = steps_taken(variant)
    resumed = contents(variant)
    shutil.rmtree("models")
    assert steps_taken(variant) > counted or not left
    assert contents(variant) == resumed


def steps_taken(variant: str) -> int:
    """Run the stage and count its steps."""
    from pipeline.training.trainer import Trainer

    real, taken = Trainer.step, []

    def counted(self: Trainer, batch: Any, logged: bool) -> None:
        taken.append(1)
        real(self, batch, logged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", counted)
        train.run(variant, 7)
    return len(taken)


def test_a_changed_param_starts_afresh() -> None:
    params("topk: {}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = KILLED_AFTER.format(steps=90, variant="topk")
    subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=False)
    params("topk: {lr_scale: 0.5}")
    assert steps_taken("topk") == 120
    assert not [*Path(".scratch").iterdir()]  # what the killed run left is of no use any more


def test_divergence_ends_the_stage_normally() -> None:
    params("jumprelu: {}", lr="1.0e+6")
    train.run("jumprelu", 7)
    for one in trained_saes("jumprelu", [7]):
        assert one.run.status == "diverged"
        assert one.run.reason
    json.loads(Path("models/sae/jumprelu/7/index.json").read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("variant", "section", "changes", "message"),
    [
        ("topk", "topk: {}", {"l0": "[49]"}, "dictionary size"),
        ("topk", "topk: {}", {"batch": 63}, "even"),
        ("topk", "topk: {}", {"tokens": 10}, "no step"),
        ("topk", "topk: {}", {"batch": 4096, "tokens": 99999}, "fewer than one batch"),
        ("topk", "topk: {lr_scal: 1.0}", {}, "lr_scal"),
        ("topk", "topk:", {}, "must be a section"),
        ("topk", "atm: {}", {}, "missing"),
        ("toppk", "toppk: {}", {}, "unknown"),
    ],
)
def test_bad_input_leaves_nothing(variant: str, section: str, changes: dict[str, Any], message: str) -> None:
    params(section, **changes)
    with pytest.raises(BadInput, match=message):
        train.run(variant, 7)
    assert not Path("models").exists()


def test_a_store_that_is_not_there() -> None:
    params("topk: {}")
    shutil.rmtree("data")
    with pytest.raises(BadInput, match="harvest"):
        train.run("topk", 7)


def test_scratch_is_named_by_all_that_is_declared() -> None:
    def run() -> None:
        train.run("topk", 7)

    params("topk: {}")
    assert deaf_to(train, run, "train@topk") == []
    before, _ = named(train, run)
    params("topk: {lr_scale: 0.5}")
    assert named(train, run)[0] != before
    params("topk: {}", lr="2.0e-3")
    assert named(train, run)[0] != before
