"""The README's example of a method of one's own is a method."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from tests.sae.cases import case, relative

README = Path(__file__).parents[2] / "README.md"


def test_the_example_in_the_readme_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    source = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert source is not None
    assert source[1].count("\n") < 30
    module = types.ModuleType("pipeline.sae.mine")
    exec(source[1], module.__dict__)
    monkeypatch.setitem(sys.modules, "pipeline.sae.mine", module)
    made = case("mine", power=0.7)
    objective, gradients = made.run()
    w, x = {name: value.detach().double() for name, value in made.weights.items()}, made.step.x.double()
    f = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    active = f[f > 0]
    assert (
        relative(objective.terms["sparsity"].detach(), 0.3 * (active + 1e-3).pow(0.7).sum() / len(x)) < 1e-5
    )
    error = (x - f @ w["W_dec"] - w["b_dec"]).square().sum() / len(x)
    assert relative(objective.terms["reconstruction"].detach(), error) < 1e-5
    assert all(float(gradients[name].norm()) > 0 for name in ("W_enc", "W_dec", "b_enc", "b_dec"))
