"""Bases: a method whose mechanism is off is its base's plain method, and what is saved is the base's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.training.job import Job
from tests.training import toy

STEPS: dict[str, Any] = {"tokens": 80 * 64, "dead_tokens": 256}
OFF: dict[str, dict[str, Any]] = {
    "atm": {"sharpness": 0.0},
    "temporal": {"temporal_penalty": False, "resampling": False, "gradient_scaling": False},
    "tsae": {"weight": 0.0, "boost": 1.0},
}
CONTROL = {"atm": None, "temporal": "pairs", "tsae": "contexts"}
PLAIN = {"l1": "standard", "batchtopk": "batchtopk"}


def weights(one: Any) -> dict[str, Tensor]:
    return {name: value for name, value in vars(one.sae).items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("base", PLAIN)
@pytest.mark.parametrize("variant", OFF)
def test_without_its_mechanism_a_method_is_its_base_bit_for_bit(variant: str, base: str) -> None:
    [off] = toy.trained(variant, {**OFF[variant], "base": base}, **STEPS)
    [plain] = toy.trained(PLAIN[base], control=CONTROL[variant], **STEPS)
    assert off.sae.architecture == plain.sae.architecture == {"l1": "standard"}.get(base, "jumprelu")
    assert weights(off).keys() == weights(plain).keys()
    for name, value in weights(off).items():
        assert torch.equal(value, weights(plain)[name]), name
    assert off.run.l0 == plain.run.l0
    assert (off.run.coefficient is None) == (base == "batchtopk")


@pytest.mark.parametrize("variant", [*OFF, "contrastive"])
def test_the_mechanism_changes_the_codes_on_the_other_base_too(variant: str) -> None:
    """On BatchTopK each term and the mask move weights; on L1 contrastive's does."""
    other = "l1" if variant == "contrastive" else "batchtopk"
    off = OFF.get(variant, {"weight": 0.0})
    [with_it], [without] = (toy.trained(variant, {"base": other, **v}, **STEPS) for v in ({}, off))
    assert not torch.equal(with_it.sae.W_enc, without.sae.W_enc)


@pytest.mark.parametrize(("variant", "control"), [
    ("atm", "batchtopk_base"), ("temporal", "batchtopk_base"), ("tsae", "batchtopk_base"),
    ("contrastive", "l1_base"),
])  # fmt: skip
def test_the_control_on_the_other_base_meets_the_l0_target(variant: str, control: str) -> None:
    """300 steps, so that a threshold or a coefficient has time."""
    sizes: dict[str, Any] = {"tokens": 300 * 64, "dead_tokens": 4096, "log_every": 50}
    [one] = toy.trained(variant, {"weight": 0.01} if variant != "atm" else {}, control=control, **sizes)
    assert one.run.l0 == pytest.approx(3, rel=0.2)
    assert one.sae.architecture == ("standard" if control == "l1_base" else "jumprelu")


def test_hard_inference_keeps_the_threshold_of_the_rest() -> None:
    """atm on BatchTopK: removed latents at infinity, the others at the learnt threshold."""
    [one] = toy.trained("atm", {"base": "batchtopk", "inference": "hard"}, **STEPS)
    [soft] = toy.trained("atm", {"base": "batchtopk"}, **STEPS)
    assert one.sae.threshold is not None
    assert soft.sae.threshold is not None
    removed = one.sae.threshold.isinf()
    assert 0 < int(removed.sum()) < 48
    assert torch.equal(one.sae.threshold[~removed], soft.sae.threshold[~removed])


@pytest.mark.parametrize("variant", OFF)
def test_a_papers_preset_stands_on_l1(variant: str) -> None:
    with pytest.raises(BadInput, match="preset has base l1"):
        Job.of(variant, {"preset": "paper", "base": "batchtopk"}, 1)
