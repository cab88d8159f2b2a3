"""Planted differences are found again, with the models' spread in the interval; or it is said why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.study.findings import Finding, findings
from pipeline.study.found import held
from pipeline.study.gather import gather, read, write
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


def tables(spaces: list[Workspace]) -> dict[str, Any]:
    return gather((space, held(space)) for space in spaces)


def found(one: Study, spaces: list[Workspace], block: str = "main", **margins: float) -> dict[str, Finding]:
    return {each.outcome: each for each in findings(block, one.blocks[block], tables(spaces), margins)}


def test_a_planted_effect_is_found_in_its_own_direction() -> None:
    one = study()
    result = found(one, measured(one))
    score, price = result["score"], result["price"]
    assert score.estimate is not None
    assert price.estimate is not None
    assert score.estimate.low < 0.2 < score.estimate.high
    assert price.estimate.value == pytest.approx(-0.1, abs=0.005)
    assert (score.word, price.word) == ("better", "better")  # price: lower is better
    assert (score.models, score.seeds, score.targets, score.saes) == (("first", "second"), 2, (4, 8), 16)
    assert score.by_target == pytest.approx((0.2, 0.2), abs=0.005)


def test_models_that_disagree_widen_the_interval() -> None:
    one = study()
    same, apart = (found(one, measured(one, by))["score"].estimate for by in (0.0, 0.15))
    assert same is not None
    assert apart is not None
    assert apart.half > 20 * same.half


def test_what_each_model_shows_and_their_mean_does_not_is_said_so() -> None:
    """Two models are one degree of freedom; each by itself has its seeds."""
    one = study()
    score = found(one, measured(one, by_model=0.05))["score"]
    assert score.verdict == "not distinguishable"
    assert [each.verdict for each in score.alone] == ["better", "better"]
    assert score.word == "better on each language model alone"
    assert score.by_model == pytest.approx((0.15, 0.25), abs=0.005)
    apart = found(one, measured(one, by_model=0.3))["score"]
    assert apart.word == "not distinguishable"
    assert [each.verdict for each in apart.alone] == ["worse", "better"]


def test_a_model_that_has_one_row_only_does_not_count_yet() -> None:
    one = study()
    spaces = measured(one)
    (spaces[1].results("reconstruction", "topk") / "results.json").unlink()
    score = found(one, spaces)["score"]
    assert (score.models, score.alone, score.saes) == (("first",), (), 8)
    assert score.estimate is not None
    (spaces[0].results("reconstruction", "atm") / "results.json").unlink()
    assert found(one, spaces)["score"].reason == "no language model on which both rows were measured"


def test_a_number_that_one_sae_lacks_leaves_its_model_out() -> None:
    one = study()
    spaces = measured(one)
    full = planted("second")
    write_results(spaces[1], lambda *of: None if of == ("price", "atm", 2, 8) else full(*of))
    result = found(one, spaces)
    assert (result["score"].models, result["price"].models) == (("first", "second"), ("first",))


def test_equal_within_a_margin() -> None:
    one = study()
    spaces = measured(one)
    assert found(one, spaces, score=0.5)["score"].verdict == "equal within margin"
    assert found(one, spaces, score=0.15)["score"].verdict == "better"


@pytest.mark.parametrize("on_target", ["no", "yes"])
def test_the_noise_of_a_row_that_missed_its_target_widens_no_other(on_target: str) -> None:
    one = study()
    given = tables(measured(one))
    text = given["text"]
    wild = text[text.label == "topk"].assign(label="wild", on_target=on_target)
    wild["score"] *= np.random.default_rng(0).normal(1, 0.5, len(wild))
    more = given | {"text": pd.concat([text, wild])}
    without, beside = (findings("main", one.blocks["main"], each, {})[0].estimate for each in (given, more))
    assert without is not None
    assert beside is not None
    assert (without.half == beside.half) == (on_target == "no")


def test_a_target_that_was_missed_does_not_count() -> None:
    one = study()
    result = found(one, measured(one, missed=("atm", 8)))["score"]
    assert (result.targets, result.left_out) == ((4,), "L0 8 (4 of 4 SAEs of atm missed it)")
    nowhere = study(blocks={"main": {**STUDY["blocks"]["main"], "set": {}}})
    reason = found(nowhere, measured(nowhere, missed=("atm", 4)))["score"].reason
    assert reason is not None
    assert "no L0 target" in reason


@pytest.fixture
def of_five(here: None) -> tuple[Study, dict[str, pd.DataFrame]]:
    """A study with five seeds on each of its two language models, and its tables."""
    one = study(blocks={"main": {**STUDY["blocks"]["main"], "seeds": [1, 2, 3, 4, 5]}})
    return one, tables(measured(one))


def with_missed(
    given: dict[str, pd.DataFrame], *missed: tuple[str, int, int], label: str = "atm"
) -> dict[str, pd.DataFrame]:
    """Tables in which the SAEs of `label` are off target at each (model, seed, target), with a wild score."""
    text = given["text"].copy()
    for model, seed, target in missed:
        which = (text.label == label) & (text.model == model) & (text.seed == seed) & (text.target == target)
        assert which.sum() == 1
        text.loc[which, "on_target"], text.loc[which, "score"] = "no", 99.0
    return {**given, "text": text}


@pytest.mark.parametrize("label", ["atm", "topk"])
def test_a_seed_at_which_one_row_missed_a_target_is_left_out_of_both(
    of_five: tuple[Study, dict[str, pd.DataFrame]], label: str
) -> None:
    one, given = of_five
    block = one.blocks["main"]
    result = findings("main", block, with_missed(given, ("first", 2, 8), ("first", 5, 4), label=label), {})[0]
    text = given["text"]
    kept = text[~((text.model == "first") & text.seed.isin([2, 5]))]
    means = kept.groupby(["model", "label"]).score.mean().unstack()
    assert result.by_model == pytest.approx(tuple(means.atm - means.topk))
    assert (result.seeds, result.targets) == (3, (4, 8))
    who = f"1 of 10 SAEs of {label} missed it"
    assert result.left_out == f"2 of 10 seeds (L0 4: {who}; L0 8: {who})"
    assert result.word == "better"
    alone = dict(zip(result.models, result.alone, strict=True))
    assert (alone["first"].seeds, alone["second"].seeds) == (3, 5)


def test_a_target_that_too_many_seeds_missed_is_left_out_instead(
    of_five: tuple[Study, dict[str, pd.DataFrame]],
) -> None:
    one, given = of_five
    missed = [("first", 2, 8), ("first", 3, 8), ("first", 4, 8), ("second", 1, 4)]
    result = findings("main", one.blocks["main"], with_missed(given, *missed), {})[0]
    assert (result.seeds, result.targets) == (4, (4,))
    assert result.left_out == (
        "L0 8 (3 of 10 SAEs of atm missed it); 1 of 10 seeds (L0 4: 1 of 10 SAEs of atm missed it)"
    )


def test_known_truth_is_a_table_of_its_own() -> None:
    one = study()
    result = found(one, measured(one), "truth")["truth.recovery"]
    assert (result.models, result.seeds) == (("source",), 2)
    assert result.estimate is not None


@pytest.mark.parametrize(
    ("compared", "says"),
    [
        ({"row": "atm", "against": "topk", "outcomes": ["nosuch"]}, "no SAE has it yet"),
        ({"row": "atm", "against": "nosuch", "outcomes": ["score"]}, "no language model"),
    ],
)
def test_what_cannot_be_compared_says_why(compared: dict[str, Any], says: str) -> None:
    one = study(blocks={"main": {**STUDY["blocks"]["main"], "compared": [compared]}})
    [result] = found(one, measured(one)).values()
    assert result.estimate is None
    assert says in str(result.reason)


def test_blocks_that_share_saes_each_have_their_rows_and_the_tables_come_back_from_disk() -> None:
    twice = {"one": STUDY["blocks"]["main"], "two": STUDY["blocks"]["main"]}
    one = study(blocks=twice)
    spaces = measured(one)
    gathered = tables(spaces)
    assert gathered["text"].groupby("block").size().to_dict() == {"one": 16, "two": 16}
    assert found(one, spaces, "two")["score"].estimate is not None
    write(gathered)
    again = read()
    assert again["text"].to_dict("records") == gathered["text"].round(9).to_dict("records")
