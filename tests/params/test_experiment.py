"""Variants, seeds, external SAEs and inputs: one reading, one sentence per fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.console.errors import BadInput
from pipeline.params import Params
from pipeline.params.experiment import Experiment, input_path

TREE: dict[str, Any] = {
    "profile": "p", "profiles": {"p": {}}, "variants": ["atm", "topk"], "seeds": [42, 43],
    "external": {"mine": {"path": "x"}}, "inputs": {"model": "data/none", "text": "a.txt", "labels": 3},
}  # fmt: skip


def test_the_whole_experiment() -> None:
    assert Experiment.read(Params(TREE)) == Experiment("p", ["atm", "topk"], [42, 43], ["mine"])
    assert Experiment.read(Params({**TREE, "external": {}})).external == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"variants": "atm"}, "`variants` must be a list"),
        ({"variants": ["atm", "atm"]}, "names one of its items twice"),
        ({"seeds": [True]}, "`seeds` must be a list"),
        ({"seeds": []}, "`seeds` must be a list"),
        ({"external": None}, "`external` must be a section"),
        ({"external": {"atm": {}}}, "both name 'atm'"),
    ],
)
def test_a_fault_is_one_sentence(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        Experiment.read(Params({**TREE, **changed}))
    assert len(str(caught.value).splitlines()) == 1


def test_inputs_are_paths() -> None:
    assert input_path(Params(TREE), "text") == Path("a.txt")
    with pytest.raises(BadInput, match=r"`inputs\.labels` must be a path, not 3"):
        input_path(Params(TREE), "labels")
