"""Controls: what each changes of its method, how it is named, and that it has as many tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.training.job import Job, method
from pipeline.training.run import train
from tests.training import toy

CPU = torch.device("cpu")
ALL = [(variant, control) for variant in toy.VARIANTS for control in method(variant)[0].known]
TWINS = [(variant, control) for variant, control in ALL if control == "shuffled"]


def test_the_temporal_methods_that_read_neighbours_have_twins() -> None:
    readings = {variant: method(variant)[1].reading for variant, _ in TWINS}
    assert readings == {each: method(each)[1].reading for each in toy.VARIANTS
                        if method(each)[1].reading != "tokens"}  # fmt: skip
    for variant, control in TWINS:
        assert Job.of(variant, {}, 1, control).reading == f"shuffled {readings[variant]}"


@pytest.mark.parametrize(("variant", "control"), ALL)
def test_a_control_differs_in_what_it_says_alone(variant: str, control: str) -> None:
    job = Job.of(variant, {"lr_scale": 3.0, "controls": [control]}, 1)
    twin = replace(job, control=control)
    declared = job.config.known[control]
    assert job.controls == [None, control]
    changed = {name for name, value in vars(twin.settings).items() if value != getattr(job.config, name)}
    assert changed - {"controls"} == {
        name for name, value in declared.values.items() if value != getattr(job.config, name)
    }
    assert (twin.reading != job.reading) == (declared.reading is not None)
    assert changed - {"controls"} or declared.reading
    assert len(declared.why) < 100
    assert "\n" not in declared.why


@pytest.mark.parametrize(("variant", "control"), ALL)
def test_a_control_trains_beside_its_method(variant: str, control: str) -> None:
    """Another SAE from the same number of tokens, named after both."""
    values = {"lr_scale": 8.0}  # rows must turn far enough for a soft-frozen decoder to be held
    [own], [one] = toy.trained(variant, values), toy.trained(variant, values, control=control)
    assert (one.run.name, one.run.label) == (f"{control}-l0-3", f"{variant} ({control})")
    assert (one.run.variant, one.run.control) == (variant, control)
    assert one.log[-1]["tokens"] == own.log[-1]["tokens"]
    assert not torch.equal(one.sae.W_enc, own.sae.W_enc)


@pytest.mark.parametrize(("variant", "control"), ALL)
def test_a_control_continues_bit_for_bit(variant: str, control: str, tmp_path: Path) -> None:
    """Stopped after its checkpoint at step 40 and continued."""
    values: dict[str, Any] = {"lr_scale": 2.0}
    section, source = toy.section(dead_tokens=256), toy.store()
    job = Job.of(variant, values, 1, control)
    [whole] = train(job, section, source, CPU)
    left = 50

    class Stop(Exception):
        pass

    def stop(tokens: int, figures: dict[str, float]) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Stop

    with pytest.raises(Stop):
        train(job, section, source, CPU, stop, tmp_path)
    [resumed] = train(job, section, source, CPU, checkpoint=tmp_path)
    assert toy.same(whole, resumed)


def test_values_of_a_control() -> None:
    """`control_values` hold for the control alone, above what the control itself changes."""
    values = {"lr_scale": 8.0, "controls": ["pairs"], "control_values": {"pairs": {"lr_scale": 2.0}}}
    job = Job.of("standard", values, 1)
    section = toy.section()
    assert job.recipe(section).lr == pytest.approx(8 * section.lr)
    assert replace(job, control="pairs").recipe(section).lr == pytest.approx(2 * section.lr)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"controls": ["shuffled"]}, "`shuffled` is no control of this method .pairs, contexts."),
        ({"controls": ["pairs", "pairs"]}, "twice"),
        ({"control_values": {"twin": {}}}, "`twin` is no control"),
    ],
)
def test_what_is_no_control_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Job.of("standard", values, 1)


def test_a_value_that_does_not_fit_a_control_is_refused() -> None:
    job = Job.of("standard", {"control_values": {"pairs": {"lr_scal": 2.0}}}, 1, "pairs")
    with pytest.raises(BadInput, match=r"standard \(pairs\).lr_scal"):
        train(job, toy.section(), toy.store(), CPU)


def test_a_twin_loses_what_the_order_of_the_text_gives() -> None:
    """Features that persist, at equal L0: the penalty on true neighbours steadies the codes more."""
    source = toy.flickering()
    section = toy.section(n=32, l0=[5], tokens=1000 * 64, dead_tokens=10**6)
    values = {"weight": 1.0, "resampling": False, "gradient_scaling": False}
    found = {control: train(Job.of("temporal", values, 1, control), section, source, CPU)[0]
             for control in (None, "shuffled")}  # fmt: skip
    own, twin = (toy.change(each.sae, source) for each in found.values())
    assert found["shuffled"].run.l0 == pytest.approx(found[None].run.l0, rel=0.15)
    assert own < 0.8 * twin
