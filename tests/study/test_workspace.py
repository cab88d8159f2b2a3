from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.console.errors import BadInput
from pipeline.params import read_params
from pipeline.study.section import read_study
from pipeline.study.workspace import workspaces
from tests.study.made import PARAMS, STUDY, study, write_params


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)


def test_a_workspace_has_the_block_s_parameters_on_the_model_s() -> None:
    first, second = workspaces(study(), PARAMS, "main")
    assert first.folder != second.folder
    tree: Any = second.params
    assert (tree["profile"], tree["seeds"], tree["variants"]) == ("small", [1, 2], ["topk", "atm"])
    small = tree["profiles"]["small"]
    assert (small["text"]["seed"], small["train"]) == (1, {"l0": [4, 8], "tokens": 1000})
    assert (tree["external"], tree["inputs"]["text"]) == ({}, "data/none")
    assert PARAMS["profiles"]["small"]["text"]["seed"] == 0  # what was given stays


def test_make_writes_a_repository_of_its_own_that_shares_the_cache() -> None:
    [space, _] = workspaces(study(), PARAMS, "main")
    (space.folder / "pipeline").mkdir(parents=True)
    (space.folder / "pipeline/gone.py").write_text("old")
    (space.folder / "models").mkdir()
    space.make()
    assert (space.folder / "pipeline/one.py").is_file()
    assert not (space.folder / "pipeline/gone.py").exists()
    assert (space.folder / "models").is_dir()  # outputs of an earlier run: DVC knows what is up to date
    assert str(Path(".dvc/cache").absolute()) in (space.folder / ".dvc/config").read_text()
    assert read_params(space.folder / "params.yaml").tree == space.params


def test_a_key_without_place_is_one_sentence() -> None:
    wrong = study(models={"first": {"set": {"profile.nosuch.seed": 1}}, "second": {}})
    with pytest.raises(BadInput, match=r"`profiles\.small\.nosuch\.seed` has no place"):
        workspaces(wrong, PARAMS, "main")


def test_a_value_may_be_another_method_s() -> None:
    """The rate that was tuned for one method, for a control of another."""
    values = {"atm.control_values": {"other": {"lr_scale": "=topk.lr_scale"}}}
    block = {**STUDY["blocks"]["main"], "set": values}
    tree: Any = workspaces(study(blocks={"main": block}), PARAMS, "main")[0].params
    assert tree["atm"]["control_values"] == {"other": {"lr_scale": 1.0}}
    block["set"] = {"atm.sharpness": "=topk.nosuch"}
    with pytest.raises(BadInput, match=r"`=topk\.nosuch` has no value on profile small"):
        workspaces(study(blocks={"main": block}), PARAMS, "main")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "is not here"),
        ("a: [", "not valid YAML"),
        ("- 1", "must be a mapping"),
        ("profile: p\nhours: 1.0\nmodels: {}\nblocks: {}", "study.models"),
        ("colour: 1", "study.yaml: .*`study.colour` is not a parameter"),
    ],
)
def test_a_wrong_file_is_one_sentence(text: str | None, says: str) -> None:
    if text is not None:
        Path("study.yaml").write_text(text)
    with pytest.raises(BadInput, match=says) as caught:
        read_study()
    assert len(str(caught.value).splitlines()) == 1


def test_a_block_s_models_are_known() -> None:
    with pytest.raises(BadInput, match="names the model 'second', which `models` lacks"):
        study(models={"first": {}})


STANDS_IN = """import pathlib, sys
with pathlib.Path("asked").open("a") as file:
    print(*sys.argv[1:], file=file)
sys.exit("atm" in sys.argv[-1])
"""


def test_methods_are_finished_one_after_the_other() -> None:
    """So that a study that was stopped has whole rows; the first method that fails ends it."""
    [space, _] = workspaces(study(), PARAMS, "main")
    (space.folder / "pipeline").mkdir(parents=True)
    (space.folder / "pipeline/__main__.py").write_text(STANDS_IN)
    with pytest.raises(BadInput, match="goes on from there"):
        space.run()
    asked = (space.folder / "asked").read_text().splitlines()
    assert asked == [
        "reproduce " + " ".join(f"{each}@{variant}" for each in space.evaluations)
        for variant in ("topk", "atm")
    ]
