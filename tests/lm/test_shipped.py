"""The shipped language model: shipped and loaded bit for bit, and refused for what it was not made with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

from pipeline.commands import ship
from pipeline.console.errors import BadInput
from pipeline.lm.section import EmbeddedModel
from pipeline.lm.shipped.folder import ShippedModel
from pipeline.stages import model
from pipeline.stages.common.files import LM
from tests.common import ROOT
from tests.lm.test_embedded import TINY
from tests.stages.test_corpus import content, write_params
from tests.text.sections import SMALL, embedded

FACTS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())


def section(**changes: Any) -> EmbeddedModel:
    return EmbeddedModel.parse({**TINY, "gate": 0.0, **changes}, "model")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny trained models/lm and the params that made it."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_params(SMALL, {**TINY, "gate": 0.0})
        model.run()
    return folder


@pytest.fixture
def shipped(trained: Path, tmp_path: Path) -> ShippedModel:
    made = ShippedModel(tmp_path)
    made.write(trained / LM, section(), embedded())
    return made


def test_what_was_trained_comes_back_bit_for_bit(
    shipped: ShippedModel, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shipped.require(section(retrain=False), embedded(), "profiles.p")
    shipped.copy(out)
    assert content(out).items() <= content(trained / LM).items()
    before, after = (load_file(folder / "model.safetensors") for folder in (trained / LM, out))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert shipped.report["steps"] == TINY["steps"]


@pytest.mark.parametrize(
    ("of_model", "of_text", "named"),
    [
        ({"steps": 13}, {}, r"`profiles\.p\.model\.steps` is 13, .* made with 12.*\.model\.retrain="),
        ({"precision": "bfloat16"}, {}, r"`profiles\.p\.model\.precision` is bfloat16, .* made with float32"),
        ({"site_layer": 1}, {}, r"`profiles\.p\.model\.site_layer` is 1"),
        ({}, {"seed": 4}, r"`profiles\.p\.text\.seed` is 4, .* made with 3"),
        ({}, {"contrast": 0.4}, r"`profiles\.p\.text\.contrast` is 0\.4"),
        ({}, {"context_length": 16}, r"`profiles\.p\.text\.context_length` is 16"),
    ],
)  # fmt: skip
def test_params_that_it_was_not_made_with_are_named(
    shipped: ShippedModel, of_model: dict[str, Any], of_text: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadInput, match=named):
        shipped.require(section(**of_model), embedded(**of_text), "profiles.p")


def test_more_text_of_the_same_kind_needs_no_other_model(shipped: ShippedModel) -> None:
    shipped.require(section(gate=0.5), embedded(train_contexts=99, test_contexts=7), "profiles.p")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "report.json", "shipped.json"])
@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_a_damaged_file_is_one_sentence(shipped: ShippedModel, name: str, fault: str) -> None:
    path = shipped.folder / name
    if fault == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-3] + b"abc")
    with pytest.raises(BadInput, match=rf"{name} of the shipped language model is missing or damaged"):
        shipped.require(section(), embedded(), "profiles.p")


def test_other_words_than_those_of_the_weights(shipped: ShippedModel) -> None:
    path = shipped.folder / "shipped.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocabulary_sha256": "other"}))
    with pytest.raises(BadInput, match="gives another vocabulary"):
        shipped.require(section(), embedded(), "profiles.p")


def test_the_package_s_model_is_that_of_the_default_params(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    profile = FACTS["profiles"]["embedded"]
    write_params(profile["text"], profile["model"])
    model.run()
    weights = {path: body for path, body in content(LM).items() if "token" not in path}
    assert set(weights) == {
        "config.json", "generation_config.json", "model.safetensors", "report.json", "resolved.json"
    }  # fmt: skip
    assert all(
        weights[name] == (ShippedModel().folder / name).read_bytes()
        for name in weights
        if name != "resolved.json"
    )


def test_the_gate_stands_for_the_shipped_model_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    profile = FACTS["profiles"]["embedded"]
    monkeypatch.setattr(ShippedModel, "report", {"first_letter_accuracy": 0.9})
    write_params(profile["text"], {**profile["model"], "gate": 0.95})
    with pytest.raises(BadInput, match=r"less than `model\.gate`"):
        model.run()
    assert not LM.exists()


def write_lock(text: dict[str, Any], values: dict[str, Any]) -> None:
    """dvc.lock of a run of stage `model` with these params."""
    params = {"profiles.p.text": text, "profiles.p.model": values}
    stages = {"model": {"cmd": "x", "params": {"params.yaml": params}}}
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}), encoding="utf-8")


@pytest.mark.parametrize(
    ("of_text", "of_model", "said"),
    [
        ({}, {"retrain": False}, "trains no model to ship"),
        ({"seed": 4}, {}, "not made by these params"),
        ({}, {"steps": 13}, "not made by these params"),
    ],
)
def test_only_a_model_trained_by_these_params_is_shipped(
    trained: Path, monkeypatch: pytest.MonkeyPatch, of_text: Any, of_model: Any, said: str
) -> None:
    monkeypatch.chdir(trained)
    before = content(ShippedModel().folder)
    write_lock(SMALL, {**TINY, "gate": 0.0})
    write_params({**SMALL, **of_text}, {**TINY, "gate": 0.0, **of_model})
    with pytest.raises(BadInput, match=rf"{said}.* `dvc repro model`"):
        ship.run()
    assert content(ShippedModel().folder) == before


def test_a_model_that_dvc_did_not_make_is_not_shipped(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    Path("dvc.lock").unlink(missing_ok=True)
    write_params(SMALL, {**TINY, "gate": 0.0})
    with pytest.raises(BadInput, match=r"dvc.lock is missing: run `dvc repro model`"):
        ship.run()


def test_what_is_shipped_is_what_was_trained(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr(ship, "ShippedModel", lambda: ShippedModel(tmp_path))
    write_lock(SMALL, {**TINY, "gate": 0.0})
    write_params(SMALL, {**TINY, "gate": 0.0})
    ship.run()
    assert (tmp_path / "config.json").read_bytes() == (trained / LM / "config.json").read_bytes()
    ShippedModel(tmp_path).require(section(), embedded(), "profiles.p")


def test_a_key_newer_than_the_weights_has_its_default(shipped: ShippedModel) -> None:
    path = shipped.folder / "shipped.json"
    about = json.loads(path.read_text())
    del about["text"]["contrast"]
    path.write_text(json.dumps(about))
    shipped.require(section(), embedded(), "profiles.p")
    with pytest.raises(BadInput, match=r"`profiles\.p\.text\.contrast` is 0\.1"):
        shipped.require(section(), embedded(contrast=0.1), "profiles.p")
