"""Pairs of rows at a common L0: from made-up evaluations to verdicts and long tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import pytest

from pipeline.compare.markdown import markdown
from pipeline.compare.notes import notes
from pipeline.compare.paired.comparison import Family, families
from pipeline.compare.paired.reached import reached
from pipeline.compare.paired.resampling import Draws, resample
from pipeline.compare.report import report
from pipeline.compare.resolved import resolved
from pipeline.compare.schemas import CURVES, PAIRS
from pipeline.compare.scores import Scores
from pipeline.compare.standing import standing
from pipeline.compare.tables import curves, pairs
from pipeline.params.experiment import Experiment
from pipeline.params.read import read_params
from pipeline.stages.compare import evaluations, table_of
from tests.compare.conftest import NOTHING
from tests.compare.fake import CONTEXTS, WORDS, World

Gather = Callable[[World], Scores]
NAMES = ("topk", "atm")


def small(**values: dict[int, float]) -> World:
    """Two variants at L0 4 and 16; `values` of `topk` at L0 4 by seed."""
    world = World(variants=list(NAMES), papers=(), controls=())
    world.values = {
        ("topk", "l0-4", 4, seed, metric): value
        for metric, by_seed in values.items()
        for seed, value in by_seed.items()
    }
    return world


def compared(whole: Scores, draws: Draws | None = None, **margins: float) -> list[Family]:
    found = evaluations(Experiment.read(read_params()))
    return families(whole, resample(whole, partial(table_of, found)) if draws is None else draws, margins)


def printed(whole: Scores, found: list[Family]) -> str:
    return markdown("T", report(whole, found, reached(whole, {})), NOTHING, standing(whole, found), [], [])


def family(found: list[Family], name: str, target: float) -> Family:
    return next(each for each in found if (each.column.name, each.target) == (name, target))


def test_every_score_target_and_pair_is_there_once(gather: Gather) -> None:
    world = World(variants=["standard", "topk", "atm"], papers=())
    whole = gather(world)
    found = compared(whole)
    assert len(found) == 2 * (len(whole.text.scores) + len(whole.truth.scores))
    labels = ["standard", "standard (pairs)", "standard (contexts)", "topk", "atm"]
    on_model = [each for each in found if each.column.stage != "ground_truth"]
    assert all([row.label for row in each.members] == labels for each in on_model)
    assert all(len(each.pairs) == 10 for each in on_model)
    rows = pairs(found)
    assert len(rows) == 2 * (10 * len(whole.text.scores) + 3 * len(whole.truth.scores))
    assert all(set(row) == set(PAIRS) for row in rows)


def test_a_clear_difference_is_called_and_a_small_one_is_not(gather: Gather) -> None:
    world = small(
        explained_variance={42: 0.95, 43: 0.951},
        persistence={42: 0.90, 43: 0.93},
        kl_sae={42: 0.05, 43: 0.051},
    )
    for metric, values in (("explained_variance", (0.60, 0.601)), ("persistence", (0.91, 0.925)),
                           ("kl_sae", (0.4, 0.401))):  # fmt: skip
        world.values |= {("atm", "l0-4", 4, 42 + i, metric): value for i, value in enumerate(values)}
    found = compared(gather(world))
    clear = family(found, "explained_variance", 4).pair("topk", "atm")
    small_one = family(found, "persistence", 4).pair("topk", "atm")
    assert clear is not None
    assert small_one is not None
    assert clear.difference is not None
    assert (clear.verdict, small_one.verdict) == ("better", "not distinguishable")
    assert clear.difference.value == pytest.approx(0.35)
    assert clear.difference.low < 0.35 < clear.difference.high
    assert clear.a.items == CONTEXTS
    kl = family(found, "kl", 4).pair("topk", "atm")
    assert kl is not None
    assert kl.verdict == "better"  # lower is better


def test_rows_within_the_margin_are_equal_and_neither_leads_alone(gather: Gather) -> None:
    world = World(variants=["standard", *NAMES], papers=(), controls=())
    for variant, low, step in (("standard", 0.80, 1e-4), ("topk", 0.9000, 0.0), ("atm", 0.9004, -1e-4)):
        world.values |= {
            (variant, "l0-4", 4, seed, metric): value
            for i, seed in enumerate((42, 43))
            for metric, value in (("explained_variance", low + i * step), ("l0", 4.0))
        }
    whole = gather(world)
    found = family(compared(whole, {}, explained_variance=0.02), "explained_variance", 4)
    assert [pair.verdict for pair in found.pairs] == ["worse", "worse", "equal within margin"]
    assert found.pair("atm", "topk").verdict == "equal within margin"  # type: ignore[union-attr]
    assert found.pairs[2].p_equal_holm is not None
    assert found.pairs[2].resolved
    without = family(compared(whole, {}), "explained_variance", 4).pairs[2]
    assert (without.verdict != "equal within margin", without.p_equal) == (True, None)
    group = standing(whole, compared(whole, {}, explained_variance=0.02))[0]
    score = group.scores[0]
    assert (score.leaders, score.told_apart, score.equal, score.margin) == (["atm", "topk"], 2, 1, "0.02")
    assert resolved([group])["columns"][0]["share"] == 1.0


def test_a_pair_turned_round_says_the_opposite(gather: Gather) -> None:
    world = small(explained_variance={42: 0.95, 43: 0.951})
    world.values |= {("atm", "l0-4", 4, seed, "explained_variance"): 0.6 for seed in (42, 43)}
    found = family(compared(gather(world)), "explained_variance", 4)
    there, back = found.pair("topk", "atm"), found.pair("atm", "topk")
    assert there is not None
    assert back is not None
    assert (there.verdict, back.verdict) == ("better", "worse")
    assert there.difference is not None
    assert back.difference is not None
    assert back.difference.low == pytest.approx(-there.difference.high)
    assert (back.p, back.p_holm) == (there.p, there.p_holm)
    assert found.pair("topk", "topk") is None


def test_a_score_that_few_items_define_keeps_its_resamples_or_has_no_interval(gather: Gather) -> None:
    """The carrier is of missed words: 4 of 60, then one, which a resample misses in 37 % of cases."""
    world = small()
    for variant, seed, (target, missed) in product(NAMES, (42, 43), ((4, 4), (16, 1))):
        world.values[variant, f"l0-{target}", target, seed, "miss_rate"] = missed / WORDS
        world.values[variant, f"l0-{target}", target, seed, "l0"] = float(target)
    whole = gather(world)
    draws = resample(whole, partial(table_of, evaluations(Experiment.read(read_params()))))
    drawn = {(which[1], which[2]): each.draws for which, each in draws.items() if which[0][1] == "carrier"}
    lost = {place: float(np.isnan(each).mean()) for place, each in drawn.items()}
    assert 0 < lost["topk", "l0-4"] < 0.05
    assert 0.3 < lost["topk", "l0-16"] < 0.45
    found = families(whole, draws, {})
    few, one = (family(found, "carrier", target).pairs[0] for target in (4, 16))
    assert few.difference is not None
    assert (one.verdict, one.difference) == ("not compared", None)
    assert one.reason == "more than half of the resamples of its items leave it undefined"
    assert all(row.mean is not None for row in family(found, "carrier", 16).members)  # each alone has 63 %


def test_items_widen_an_interval_that_seeds_alone_make_narrow(gather: Gather) -> None:
    world = World(variants=["standard", "topk", "atm", "temporal"], papers=(), controls=())
    whole = gather(world)
    seeds_only, both = compared(whole, {}), compared(whole)
    pairs_of = [family(found, "probing", 4).pairs[0].difference for found in (seeds_only, both)]
    assert pairs_of[0] is not None
    assert pairs_of[1] is not None
    assert pairs_of[1].error > pairs_of[0].error
    assert family(both, "dead", 4).pairs[0].difference == family(seeds_only, "dead", 4).pairs[0].difference


def test_a_row_off_its_target_takes_part_through_its_interpolated_value(gather: Gather) -> None:
    world = small(l0={42: 3.0, 43: 4.0}, persistence={42: 0.5, 43: 0.6})
    world.values |= {("topk", "l0-16", 16, 42, "persistence"): 0.9, ("topk", "l0-16", 16, 42, "l0"): 16.0}
    found = family(compared(gather(world)), "persistence", 4)
    row = next(row for row in found.members if row.label == "topk")
    assert [each.how for each in row.by_seed] == ["interpolated", "reached"]
    assert row.by_seed[0].value == pytest.approx(0.5 + 0.4 * 0.1718, rel=1e-3)  # ln(4/3) / ln(16/3)
    assert row.l0 == 4.0


def test_a_row_that_never_reaches_the_target_is_not_compared_and_says_why(gather: Gather) -> None:
    world = small(l0={42: 7.0, 43: 7.5})
    found = family(compared(gather(world)), "persistence", 4)
    pair = found.pair("topk", "atm")
    assert pair is not None
    assert (pair.verdict, pair.difference) == ("not compared", None)
    assert pair.reason is not None
    assert "topk, seed 42: L0 4 lies outside the reached L0 7 to" in pair.reason


def test_what_unequal_l0_may_be_worth_is_allowed_for(gather: Gather) -> None:
    """`topk` stands at L0 4.3: its score there is the other's plus what that L0 brings at its own slope."""
    world = small(l0={42: 4.3, 43: 4.3}, explained_variance={42: 0.6201, 43: 0.62})
    world.values |= {("topk", "l0-16", 16, seed, "explained_variance"): 0.99 for seed in (42, 43)}
    world.values |= {("topk", "l0-16", 16, seed, "l0"): 16.0 for seed in (42, 43)}
    for target, value in ((4, 0.6), (16, 0.99)):
        world.values |= {
            ("atm", f"l0-{target}", target, seed, metric): each + (seed - 42) * 1e-4
            for seed in (42, 43)
            for metric, each in (("l0", float(target)), ("explained_variance", value))
        }
    found = family(compared(gather(world), {}), "explained_variance", 4)
    pair = found.pair("topk", "atm")
    assert pair is not None
    assert pair.difference is not None
    assert pair.allowance == pytest.approx(0.37 / 1.314 * 0.0723, rel=0.01)
    assert pair.difference.p() < 0.05 < (pair.p or 0)
    assert pair.verdict == "not distinguishable"


