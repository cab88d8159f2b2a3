"""Items that both rows share widen the interval of one language model; several models have own texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.document import Measured, write_measured
from pipeline.numbers.number import Number
from pipeline.study import items
from pipeline.study.findings import Finding, findings
from pipeline.study.found import held
from pipeline.study.gather import gather
from pipeline.study.workspace import Workspace, workspaces
from tests.study.made import PARAMS, STUDY, identity, study, write_params

LISTED = Items("contexts.tsv", "context", "contexts", {"sum": 1.0})
SCORE = Definition(
    "score", "higher", "share", 1, "made", headline=Headline("score", "score", 10, items=LISTED)
)
CONTEXTS, EFFECT, SPREAD = 50, 0.2, 0.3


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)


def write(space: Workspace, spread: float) -> None:
    """atm is better by EFFECT, by much more in some contexts than in others, the same ones for each seed."""
    gain = EFFECT + spread * np.random.default_rng(0).standard_normal(CONTEXTS)
    gain += EFFECT - gain.mean()
    for variant in space.params["variants"]:
        found = []
        for seed in space.params["seeds"]:
            for target in (4, 8):
                noise = 0.0005 * ((seed * 7 + target + len(variant)) % 3)
                values = 0.5 + noise + (gain if variant == "atm" else np.zeros(CONTEXTS))
                rows = [{"context": i, "sum": float(value)} for i, value in enumerate(values)]
                measured = Measured({"score": Number(float(values.mean()), CONTEXTS)}, {"contexts.tsv": rows})
                found.append((identity(variant, seed, target, True), measured))
        folder, tables = (
            space.results("reconstruction", variant),
            {"contexts.tsv": {"context": int, "sum": float}},
        )
        write_measured(folder, "reconstruction", variant, [SCORE], tables, found, {})


def found(models: int, spread: float = SPREAD) -> tuple[Finding, Finding]:
    """The finding without items and with them."""
    block = {**STUDY["blocks"]["main"], "seeds": [1, 2, 3]}
    block["compared"] = [{"row": "atm", "against": "topk", "outcomes": ["score"]}]
    one = study(blocks={"main": block})
    spaces = workspaces(one, PARAMS, "main")[:models]
    for space in spaces:
        space.make()
        write(space, spread)
    there = [(space, held(space)) for space in spaces]
    items.write(items.items(one, there))
    [bare] = findings("main", one.blocks["main"], gather(there), {})
    [full] = findings("main", one.blocks["main"], gather(there), {}, items.read())
    return bare, full


def test_the_interval_of_one_model_holds_its_items() -> None:
    bare, full = found(1)
    assert bare.estimate is not None
    assert full.estimate is not None
    assert (bare.with_items, full.with_items) == (False, True)
    assert bare.estimate.half < 0.005
    # the standard error of a mean over the contexts, which no number of seeds makes smaller
    assert full.estimate.error == pytest.approx(SPREAD / CONTEXTS**0.5, rel=0.3)
    assert full.estimate.value == bare.estimate.value


def test_items_never_narrow_an_interval() -> None:
    """Though they raise its degrees of freedom."""
    bare, full = found(1, spread=0.001)
    assert bare.estimate is not None
    assert full.estimate is not None
    assert full.estimate.half >= bare.estimate.half
    assert full.estimate.p() >= bare.estimate.p()


def test_every_set_of_targets_has_its_row() -> None:
    found(1)
    assert {key[-1] for key in items.read()} == {"4", "8", "4 8"}
    assert {count for _, count in items.read().values()} == {CONTEXTS}


def test_several_models_hold_items_in_their_spread() -> None:
    bare, full = found(2)
    assert bare.estimate == full.estimate
    assert [each.with_items for each in full.alone] == [True, True]
