"""Steps on a GPU against the same steps on the CPU: `pytest -m gpu`, deselected where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.sae.core.topk import largest, row_top
from pipeline.store import Batch
from pipeline.training.trainer import Trainer
from tests.training import toy

STEPS = 4


@pytest.fixture(autouse=True)
def _full_precision() -> Iterator[None]:
    """No TF32, whose products have ten bits."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


def stepped(variant: str, device: str) -> Trainer:
    one, reader = toy.trainer(variant, device=device)
    for _ in range(STEPS):
        batch = reader.next()
        one.step(Batch(*(getattr(batch, name).to(device) for name in Batch.__dataclass_fields__)))
    return one


@pytest.mark.gpu
@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_steps_equal_the_cpus(variant: str) -> None:
    cpu, gpu = stepped(variant, "cpu"), stepped(variant, "cuda")
    assert gpu.diverged is None
    assert gpu.figures.keys() == cpu.figures.keys()
    for name, value in cpu.figures.items():
        assert gpu.figures[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
    for name, weight in cpu.weights.items():
        # a gradient near zero has Adam's sign from rounding: a few entries differ by a step's size
        apart = (gpu.weights[name].cpu() - weight).norm() / weight.norm().clamp_min(1e-3)
        assert float(apart.detach()) < 1e-3, name


@pytest.mark.gpu
def test_selection_equals_the_cpus() -> None:
    pre = torch.randn(64, 512, generator=torch.Generator().manual_seed(0))
    for select, count in ((row_top, 7), (largest, 300)):
        cpu, gpu = select(pre, count), select(pre.cuda(), count)
        assert sorted(gpu.flat.tolist()) == sorted(cpu.flat.tolist())