def test_a_diverged_seed_is_not_compared_and_the_others_are(gather: Gather) -> None:
    world = World(
        variants=["standard", *NAMES], papers=(), controls=(), diverged={("atm", "l0-4", 42): "boom"}
    )
    found = family(compared(gather(world)), "persistence", 4)
    verdicts = {(pair.a.label, pair.b.label): pair.verdict for pair in found.pairs}
    assert verdicts["standard", "topk"] != "not compared"
    assert verdicts["standard", "atm"] == verdicts["topk", "atm"] == "not compared"
    reason = next(pair.reason for pair in found.pairs if pair.b.label == "atm")
    assert reason == "atm, seed 42: diverged: boom"


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (World(variants=list(NAMES), seeds=[7], papers=(), controls=()), "one training seed shows no spread"),
        (
            World(variants=list(NAMES), papers=(), controls=(), diverged={("atm", "l0-4", 42): "boom"}),
            "atm, seed 42: diverged: boom",
        ),
    ],
)
def test_without_two_seeds_or_two_rows_nothing_is_judged(gather: Gather, world: World, reason: str) -> None:
    found = family(compared(gather(world)), "persistence", 4)
    assert [(pair.verdict, pair.reason) for pair in found.pairs] == [("not compared", reason)]
    assert found.detectable() is None


