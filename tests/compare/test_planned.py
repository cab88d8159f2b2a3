"""Comparisons named in advance: judged apart, listed when a row is not there, refused for unknown names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from pipeline.compare.markdown import markdown
from pipeline.compare.outcomes import answers, document
from pipeline.compare.paired.comparison import families
from pipeline.compare.paired.reached import reached
from pipeline.compare.planned import check, planned
from pipeline.compare.report import report
from pipeline.compare.schemas import PLANNED
from pipeline.compare.scores import Scores
from pipeline.compare.section import CompareSection
from pipeline.compare.standing import standing
from pipeline.compare.tables import planned as rows_of
from pipeline.compare.terminal import show
from pipeline.console.errors import BadInput
from tests.compare.fake import World

Gather = Callable[[World], Scores]


def section(*family: tuple[str, str, list[str]], **margins: float) -> CompareSection:
    asked = [dict(zip(("variant", "against", "outcomes"), each, strict=True)) for each in family]
    return CompareSection.parse({"family": asked, "margins": margins}, "compare")


def world(*variants: str) -> World:
    """`topk` is far better than the others at both targets."""
    made = World(variants=["standard", *variants], papers=())
    for target, seed in ((target, seed) for target in (4, 16) for seed in (42, 43)):
        made.values["topk", f"l0-{target}", target, seed, "persistence"] = 0.999 + (seed - 42) * 1e-4
    return made


def test_a_family_is_an_outcome_at_all_targets(gather: Gather) -> None:
    whole = gather(world("topk", "atm"))
    found = families(whole, {}, {})
    asked = section(("topk", "standard", ["persistence", "dead"]), ("atm", "standard", ["persistence"]))
    plan = planned(asked, found)
    ce = [test for test in plan.tests if test.column.name == "persistence"]
    assert [(test.title, test.target) for test in ce] == [
        ("topk against standard", 4), ("topk against standard", 16), ("atm against standard", 4),
        ("atm against standard", 16),
    ]  # fmt: skip
    assert {test.tests for test in ce} == {4}
    assert {test.tests for test in plan.tests if test.column.name == "dead"} == {2}
    assert ce[0].pair.verdict == "better"
    explored = next(
        family.pair("topk", "standard")
        for family in found
        if (family.column.name, family.target) == ("persistence", 4)
    )
    assert explored is not None
    assert ce[0].pair.difference is not None
    assert explored.difference is not None
    assert ce[0].pair.difference.value == explored.difference.value
    paid = [(pair.p_holm or 0) / (pair.p or 1) for pair in (ce[0].pair, explored)]
    assert paid[0] <= 4 < 5 < paid[1]  # 4 comparisons to pay for, not 10
    table = rows_of(plan, found)
    assert len(table) == 6
    assert all(set(row) == set(PLANNED) for row in table)


def test_equality_is_judged_within_the_stated_margin(gather: Gather) -> None:
    made = world("topk", "atm")
    for seed in (42, 43):
        made.values["atm", "l0-4", 4, seed, "persistence"] = 0.9985 + (seed - 42) * 2e-4
        made.values |= {(name, "l0-4", 4, seed, "l0"): 4.0 for name in ("atm", "topk")}
    found = families(gather(made), {}, {"persistence": 0.2})
    test = planned(section(("atm", "topk", ["persistence"])), found).tests[0]
    assert test.pair.verdict == "equal within margin"
    assert test.pair.p_equal_holm is not None


def test_rows_that_were_not_trained_are_listed(gather: Gather) -> None:
    whole = gather(world("topk"))
    found = families(whole, {}, {})
    plan = planned(
        section(("topk", "topk (shuffled)", ["persistence"]), ("atm", "standard", ["dead"])), found
    )
    assert plan.tests == []
    assert [reason for _, reason in plan.untrained] == [
        "topk (shuffled) not trained at any L0 target of this run (persistence)",
        "atm not trained at any L0 target of this run (dead)",
    ]
    groups = standing(whole, found)
    text = markdown("T", report(whole, found, reached(whole, {})), answers(plan), groups, [], [])
    assert "- topk against topk (shuffled): topk (shuffled) not trained" in text


def test_a_row_that_one_source_lacks_is_listed_for_that_source(gather: Gather) -> None:
    """Controls are trained on the language model alone."""
    found = families(gather(world("topk")), {}, {})
    asked = section(
        ("standard", "standard (pairs)", ["persistence", "exact_absorption", "firing_f1"]),
        ("topk", "standard", ["exact_absorption", "l0"]),
    )
    plan = planned(asked, found)
    assert {(test.title, test.column.name) for test in plan.tests} == {
        ("standard against standard (pairs)", "persistence"), ("topk against standard", "exact_absorption"),
    }  # fmt: skip
    assert [(each.variant, reason) for each, reason in plan.untrained] == [
        ("standard", "standard (pairs) not trained on synthetic activations at any L0 target of this run "
                     "(firing_f1, exact_absorption)"),
        ("topk", "no score at a common L0 (l0)"),
    ]  # fmt: skip


def test_a_planned_verdict_is_no_surer_than_the_paired_test_of_its_rows(gather: Gather) -> None:
    """`topk` is far noisier than the table: shrunk towards the others its noise seems less than it is."""
    made = World(variants=["standard", "topk", "atm", "temporal"], papers=(), targets=[4])
    for variant, values in (("topk", (0.80, 0.90)), ("standard", (0.600, 0.601)), ("atm", (0.600, 0.602))):
        made.values |= {
            (variant, "l0-4", 4, seed, "persistence"): value
            for seed, value in zip((42, 43), values, strict=True)
        }
    found = families(gather(made), {}, {"persistence": 0.5})
    (test,) = planned(section(("topk", "standard", ["persistence"])), found).tests
    by_seed = np.array([0.80, 0.90]), np.array([0.600, 0.601])
    alone = ttest_rel(*by_seed)
    interval = alone.confidence_interval()
    pair = test.pair
    explored = next(each for each in found if each.column.name == "persistence").pair("topk", "standard")
    assert pair.difference is not None
    assert explored is not None
    assert (explored.p or 0) < 0.05 < alone.pvalue
    assert pair.p == pytest.approx(alone.pvalue)
    assert (pair.difference.low, pair.difference.high) == pytest.approx((interval.low, interval.high))
    assert pair.verdict == "not distinguishable"
    equal = ttest_1samp(by_seed[0] - by_seed[1], 0.5, alternative="less").pvalue
    assert pair.p_equal == pytest.approx(equal)
    assert (explored.p_equal or 0) < equal


def test_markdown_the_terminal_and_standing_show_them_first(gather: Gather) -> None:
    whole = gather(world("topk"))
    found = families(whole, {}, {})
    given = answers(planned(section(("topk", "standard", ["persistence"])), found))
    groups, tables = standing(whole, found), report(whole, found, reached(whole, {}))
    text = markdown("T", tables, given, groups, [], [])
    assert text.index("## Asked beforehand") < text.index("## L0 target 4")
    assert "persistence\u00a0↑ (2 comparisons judged together)" in text
    line = next(line for line in text.splitlines() if line.startswith("| topk against standard |"))
    assert line.count("▲") == 2
    stream = io.StringIO()
    show(tables, given, [], [], stream)
    printed = stream.getvalue()
    assert printed.isascii()
    assert "Asked beforehand: persistence, higher is better (2 comparisons judged together)" in printed
    content = json.loads(json.dumps(document(groups, given)))["planned"]
    assert content["outcomes"][0]["rows"][0]["cells"][0]["verdict"] == "better"
    assert content["untrained"] == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (section(("topk", "standard", ["no_score"])), r"`compare.family\[0\].outcomes` names no_score"),
        (section(no_score=0.1), "`compare.margins` names no_score"),
    ],
)
def test_unknown_headlines_are_refused(gather: Gather, asked: CompareSection, said: str) -> None:
    whole = gather(World(variants=["topk"], papers=(), controls=()))
    with pytest.raises(BadInput, match=said):
        check(asked, whole)


@pytest.mark.parametrize(
    "values",
    [
        {"family": []},
        {"family": [{"variant": "a", "against": "b", "outcomes": []}], "margins": {}},
        {"family": [], "margins": {"persistence": 0.0}},
        {"family": [], "margins": {}, "extra": 1},
    ],
)
def test_a_malformed_section_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="`compare"):
        CompareSection.parse(values, "compare")


def test_the_intervals_file_follows_metrics_json(gather: Gather, tmp_path: Path) -> None:
    from pipeline.compare.metrics_json import metrics_json
    from pipeline.compare.paired.reached import intervals_json

    whole = gather(World(diverged={("atm", "l0-4", 42): "boom"}))
    cells = intervals_json(whole, reached(whole, {}))
    means = metrics_json(whole)
    for variant, runs in means.items():
        for run, values in runs.items():
            for name, value in values.items():
                cell = cells[variant][run][name]
                if value is None or "reason" in cell:
                    assert cell["reason"]
                else:
                    assert float(str(cell["low"])) < value < float(str(cell["high"]))
    assert cells["atm"]["l0-4"]["persistence"] == {"reason": "1 of 2 seeds have a value"}
    assert "standard (pairs)" in cells
