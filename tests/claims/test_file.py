"""claims.yaml: every number of the sources is there, and each record is whole."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.claims.schema import FILE, parse, read_claims
from pipeline.console.errors import BadInput
from pipeline.metrics.absorption import metrics as absorption_metrics
from pipeline.metrics.behavior import measure as behavior
from pipeline.metrics.reconstruction import measure as reconstruction
from pipeline.metrics.reconstruction import saebench
from tests.common import ROOT

TREE: dict[str, Any] = YAML(typ="safe", pure=True).load(FILE.read_text(encoding="utf-8"))
CLAIMS = read_claims()

# The sources' tables once more, transcribed apart from the file: system, then value by metric.
PRINTED: dict[str, dict[str, list[float | None]]] = {
    "atm-topk": {
        "absorption": [0.1402], "mse": [2.531], "cosine": [0.875], "l0": [40], "probing_k1": [0.7698],
    },
    "atm-jumprelu": {
        "absorption": [0.0114], "mse": [1.672], "cosine": [0.930], "l0": [2666], "probing_k1": [0.7154],
        "letter_absorption": [0, 0.023],
    },
    "atm-standard": {
        "absorption": [0.0161], "mse": [0.0898], "cosine": [0.996], "l0": [8724], "probing_k1": [0.6379],
    },
    "atm-atm": {
        "absorption": [0.0068], "mse": [0.5508], "cosine": [0.9727], "l0": [None], "probing_k1": [0.7161],
        "absorption_cut": [0.40], "probing_bias": [0.796], "probing_sentiment": [0.853],
    },
    "temporal-standard": {
        "loss": [554.78], "absorption": [0.009], "l0": [8311.29], "cosine": [0.996], "letter_absorption": [0],
    },
    "temporal-topk": {"loss": [2314.96], "absorption": [0.011], "l0": [320], "cosine": [0.938, 0.953]},
    "temporal-jumprelu": {"loss": [26473.6], "absorption": [0.009], "l0": [319.99], "cosine": [0.953]},
    "temporal-run1": {
        "loss": [941.1], "absorption": [0.301], "splits": [1.08], "cosine": [0.556], "l0": [1994.75],
        "ce_score": [0.199], "mse": [437], "explained_variance": [-3087], "norm_ratio": [37.6],
        "absorption_factor": [33.4],
    },
    "temporal-run2": {
        "loss": [980.7], "absorption": [0.328], "splits": [1.00], "cosine": [0.555], "l0": [1998.23],
        "ce_score": [0.200], "mse": [472], "explained_variance": [-3376], "norm_ratio": [39.3],
        "absorption_factor": [36.5], "absorption_change": [0.089],
    },
    "temporal-run3": {
        "loss": [569.78], "absorption": [0.313], "splits": [1.15], "cosine": [0.568], "l0": [1950],
        "ce_score": [0.161], "mse": [186], "explained_variance": [-1151], "norm_ratio": [22.8],
        "l1": [4377.65], "loss_change": [0.419], "letter_absorption": [0.58, 0.67],
    },
    "temporal-run4": {
        "loss": [569.78], "absorption": [0.313], "splits": [1.15], "cosine": [0.568], "l0": [1950],
        "ce_score": [0.161], "mse": [186], "explained_variance": [-1151], "norm_ratio": [22.8],
        "absorption_factor": [36.5], "l0_cut": [4.3], "dead_cut": [0.765], "seeds": [5],
        "letter_absorption": [0.595, 0.324, 0.405, 0.385],
    },
    "tsae-baseline": {
        "explained_variance": [-0.785], "mse": [47.25], "ce": [18.0], "ce_clean": [2.94], "l0": [0],
        "l1": [0], "norm_ratio": [0],
    },
    "tsae-variants": {"steps": [0]},
    "ref-matryoshka": {"full_absorption": [0.05], "explained_variance_plain": [0.70]},
    "ref-batchtopk": {"full_absorption": [0.49], "explained_variance_plain": [0.72]},
}  # fmt: skip


@pytest.mark.parametrize("system", sorted(PRINTED))
def test_every_printed_number_is_a_record_and_no_other_is(system: str) -> None:
    found: dict[str, list[float | None]] = {}
    for claim in CLAIMS.claims:
        if claim.system == system:
            found.setdefault(claim.metric, []).append(claim.value)
    assert found == PRINTED[system]


def test_no_system_is_left_out() -> None:
    assert set(CLAIMS.systems) == set(PRINTED)


@pytest.mark.parametrize("claim", CLAIMS.claims, ids=lambda claim: claim.id)
def test_the_number_is_the_one_in_print(claim: Any) -> None:
    """Percentages are shares, `x` is a factor; where words are printed the value stands in this list."""
    words = {"zero": 0.0, "not stated": None, "5 runs with seeds 42-46": 5.0}
    text = claim.printed
    if text in words:
        assert claim.value == words[text]
    elif text.endswith(" %"):
        assert claim.value == pytest.approx(float(text[:-2]) / 100)
    else:
        assert claim.value == float(text.removesuffix("x"))


def test_variants_have_a_file_and_switches_a_parameter() -> None:
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for system in CLAIMS.systems.values():
        assert (ROOT / f"pipeline/sae/{system.variant}.py").is_file()
    for key in CLAIMS.switches():
        section, name = key.split(".")
        assert name in params[section]
    assert {setting.profile for setting in CLAIMS.settings.values()} <= set(params["profiles"])


def test_our_metrics_are_measured_and_in_the_tables() -> None:
    """A metric that its stage keeps out of scores.tsv could never be read back."""
    in_tables = {
        "reconstruction": [*reconstruction.METRICS, *saebench.METRICS],
        "behavior": behavior.METRICS,
        "absorption": absorption_metrics.METRICS,
    }
    known = {f"{stage}/{m.name}" for stage, found in in_tables.items() for m in found if m.aggregate}
    ours = {name for metric in CLAIMS.metrics.values() for name in metric.ours}
    assert ours - {"probing/probing_k1"} <= known


def test_sentences_end_and_clauses_do_not() -> None:
    for fault in CLAIMS.faults.values():
        assert fault.says.endswith(".")
        assert fault.source
    for each in [*CLAIMS.metrics.values(), *CLAIMS.systems.values()]:
        clause = getattr(each, "why", "") or getattr(each, "differs", "")
        assert not clause.endswith(".")


def damaged(key: str, value: Any) -> dict[str, Any]:
    """The file with one entry changed; the first claim under `claims.0`."""
    tree = copy.deepcopy(TREE)
    *path, last = key.split(".")
    node: Any = tree
    for part in path:
        node = node[int(part)] if part.isdigit() else node[part]
    node[last] = value
    return tree


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("claims.0.verdict", "reproduced", "atm-topk-absorption.verdict"),
        ("claims.0.value", "0.1402", "atm-topk-absorption.value"),
        ("claims.0.system", "atm-top", "claim atm-topk-absorption names `atm-top`"),
        ("claims.0.fault", "none", "not among the faults"),
        ("claims.0.id", "atm-topk-mse", "two claims have the id `atm-topk-mse`"),
        ("metrics.cosine.ours", [], "has one `ours`"),
        ("metrics.mse.why", "", "needs its `why`"),
        ("metrics.cosine.ours", ["cosine"], "as stage/name"),
        ("faults.unused", {"says": "It.", "source": "x"}, "no claim uses `unused`"),
        ("settings.atm.width", 3, "settings.atm.width"),
    ],
)
def test_a_faulty_file_is_refused_in_one_sentence(key: str, value: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(damaged(key, value))
    message = str(refused.value)
    assert message.startswith("claims.yaml")
    assert said in message
    assert "\n" not in message
