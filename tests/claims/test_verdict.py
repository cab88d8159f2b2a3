"""A verdict only where definition, SAE, setting and L0 are the source's; otherwise its one reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.claims.ledger import Entry, entries
from pipeline.claims.schema import read_claims
from pipeline.claims.verdict import Here
from tests.claims.made import EMBEDDED, PAPER, SWITCHES, Row, score, tables

COSINE = "reconstruction/cosine"
CLAIMS = read_claims()


def entry(name: str, here: Here, *scores: list[Row]) -> Entry:
    found = entries(CLAIMS, tables(*scores), here)
    return next(each for each in found if each.claim.id == name)


def test_inside_the_range_is_reproduced() -> None:
    found = entry("atm-topk-cosine", PAPER, score("topk", COSINE, [0.87, 0.88])).verdict
    assert found.outcome == "reproduced"
    assert found.why == "0.875 lies in the range here, 0.87 to 0.88 over 2 seeds at L0 40"


def test_outside_the_range_is_not() -> None:
    assert (
        entry("atm-topk-cosine", PAPER, score("topk", COSINE, [0.9, 0.91])).verdict.outcome
        == "not reproduced"
    )


@pytest.mark.parametrize(("value", "outcome"), [(0.8754, "reproduced"), (0.8756, "not reproduced")])
def test_a_printed_number_stands_for_what_rounds_to_it(value: float, outcome: str) -> None:
    found = entry("atm-topk-cosine", PAPER, score("topk", COSINE, [value, value + 0.01]))
    assert found.verdict.outcome == outcome


def test_the_items_interval_counts() -> None:
    wide = score("topk", COSINE, [0.9, 0.91], interval=0.03)
    assert entry("atm-topk-cosine", PAPER, wide).verdict.outcome == "reproduced"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"model": "EleutherAI/pythia-70m"},
            "measured on model EleutherAI/pythia-70m; the source has model google",
        ),
        ({"layer": 11}, "measured on layer 11; the source has layer 12"),
        ({"n": 4096}, "dictionary size 4096"),
        ({"text": "local"}, "text local"),
        ({"context_length": 64}, "context length 64"),
        ({"tokens": 10}, "training tokens 10"),
        ({"variants": frozenset({"atm"})}, "`topk` is not among the variants of this run"),
    ],
)
def test_another_setting_is_not_comparable(changed: dict[str, Any], said: str) -> None:
    found = entry("atm-topk-cosine", replace(PAPER, **changed), score("topk", COSINE, [0.87, 0.88])).verdict
    assert found.outcome == "not comparable"
    assert said in found.why


@pytest.mark.parametrize(
    ("values", "l0", "said"),
    [
        ([0.87, 0.88], 20, "no SAE of this run lies within 10% of the printed L0 40 (reached: 20)"),
        ([0.87], 40, "1 of 1 seeds have a value"),
        (["diverged", "diverged"], 40, "no value at that L0 (diverged)"),
        ([0.87, "diverged"], 40, "1 of 2 seeds have a value"),
    ],
)
def test_values_that_cannot_judge(values: list[float | str], l0: int, said: str) -> None:
    found = entry("atm-topk-cosine", PAPER, score("topk", COSINE, values, l0=l0)).verdict
    assert found.outcome == "not comparable"
    assert said in found.why


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("atm-topk-absorption", "which of its two absorption scores"),
        ("atm-topk-l0", "L0 is a target here"),
        ("atm-atm-l0", "the source states no value"),
        ("atm-atm-cosine", "the full text of the paper was not available"),
        ("atm-bias", "occupations"),
        ("temporal-topk-cosine", "training tokens 5000000"),
        ("temporal-run4-cosine", "measured on model google/gemma-2-2b"),
        ("tsae-steps", "a setting"),
    ],
)
def test_claims_without_a_verdict_on_the_papers_own_profile(claim: str, said: str) -> None:
    made = [score(variant, COSINE, [0.5, 0.6]) for variant in ("topk", "atm", "temporal")]
    found = entry(claim, PAPER, *made).verdict
    assert found.outcome == "not comparable"
    assert said in found.why


def test_what_the_source_leaves_out_is_a_reason() -> None:
    here = replace(PAPER, tokens=10_000_000)
    found = entry("temporal-topk-cosine", here, score("topk", COSINE, [0.9, 0.95], l0=320)).verdict
    assert found.why == "the source does not state its dictionary size"


def test_the_released_runs_differ_even_on_their_model() -> None:
    here = replace(PAPER, model="EleutherAI/pythia-70m", layer=3, tokens=10_000_000)
    found = entry("temporal-run4-cosine", here, score("temporal", COSINE, [0.5, 0.6], l0=1950)).verdict
    assert "shuffled batches" in found.why


def test_no_verdict_on_the_default_profile() -> None:
    made = [score(v, m, [0.1, 0.2]) for v in sorted(PAPER.variants) for m in all_metrics()]
    found = entries(CLAIMS, tables(*made), EMBEDDED)
    assert {each.verdict.outcome for each in found} == {"not comparable"}
    assert all(each.verdict.why for each in found)


def all_metrics() -> list[str]:
    names = {name for metric in CLAIMS.metrics.values() for name in metric.ours}
    return sorted(names - {"reconstruction/l0"})


def test_a_switched_run_shows_only_the_claims_it_is() -> None:
    rows = score("temporal", COSINE, [0.5, 0.6])
    base = {**SWITCHES, "temporal.resampling": False, "temporal.gradient_scaling": False}
    shown = {
        name: bool(entry(f"temporal-{name}-cosine", replace(EMBEDDED, switches=base), rows).measured)
        for name in ("run1", "run2", "run3", "run4")
    }
    assert shown == {"run1": True, "run2": True, "run3": False, "run4": False}
    found = entry("temporal-run3-cosine", replace(EMBEDDED, switches=base), rows)
    assert found.absent == "it takes `temporal.resampling: true`, this run has false"


def test_commands_lead_to_the_setting() -> None:
    assert entry("atm-topk-cosine", EMBEDDED).command == (
        "dvc exp run -S 'profile=gemma-2-2b' -S 'profiles.gemma-2-2b.train.l0=[40]'"
    )
    assert entry("temporal-run3-splits", EMBEDDED).command == (
        "dvc exp run -S 'profile=pythia-70m' -S 'profiles.pythia-70m.train.n=16384' "
        "-S 'profiles.pythia-70m.train.tokens=10000000' -S 'profiles.pythia-70m.train.l0=[1950]' "
        "-S 'temporal.temporal_penalty=true' -S 'temporal.resampling=true' "
        "-S 'temporal.gradient_scaling=false' -S 'absorption.selection=l1_probe'"
    )
    assert entry("tsae-steps", EMBEDDED).command == ""
