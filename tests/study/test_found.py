"""What counts of a workspace: results of the SAEs that lie there, made with its own parameters."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.numbers.document import read_results
from pipeline.numbers.document import write_results as write_document
from pipeline.study.found import held
from pipeline.study.provenance import provenance, read, write
from pipeline.study.workspace import Workspace, workspaces
from tests.study.made import PARAMS, study, write_params, write_results

SCORED = "reconstruction"


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The first one, with results of all its variants."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    first = workspaces(study(), PARAMS, "main")[0]
    first.make()
    write_results(first, lambda *_: 1.0)
    return first


def test_nothing_counts_of_what_was_never_made() -> None:
    assert held(workspaces(study(), PARAMS, "main")[1]).results == {}


def test_an_evaluation_of_some_methods_counts_as_it_is_found(space: Workspace) -> None:
    assert set(held(space).results) == {(SCORED, "topk"), (SCORED, "atm")}
    (space.results(SCORED, "topk") / "results.json").unlink()
    assert set(held(space).results) == {(SCORED, "atm")}


def test_a_method_is_trained_when_every_seed_is(space: Workspace) -> None:
    for seed in (1, 2):
        assert ("train", "atm") not in held(space).stages
        folder = space.saes("atm", seed)
        folder.mkdir(parents=True)
        (folder / "index.json").write_text("{}")
    assert ("train", "atm") in held(space).stages


def test_another_repository_s_workspaces_are_read_where_they_lie(
    space: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    there = workspaces(study(), PARAMS, "main", tmp_path)[0]
    assert (there.name, held(there).params) == (space.name, space.params)
    assert len(held(there).results) == 2


def lock(space: Workspace, stage: str, key: str, value: object) -> None:
    content = {"stages": {stage: {"params": {"params.yaml": {key: value}}}}}
    with (space.folder / "dvc.lock").open("w") as file:
        YAML(typ="safe").dump(content, file)


@pytest.mark.parametrize("stage", [f"{SCORED}@atm", "train@atm-2"])
def test_what_was_made_with_other_parameters_does_not_count(space: Workspace, stage: str) -> None:
    lock(space, stage, "atm.lr_scale", 1.0)
    assert len(held(space).results) == 2
    lock(space, stage, "atm.lr_scale", 2.0)
    assert set(held(space).results) == {(SCORED, "topk")}


def test_results_of_other_seeds_do_not_count(space: Workspace) -> None:
    with (space.folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump({**space.params, "seeds": [1, 3]}, file)
    assert held(space).results == {}


def test_results_of_other_weights_do_not_count(space: Workspace) -> None:
    """An SAE was trained again and its evaluation was not."""
    folder = space.results(SCORED, "topk")
    results = read_results(folder, SCORED)
    sha256 = hashlib.sha256(b"weights").hexdigest()
    rows = tuple(replace(row, identity=replace(row.identity, sae_sha256=sha256)) for row in results.rows)
    write_document(folder, replace(results, rows=rows))
    assert (SCORED, "topk") not in held(space).results
    for row in rows:
        sae = space.saes("topk", row.identity.seed) / row.identity.run
        sae.mkdir(parents=True)
        (sae / "sae_weights.safetensors").write_bytes(b"weights")
    assert (SCORED, "topk") in held(space).results


def test_provenance_names_the_commit_and_the_code_that_is_not_its(space: Workspace) -> None:
    assert provenance(space, held(space))["commit"] is None
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (
        ["init", "-q"],
        ["add", "pipeline", "requirements", "dvc.yaml"],
        [*identity, "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], check=True, capture_output=True)
    found = provenance(space, held(space))
    assert (len(found["commit"]), found["changed"]) == (40, [])
    assert found["results"] == {SCORED: ["topk", "atm"]}
    assert list(found["params"]["profiles"]) == ["small"]
    (space.folder / "pipeline/one.py").write_text("other")
    (space.folder / "pipeline/two.py").write_text("new")
    (space.folder / "dvc.yaml").unlink()
    found = provenance(space, held(space))
    assert found["changed"] == ["dvc.yaml", "pipeline/one.py", "pipeline/two.py"]
    write([found])
    assert read() == [found]
