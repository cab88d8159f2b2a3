from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.params.compute import ComputeSection


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_apply_sets_threads_and_gives_the_device() -> None:
    device = ComputeSection.parse({"device": "cpu", "threads": 1}, "compute").apply()
    assert device == torch.device("cpu")
    assert torch.get_num_threads() == 1


def test_zero_threads_are_refused() -> None:
    with pytest.raises(BadInput, match=r"compute\.threads"):
        ComputeSection.parse({"device": "cpu", "threads": 0}, "compute")


def test_cuda_without_a_gpu_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # restored afterwards
    with pytest.raises(BadInput, match="no GPU"):
        ComputeSection.parse({"device": "cuda", "threads": 1}, "compute").apply()
