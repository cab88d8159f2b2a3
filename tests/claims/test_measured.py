"""Reading back what was measured: seeds, intervals, relations."""

from __future__ import annotations

import pytest

from pipeline.claims.schema import Relation
from tests.claims.made import score, tables

FRACTION = "absorption/mean_absorption_fraction"


def test_a_run_is_summed_up_over_its_seeds() -> None:
    found = tables(score("topk", FRACTION, [0.1, 0.3, 0.2])).measured("topk", [FRACTION], None)
    assert len(found) == 1
    one = found[0]
    assert (one.run, one.target, one.l0, one.version) == ("l0-40", 40, 40, 1)
    assert (one.mean, one.low, one.high) == (pytest.approx(0.2), 0.1, 0.3)
    assert one.bounds() == (0.1, 0.3)


def test_intervals_over_items_widen_the_range() -> None:
    found = tables(score("topk", FRACTION, [0.1, 0.3], interval=0.05)).measured("topk", [FRACTION], None)
    assert found[0].interval == pytest.approx((0.05, 0.35))
    assert found[0].bounds() == pytest.approx((0.05, 0.35))


def test_a_missing_seed_leaves_no_range_and_says_why() -> None:
    found = tables(score("topk", FRACTION, [0.1, "too few letters", 0.2])).measured("topk", [FRACTION], None)
    assert (found[0].seeds, found[0].of, found[0].reason) == (2, 3, "too few letters")
    assert found[0].bounds() is None


def test_one_seed_has_no_range() -> None:
    assert tables(score("topk", FRACTION, [0.1])).measured("topk", [FRACTION], None)[0].bounds() is None


def test_controls_are_no_variant() -> None:
    both = tables(score("standard", FRACTION, [0.1]), score("standard (pairs)", FRACTION, [0.5]))
    assert [each.mean for each in both.measured("standard", [FRACTION], None)] == [0.1]


@pytest.mark.parametrize(("kind", "expected"), [("less", (0.5, 0.25, 0.75)), ("times", (0.5, 0.25, 0.75))])
def test_relations_pair_seeds_at_one_target(kind: str, expected: tuple[float, float, float]) -> None:
    """Seed 0: 0.2 / 0.8, seed 1: 0.3 / 0.4; the other target has no partner and takes no part."""
    made = tables(
        score("atm", FRACTION, [0.2, 0.3]),
        score("atm", FRACTION, [0.9, 0.9], l0=80),
        score("jumprelu", FRACTION, [0.8, 0.4]),
    )
    found = made.measured("atm", [FRACTION], Relation(kind=kind, than="jumprelu"))  # type: ignore[arg-type]
    assert [each.run for each in found] == ["l0-40"]
    assert (found[0].mean, found[0].low, found[0].high) == pytest.approx(expected)
    assert found[0].interval is None


def test_two_saes_at_other_l0_have_no_relation() -> None:
    """A missed target would let sparsity pass for the method's effect."""
    made = tables(
        score("atm", FRACTION, [0.2]),
        score("jumprelu", FRACTION, [0.8]),
        score("jumprelu", "reconstruction/l0", [20]),
    )
    found = made.measured("atm", [FRACTION], Relation(kind="less", than="jumprelu"))
    assert (found[0].mean, found[0].reason) == (None, "jumprelu is at another L0")


def test_a_relation_to_zero_is_missing() -> None:
    made = tables(score("atm", FRACTION, [0.2]), score("jumprelu", FRACTION, [0.0]))
    found = made.measured("atm", [FRACTION], Relation(kind="times", than="jumprelu"))
    assert found[0].mean is None
    assert "jumprelu scores 0" in found[0].reason
