from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.commands.check import PROFILE, TOP, run, variant_files
from pipeline.console.errors import BadInput
from tests.common import ROOT

PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
PROFILES = sorted(PARAMS["profiles"])


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return copy.deepcopy(PARAMS)


def faults(params: dict[str, Any]) -> list[str]:
    """What `check` says of `params`."""
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(params, file)
    try:
        run()
    except BadInput as error:
        return str(error).splitlines()
    return []


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree[parent]
    tree[last] = value


def test_the_repository_s_params_are_valid(
    params: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert faults(params) == []
    assert f"{len(params['variants'])} variants" in capsys.readouterr().err


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_can_be_chosen(params: dict[str, Any], profile: str) -> None:
    params["profile"] = profile
    assert faults(params) == []


SECTIONS = [*TOP, *variant_files(), *(f"profiles.{profile}.{key}" for profile in PROFILES for key in PROFILE)]


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_in_any_section_is_named(params: dict[str, Any], section: str) -> None:
    put(params, f"{section}.colour", 1)
    found = faults(params)
    assert len(found) == 1
    assert f"`{section}.colour` is not a parameter" in found[0]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_must_be_a_section(params: dict[str, Any], section: str) -> None:
    put(params, section, 3)
    found = faults(params)
    assert len(found) == 1
    assert section in found[0]


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("colour", 1, "`colour` is not a parameter"),
        ("letter_task.colour", 1, "`letter_task.colour` is not a parameter"),
        ("profiles.embedded.colour", 1, "`profiles.embedded.colour` is not a parameter"),
        ("profiles.embedded", None, "`profiles.embedded` must be a section"),
        ("profile", "huge", "profile `huge` is unknown"),
        ("variants", "atm", "`variants` must be a list"),
        ("variants", [], "`variants` must be a list"),
        ("variants", ["atm", "atm"], "names one of its items twice"),
        ("variants", ["atm", "nosuch"], "there is no pipeline/sae/nosuch.py"),
        ("seeds", [42, "43"], "`seeds` must be a list"),
        ("seeds", [True], "`seeds` must be a list"),
        ("seeds", [42, 42], "names one of its items twice"),
        ("inputs", {"text": "data/none"}, "`inputs.model` is missing; `inputs.labels` is missing"),
        ("inputs.text", None, "`inputs.text` is None"),
        ("external", [1], "`external` must be a section"),
        ("external", {"atm": {"path": "x"}}, "`external` and `variants` both name 'atm'"),
        ("external", {"a b": {"path": "x"}}, "the name 'a b'"),
        ("external", {"mine": {"path": "data/none"}}, "needs either `path`"),
        ("profiles.embedded.model.steps", 400, "`profiles.embedded.model.steps` is 400, but the shipped"),
        ("profiles.embedded.harvest.site", "mlp_out.1", "is no site that can be read"),
        ("profiles.embedded.tuned.nosuch", {}, "`profiles.embedded.tuned.nosuch` is not a parameter"),
        ("profiles.embedded.tuned.atm.lr_scale", "tuned", "embedded.tuned.atm.lr_scale` is 'tuned'"),
        ("profiles.gemma-2-2b.tuned.atm.lr_scale", -1, "`profiles.gemma-2-2b.tuned.atm.lr_scale` is -1"),
        ("ground_truth_tuned.atm", 3, "`ground_truth_tuned.atm` must be a section"),
        ("atm.colour", "tuned", "`atm.colour` is not a parameter"),
        ("profiles.embedded.train.batch", 255, "must be even"),
        ("profiles.embedded.train.l0", [4, 4], "repeat one value"),
        ("profiles.embedded.train.l0", [9999999], "must lie between 1 and the dictionary size"),
    ],
)  # fmt: skip
def test_each_fault_is_one_sentence(params: dict[str, Any], key: str, value: Any, named: str) -> None:
    put(params, key, value)
    found = faults(params)
    assert len(found) == 1
    assert named in found[0]
    assert found[0].endswith(".")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("tokp", "'tokp': there is no such method"),
        ("x (pairs)", "'x (pairs)': there is no such method"),
        ("topk (tokens)", "'topk (tokens)': `topk` has no such control"),
    ],
)
def test_a_comparison_named_beforehand_must_be_possible(
    params: dict[str, Any], label: str, said: str
) -> None:
    params["compare"]["family"][1]["against"] = label
    assert faults(params) == [f"params.yaml: `compare.family[1]` names {said}."]


def test_a_chosen_variant_needs_its_section(params: dict[str, Any]) -> None:
    del params["atm"]
    assert faults(params) == ["params.yaml: `variants` has 'atm', but there is no section `atm`."]


@pytest.mark.parametrize("place", ["profiles.local.tuned", "ground_truth_tuned"])
def test_a_chosen_variant_needs_its_tuned_values_if_empty(params: dict[str, Any], place: str) -> None:
    put(params, place, {"atm": {}})
    params["variants"] = ["atm", "topk"]
    assert faults(params) == [f"params.yaml: `{place}` lacks `topk`: add `topk: {{}}`."]


def test_all_faults_are_named_at_once(params: dict[str, Any]) -> None:
    put(params, "seeds", [])
    put(params, "probing.k", "many")
    put(params, "profiles.embedded.harvest.site", "mlp_out.1")
    assert len(faults(params)) == 3
