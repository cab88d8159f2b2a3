"""Two processes over gloo against one: collectives, shared batches, and 200 steps of every variant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.console.errors import BadInput
from pipeline.parallel.world import ALONE, World
from pipeline.sae.method.batch_topk import batch_topk
from pipeline.store import Mode, Reader
from pipeline.store.order import cuts
from pipeline.training.job import Job
from pipeline.training.run import train
from tests.training import ranks, toy


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes wrote (tests/training/ranks.py)."""
    folder = tmp_path_factory.mktemp("ranks")
    ranks.start(["-m", "tests.training.ranks", str(folder)])
    return folder


@pytest.fixture(scope="module")
def notes(out: Path) -> list[dict[str, Any]]:
    return [json.loads((out / str(rank) / "notes.json").read_text()) for rank in range(2)]


def test_collectives(notes: list[dict[str, Any]]) -> None:
    for rank, found in enumerate(each["primitives"] for each in notes):
        assert found["sum"] == [3, 6]
        assert found["mine"] == [rank + 1, 2 * (rank + 1)]  # `sum` gives a copy
        assert found["transposed"] == [[1, 7], [3, 9], [5, 11]]
        assert found["any"] == [True, True, False]
        assert found["smallest"] == 5
        assert found["nothing"]
        assert found["gathered"] == [[[0, 1], [2, 3], [4, 5]], []]


@pytest.mark.parametrize("index", range(len(ranks.COUNTS)))
def test_batch_top_is_over_the_whole_batch(notes: list[dict[str, Any]], index: int) -> None:
    """Ties may be broken otherwise than in one process, but the same everywhere: the count is exact."""
    pre = ranks.pre()
    found = [each["primitives"]["chosen"][index] for each in notes]
    token = torch.tensor(found[0][0] + [4 + token for token in found[1][0]], dtype=torch.int64)
    latent = torch.tensor(found[0][1] + found[1][1], dtype=torch.int64)
    whole = batch_topk(pre, ranks.COUNTS[index])
    assert len(token) == len(whole)
    assert len(set(zip(token.tolist(), latent.tolist(), strict=True))) == len(token)
    assert torch.equal(pre[token, latent].sort().values, whole.at(pre).sort().values)


@pytest.mark.parametrize("mode", ["tokens", "pairs", "contexts"])
def test_the_parts_of_a_batch_are_the_batch(notes: list[dict[str, Any]], mode: Mode) -> None:
    reader = Reader(toy.store(), "train", mode, 64, 5, pool_rows=1500)
    for first, second in zip(*(each["batches"][mode] for each in notes), strict=True):
        batch = reader.next()
        assert first["context"] + second["context"] == batch.context.tolist()
        assert first["position"] + second["position"] == batch.position.tolist()
        assert first["sum"] + second["sum"] == batch.x.double().sum(1).tolist()
        if mode == "tokens":
            assert len(first["context"]) == 32
        else:
            assert first["context"][-1] != second["context"][0]


@pytest.mark.parametrize(("variant", "control"), ranks.ROWS)
def test_two_processes_follow_one(
    notes: list[dict[str, Any]], out: Path, variant: str, control: str | None
) -> None:
    """Every figure of each of 200 steps; loss and terms within 1e-5."""
    [alone] = ranks.run(variant, ALONE, control)
    label = alone.run.label
    log = notes[0]["logs"][label]
    assert notes[1]["logs"][label] == log
    assert len(log) == len(alone.log) == ranks.STEPS
    assert max(row["dead"] for row in log) > 0 or control
    if variant in ("topk", "batchtopk", "matryoshka"):
        assert any("auxk" in row for row in log)
    if variant == "jumprelu":
        assert any("pre_activation" in row for row in log)
    for shared, single in zip(log, alone.log, strict=True):
        assert shared.keys() == single.keys()
        assert shared["dead"] == single["dead"]
        for name in shared:
            # 1 - error / spread is rounded where it is 1, not where it is near 0
            least = 1e-6 if name == "explained_variance" else 1e-12
            assert shared[name] == pytest.approx(single[name], rel=1e-5, abs=least), (name, shared["step"])
    weights = [load_file(out / str(rank) / f"{label}.safetensors") for rank in range(2)]
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name])
        torch.testing.assert_close(tensor, getattr(alone.sae, name), rtol=1e-3, atol=1e-4)
    assert notes[0]["runs"][label]["l0"] == pytest.approx(alone.run.l0, rel=1e-3)


def test_divergence_is_agreed_on(notes: list[dict[str, Any]]) -> None:
    assert notes[0]["diverged"]["status"] == "diverged"
    assert notes[0]["diverged"] == notes[1]["diverged"]


def test_targets_take_turns(notes: list[dict[str, Any]]) -> None:
    """Two targets in one pass; each follows its single-process run."""
    alone = ranks.run("batchtopk", ALONE, l0=[2, 3], tokens=20 * 64)
    assert notes[0]["two"] == notes[1]["two"]
    for shared, single in zip(notes[0]["two"], alone, strict=True):
        assert [row["loss"] for row in shared] == pytest.approx([row["loss"] for row in single.log], rel=1e-5)


@pytest.mark.parametrize("variant", ranks.RESUMED)
def test_a_stopped_run_continues_bit_for_bit(notes: list[dict[str, Any]], variant: str) -> None:
    """The first process alone writes checkpoints, every process continues from them."""
    for found in notes:
        assert found["resumed"][variant]["steps"] == ranks.STEPS - ranks.SAVED
        assert found["resumed"][variant]["log"] == found["logs"][variant]


# --- what needs no second process


class Two(World):
    """Two processes as far as can be seen from outside."""

    size = 2


def test_cuts() -> None:
    context = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 3])
    assert cuts(context, "tokens", 4) == [0, 2, 5, 7, 10]
    assert cuts(context, "contexts", 2) == [0, 3, 10]
    assert cuts(context, "pairs", 3) == [0, 3, 3, 10]
    assert cuts(context, "contexts", 1) == [0, 10]


@pytest.mark.parametrize("mode", ["pairs", "contexts"])
def test_a_batch_of_one_context_cannot_be_shared(mode: Mode) -> None:
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    store = toy.Store.from_tensors(x)
    with pytest.raises(BadInput, match="too few contexts to be shared by 2 processes"):
        Reader(store, "train", mode, 32, 0, part=(0, 2)).next()


@pytest.mark.parametrize(("size", "world", "message"), [
    (2, ALONE, r"world_size = 2, but the command runs as 1 process"),
    (1, Two(), r"world_size = 1, but the command runs as 2 process"),
    (40, type("Forty", (World,), {"size": 40})(), "less than a pair of the 64 rows"),
])  # fmt: skip
def test_another_number_of_processes_is_refused(size: int, world: World, message: str) -> None:
    section = toy.section(world_size=size)
    with pytest.raises(BadInput, match=message):
        train(Job.of("topk", {}, 1), section, toy.store(), torch.device("cpu"), world=world)
