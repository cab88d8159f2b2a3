"""Evaluation of blocks whose rows are on a device, and whose places in the text are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.metrics.reconstruction.evaluate import Split, evaluate
from pipeline.metrics.reconstruction.measure import mean_activation
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch
from pipeline.store.blocks import blocks
from tests.emulated import DEVICE, emulated
from tests.metrics.codes import random_sae
from tests.sae.attending import attending
from tests.sae.windows import D, windowed
from tests.store import made

SAES = {
    "rows": random_sae(D, 18, k=2, seed=0),
    "window": windowed(),
    "stack": windowed(groups=3),
    "attention": attending(),
}


def evaluated(sae: SAE, device: torch.device) -> dict[str, float]:
    store = made.in_memory(30, 9, 2, d=D)

    def test() -> Iterator[Batch]:
        return blocks(store, 4, device)

    split = Split(test, test, mean_activation((block.x for block in test()), D), stop=30)
    [found] = evaluate([sae.to(device)], split, ReconstructionSection(resamples=100), lambda _: None)
    return {name: each.value for name, each in found.numbers.items() if each.value is not None}


@pytest.mark.parametrize("name", SAES)
def test_reconstruction_is_the_cpus(name: str) -> None:
    expected = evaluated(SAES[name], torch.device("cpu"))
    with emulated():
        found = evaluated(SAES[name], DEVICE)
    assert len(found) > 40
    assert found == pytest.approx(expected, rel=1e-5)