def test_curves_hold_the_reached_and_the_matched_value(gather: Gather) -> None:
    world = small(l0={42: 3.0, 43: 4.0}, persistence={42: 0.5, 43: 0.6})
    world.values |= {("atm", "l0-4", 4, seed, "l0"): 9.0 for seed in (42, 43)}
    whole = gather(world)
    rows = curves(whole, compared(whole))
    assert all(set(row) == set(CURVES) for row in rows)
    topk, atm = (
        next(r for r in rows if (r["label"], r["target"], r["metric"]) == (name, 4, "persistence"))
        for name in NAMES
    )
    assert (topk["l0"], topk["value"], topk["low"], topk["high"]) == (3.5, 0.55, 0.5, 0.6)
    assert topk["matched"] > topk["value"]
    assert topk["matched_low"] > 0.5
    assert topk["how"] == "interpolated, reached"
    assert (atm["l0"], atm["matched"], atm["matched_low"], atm["interval_low"]) == (9.0, None, None, None)
    assert "outside the reached L0" in atm["reason"]
    truth = [r for r in rows if r["stage"] == "ground_truth"]
    assert {r["label"] for r in truth} == set(NAMES)


def test_the_tables_show_every_pair_and_every_reason(gather: Gather) -> None:
    world = World(
        variants=["standard", *NAMES], papers=(), controls=(), diverged={("atm", "l0-4", 42): "boom"}
    )
    world.values = {("topk", "l0-4", 4, seed, "explained_variance"): 0.99 for seed in (42, 43)}
    whole = gather(world)
    found = compared(whole)
    group = standing(whole, found)[0]
    best = group.scores[0]
    assert (group.source, group.target, group.labels) == ("text", 4, ["standard", *NAMES])
    assert best.pairs["topk"]["standard"].verdict == "better"
    assert {each.verdict for each in best.pairs["atm"].values()} == {"not compared"}
    assert (best.values["atm"].text, best.values["atm"].detail) == ("missing", "atm, seed 42: diverged: boom")
    text = printed(whole, found)
    assert [line for line in text.splitlines() if line.startswith("## Which")][:2] == [
        "## Which rows differ (exploration): L0 4", "## Which rows differ (exploration): L0 16"
    ]  # fmt: skip
    assert "<details><summary>explained variance" in text
    against = text.split("**Difference from standard**")[1].split("<details>")[0].strip().splitlines()
    assert [line.split("|")[1].strip() for line in against[2:]] == [*NAMES, "minimum detectable difference"]
    assert against[2].split("|")[2].strip().endswith("▲")
    assert set(against[3].split("|")[2:-1]) == {" not compared "}


def test_the_notes_count_the_pairs_told_apart(gather: Gather) -> None:
    world = small(explained_variance={42: 0.95, 43: 0.951})
    world.values |= {("atm", "l0-4", 4, seed, "explained_variance"): 0.6 for seed in (42, 43)}
    whole = gather(world)
    said = notes(whole, standing(whole, compared(whole)), [42, 43], "embedded", [])
    assert any(
        note.startswith(
            "Pairs told apart, + equal within margin, of 1 at L0 4. explained variance: 1; KL, nats: "
        )
        for note in said
    )
    assert any(note.startswith("Synthetic activations, pairs told apart, + equal") for note in said)
    assert any(note.startswith("Answered of all pairs (told apart or shown equal): ") for note in said)


def test_the_first_row_is_the_baseline_without_standard(gather: Gather) -> None:
    whole = gather(small())
    found = compared(whole)
    text = printed(whole, found)
    assert "**Difference from topk**" in text
