"""Rows `evaluate/*`: one evaluation of one SAE, beside sae-bench 0.6.0 on the same SAE, inputs and numbers.

The parity tests' world and calls, with a clock: what they prove equal is what is timed here. Both sides
run on one thread and in a process of their own, SAEBench in `.venv-parity`; of SAEBench's four SAEs the first
is left out, because it also pays for what is done once per model (words, letter probes, activations).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Timed

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / os.environ.get("SAEBENCH_PYTHON", ".venv-parity/bin/python")


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """core, absorption and probing."""
    from tests.parity import world as worlds

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        world = worlds.build(folder)
        torch.set_num_threads(1)
        for name, prepare in (("core", _core), ("absorption", _absorption), ("probing", _probing)):
            _saebench(name, folder)
            once, each = _timed(prepare, world, folder / "oracle" / name, worlds.ARCHITECTURES)
            theirs = json.loads((folder / "oracle" / f"{name}-times.json").read_text(encoding="utf-8"))
            record = {
                "shape": f"Gemma-2 of 3 layers, d {worlds.D}, n {worlds.N}, per SAE",
                "times": {"ours": each.record(), "SAEBench": _record(theirs[1:])},
                "once": {"ours": once, "SAEBench, first SAE": theirs[0]["cpu"]},
            }
            yield f"evaluate/{name}", record


def _saebench(name: str, folder: Path) -> None:
    kept = {key: os.environ[key] for key in ("PATH", "OMP_WAIT_POLICY") if key in os.environ}
    own = {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "MPLCONFIGDIR": str(folder / "mpl"),
           "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = [str(PYTHON), "-W", "ignore", "-m", "benchmarks.saebench", name, str(folder)]
    done = subprocess.run(command, cwd=folder, env=kept | own, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"SAEBench failed:\n{done.stderr[-3000:]}")


def _timed(prepare: Callable[..., Any], world: Any, found: Path, sae_names: Any) -> tuple[float, Timed]:
    """CPU seconds of the model's part, and each SAE's, the first left out as SAEBench's is."""
    start = time.process_time()
    evaluate = prepare(world, found)
    once, timed = time.process_time() - start, Timed()
    for place, architecture in enumerate(sae_names):
        wall, cpu = time.perf_counter(), time.process_time()
        evaluate(architecture)
        if place:
            timed.wall.append(time.perf_counter() - wall)
            timed.cpu.append(time.process_time() - cpu)
    return once, timed


def _record(theirs: list[dict[str, float]]) -> dict[str, Any]:
    timed = Timed([each["wall"] for each in theirs], [each["cpu"] for each in theirs])
    return timed.record()


def _core(world: Any, found: Path) -> Callable[[str], Any]:
    from pipeline.sae.core.folder import load_sae
    from tests.parity import test_core as core

    def evaluate(architecture: str) -> None:
        # the model's clean logits are taken again for each SAE here; the stage takes them once
        theirs, batches = core.drawn(found, architecture)
        sae = load_sae(world.sae_folder(architecture))[0]
        first = theirs["reconstruction_batches"]
        core.behavior(world, sae, batches[:first])
        list(core.reconstruction(world, sae, batches[first:])[1].latents())

    return evaluate


def _absorption(world: Any, found: Path) -> Callable[[str], Any]:
    from pipeline.metrics.absorption.results import letter_rows, values
    from pipeline.sae.core.folder import load_sae
    from tests.parity import test_absorption as absorption

    drawn = absorption.Drawn.of(found, "topk")
    train = absorption.residuals(world, drawn.words["train"]["prompt"])
    task = absorption.task_of(world, drawn)

    def evaluate(architecture: str) -> None:
        one = absorption.Drawn.of(found, architecture)
        sae = load_sae(world.sae_folder(architecture))[0]
        predicted = absorption.k_sparse(one, sae, train, task.x) > 0
        measured = absorption.measured(one, task, sae, predicted[0])
        values(measured, task, absorption.SECTION)
        list(letter_rows(measured, task, absorption.SECTION))

    return evaluate


def _probing(world: Any, found: Path) -> Callable[[str], Any]:
    from pipeline.metrics.probing.pooling import pooled_codes
    from pipeline.sae.core.folder import load_sae
    from tests.parity import test_probing as probing
    from tests.parity.world import D

    task, place = probing.texts_of(world, found)

    def evaluate(architecture: str) -> None:
        # the raw residual's probes are fitted again for each SAE here, as SAEBench does
        codes = pooled_codes(load_sae(world.sae_folder(architecture))[0], task.x, task.offsets)
        features = {D: task.mean, codes.shape[1]: codes}
        probing.pairs_of(world, found, architecture, features, task, place)

    return evaluate
