"""SAEBench's own pydantic classes accept every file of stage saebench, and its plots load the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages.saebench import run
from tests.parity.conftest import start, wait
from tests.stages.whole import evaluate, readers

KINDS = ("core", "absorption", "sparse_probing")


def asked(folder: Path) -> dict[str, Any]:
    """What SAEBench made of `folder`/saebench."""
    wait(start("files", folder), folder / "files.log")
    return json.loads((folder / "oracle" / "files.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the result files of three methods in `saebench`."""
    made, given = tmp_path_factory.mktemp("pipeline"), tmp_path_factory.mktemp("given")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        one = {"l0-4": readers()["l0-4"]}
        evaluate(topk=readers(), batchtopk=one, atm=one)
        run()
    shutil.copytree(made / "reports/saebench", given / "saebench")
    return given


def test_saebench_reads_back_what_was_written(files: Path) -> None:
    found = asked(files)
    paths = sorted((files / "saebench").rglob("*.json"))
    assert found["refused"] == {}
    assert len(paths) == len(found["parsed"]) == len(KINDS) * 2 * (3 + 1 + 1)
    for path in paths:
        ours = json.loads(path.read_text(encoding="utf-8"))
        theirs = found["parsed"][str(path.relative_to(files))]
        assert contained(ours, theirs), path.name
    assert sorted(found["loaded"]) == sorted(KINDS)
    for kind, scores in found["loaded"].items():
        assert {each["sae_class"] for each in scores.values()} == {"topk", "batch_topk", "atm"}
        assert {each["train_tokens"] for each in scores.values()} == {1000}
        assert all(each["l0"] > 0 for each in scores.values())
        assert (files / f"{kind}.png").stat().st_size > 10_000


def test_a_file_without_a_field_is_refused(files: Path, tmp_path: Path) -> None:
    """The classes do look: one required field less in one file of each kind."""
    shutil.copytree(files / "saebench", tmp_path / "saebench")
    fields = {
        "core": ("eval_result_metrics", "sparsity", "l0"),
        "absorption": ("eval_result_metrics", "mean", "mean_full_absorption_score"),
        "sparse_probing": ("eval_result_metrics", "llm", "llm_test_accuracy"),
    }
    damaged = {}
    for kind, (*parents, last) in fields.items():
        path = tmp_path / "saebench" / kind / "topk_1_l0-4_custom_sae_eval_results.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        node: Any = content
        for key in parents:
            node = node[key]
        del node[last]
        path.write_text(json.dumps(content), encoding="utf-8")
        damaged[str(path.relative_to(tmp_path))] = str(last)
    refused = asked(tmp_path)["refused"]
    assert set(refused) == set(damaged)
    assert all(field in refused[path] for path, field in damaged.items())


def contained(ours: Any, theirs: Any) -> bool:
    """Whether everything written came back: SAEBench adds its defaults and loses and changes nothing."""
    if isinstance(ours, dict):
        return all(key in theirs and contained(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(contained, ours, theirs))
    return bool(ours == theirs)
