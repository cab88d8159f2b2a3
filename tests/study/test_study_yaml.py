"""study.yaml of the repository: every block can be run with the methods, controls and stages there are."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.commands.check import variant_files
from pipeline.params import Params, read_params
from pipeline.study.section import read_study
from pipeline.study.workspace import workspaces
from pipeline.training.job import method
from pipeline.training.section import TrainSection
from tests.common import ROOT

STUDY, PARAMS = read_study(ROOT / "study.yaml"), read_params(ROOT / "params.yaml")
STAGES: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("name", list(STUDY.blocks))
def test_a_block_can_be_run(name: str) -> None:
    block = STUDY.blocks[name]
    assert set(block.variants) <= set(variant_files())
    assert all("matrix" in STAGES[each] for each in block.evaluations)
    for space in workspaces(STUDY, PARAMS.tree, name):
        params = Params(space.params)
        params.get("profile.train", TrainSection)
        rows = set()
        for variant in block.variants:
            config = params.get(variant, method(variant)[0])
            rows |= {variant, *(f"{variant} ({each})" for each in getattr(config, "controls", []))}
        assert {row for each in block.compared for row in (each.row, each.against)} <= rows


@pytest.mark.parametrize("name", list(STUDY.blocks))
def test_no_seed_of_the_search_is_a_result_s(name: str) -> None:
    assert PARAMS.value("tune.seed") not in STUDY.blocks[name].seeds


def test_an_idea_on_a_topk_base_has_that_base_s_rate() -> None:
    """A TopK method at an L1 method's rate would judge the rate."""
    tree: Any = workspaces(STUDY, PARAMS.tree, "bases")[0].params
    found = {
        name: tree[name]["control_values"]["batchtopk_base"]["lr_scale"]
        for name in STUDY.blocks["bases"].variants
        if "batchtopk_base" in tree[name].get("control_values", {})
    }
    assert found == dict.fromkeys(("temporal", "tsae", "atm"), PARAMS.section("batchtopk")["lr_scale"])


def test_several_language_models_answer_the_first_question() -> None:
    first = next(iter(STUDY.blocks.values()))
    assert len(first.models) >= 3
    assert len(first.seeds) >= 5
