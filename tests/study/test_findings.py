"""Planted differences are found again, with the models' spread in the interval; or it is said why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.study.findings import Finding, findings
from pipeline.study.gather import gather, read, write
from pipeline.study.page import write_page
from pipeline.study.section import Study
from pipeline.study.workspace import Workspace, workspaces
from tests.study.made import PARAMS, STUDY, Score, study, write_params, write_results

EFFECT = {"score": 0.2, "price": -0.1}


def planted(model: str, by_model: float = 0.0) -> Score:
    """atm's effect on topk's value; `by_model` is how far models differ in it."""
    shift = {"first": -1.0, "second": 1.0}[model] * by_model

    def score(metric: str, label: str, seed: int, target: int) -> float:
        noise = np.random.default_rng([seed, target, len(label), model == "first"]).normal(0, 0.001)
        gain = EFFECT.get(metric, 0.0) + shift if label == "atm" else 0.0
        return float(0.5 + 0.01 * target + gain + noise)

    return score


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)


def measured(one: Study, by_model: float = 0.0, **wrong: Any) -> list[Workspace]:
    spaces = [space for name in one.blocks for space in workspaces(one, PARAMS, name)]
    for space in spaces:
        space.make()
        write_results(space, planted(space.model, by_model), **wrong)
    return spaces


def found(one: Study, spaces: list[Workspace], block: str = "main", **margins: float) -> dict[str, Finding]:
    return {each.outcome: each for each in findings(block, one.blocks[block], gather(spaces), margins)}


def test_a_planted_effect_is_found_in_its_own_direction() -> None:
    one = study()
    result = found(one, measured(one))
    score, price = result["score"], result["price"]
    assert score.estimate is not None
    assert price.estimate is not None
    assert score.estimate.low < 0.2 < score.estimate.high
    assert price.estimate.value == pytest.approx(-0.1, abs=0.005)
    assert (score.verdict, price.verdict) == ("better", "better")  # price: lower is better
    assert (score.models, score.seeds, score.targets) == (2, 2, (4, 8))
    assert score.by_target == pytest.approx((0.2, 0.2), abs=0.005)


def test_models_that_disagree_widen_the_interval() -> None:
    one = study()
    same, apart = (found(one, measured(one, by))["score"].estimate for by in (0.0, 0.15))
    assert same is not None
    assert apart is not None
    assert apart.half > 20 * same.half


def test_equal_within_a_margin() -> None:
    one = study()
    spaces = measured(one)
    assert found(one, spaces, score=0.5)["score"].verdict == "equal within margin"
    assert found(one, spaces, score=0.15)["score"].verdict == "better"


def test_a_target_that_was_missed_does_not_count() -> None:
    one = study()
    result = found(one, measured(one, missed=("atm", 8)))["score"]
    assert result.targets == (4,)
    nowhere = study(blocks={"main": {**STUDY["blocks"]["main"], "set": {}}})
    reason = found(nowhere, measured(nowhere, missed=("atm", 4)))["score"].reason
    assert reason is not None
    assert "no L0 target" in reason


def test_known_truth_is_a_table_of_its_own() -> None:
    one = study()
    result = found(one, measured(one), "truth")["truth.recovery"]
    assert (result.models, result.seeds) == (1, 2)
    assert result.estimate is not None


@pytest.mark.parametrize(
    ("compared", "says"),
    [
        ({"row": "atm", "against": "topk", "outcomes": ["nosuch"]}, "no evaluation gives `nosuch`"),
        ({"row": "atm", "against": "nosuch", "outcomes": ["score"]}, "no L0 target"),
    ],
)
def test_what_cannot_be_compared_says_why(compared: dict[str, Any], says: str) -> None:
    one = study(blocks={"main": {**STUDY["blocks"]["main"], "compared": [compared]}})
    [result] = found(one, measured(one)).values()
    assert result.estimate is None
    assert says in str(result.reason)


def test_a_sae_counts_once_and_the_tables_come_back_from_disk() -> None:
    twice = {"one": STUDY["blocks"]["main"], "two": STUDY["blocks"]["main"]}
    tables = gather(measured(study(blocks=twice)))
    assert len(tables["text"]) == 2 * 2 * 2 * 2
    assert set(tables["text"].block) == {"one"}
    write(tables)
    again = read()
    assert again["text"].to_dict("records") == tables["text"].round(9).to_dict("records")


def test_the_page_answers_each_question_or_says_why_not() -> None:
    one = study()
    spaces = [space for space in measured(one) if space.block == "main"]
    text = write_page(one, gather(spaces), {}, ["truth"]).read_text()
    assert "## main: Is atm better?" in text
    assert "| atm | topk | score ↑ | +0.2" in text
    assert "What would overturn it: a third text." in text
    assert "No result: left out: it did not fit into the budget." in text
