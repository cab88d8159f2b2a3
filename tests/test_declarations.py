"""dvc.yaml declares every module that a stage can import, in every profile and for every variant.

The tests in tests/e2e run stages of the default profile and see what they open; this one reads the
imports, those inside functions too, and so covers the branches that need a hub or a GPU.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.common import ROOT
from tests.e2e.sandbox import package_files_without_code
from tests.test_layout import reachable

ON_PURPOSE = ("pipeline/console", "pipeline/__init__.py", *package_files_without_code())
"""No result depends on these."""

GRAPH: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())
PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
VARIANTS = sorted(path.stem for path in (ROOT / "pipeline/sae").glob("*.py") if path.stem != "__init__")


def items() -> dict[str, tuple[str, list[str]]]:
    """Stage (or stage@item) to its command and its declared code, for all variants that have a file."""
    found: dict[str, tuple[str, list[str]]] = {}
    for name, stage in GRAPH["stages"].items():
        for suffix, replaced in _expansions(stage):
            body = stage.get("do", stage)
            deps = [_fill(dep, replaced) for dep in body["deps"]]
            found[name + suffix] = (_fill(body["cmd"], replaced), deps)
    return found


def _expansions(stage: dict[str, Any]) -> list[tuple[str, dict[str, str]]]:
    if "matrix" in stage:
        return [(f"@{name}", {"item.variant": name, "item.seed": "0"}) for name in VARIANTS]
    if stage.get("foreach") == "${external}":
        return [("@mine", {"key": "mine", "item.path": "data/none"})]
    if "foreach" in stage:
        return [
            (f"@{key}", {"key": key, **{f"item.{name}": value for name, value in item.items()}})
            for key, item in stage["foreach"].items()
        ]
    return [("", {})]


def _fill(text: str, replaced: dict[str, str]) -> str:
    return re.sub(r"\$\{([\w.]+)\}", lambda match: replaced.get(match.group(1), "data/none"), text)


def code_of(cmd: str) -> set[str]:
    """The files of the package that the command can import."""
    words = cmd.split()
    assert words[:3] == ["python", "-m", "pipeline"]
    starts = {_stage_module(words[3:])}
    starts |= {
        f"sae/{word}" for word in words[4:] if word in VARIANTS and words[3] in ("train", "ground_truth")
    }
    files: set[Path] = set()
    for start in starts:
        reachable(ROOT / f"pipeline/{start}.py", files, top_level_only=False)
    return {path.relative_to(ROOT).as_posix() for path in files}


def _stage_module(words: list[str]) -> str:
    """The stage file behind a command: stage, command and file have one name."""
    return f"stages/{words[0]}"


@pytest.mark.parametrize("item", sorted(items()))
def test_every_importable_module_is_declared(item: str) -> None:
    cmd, deps = items()[item]
    declared = (*deps, *ON_PURPOSE)
    missing = {
        path
        for path in code_of(cmd)
        if not any(path == dep or path.startswith(f"{dep}/") for dep in declared)
    }
    assert not missing


@pytest.mark.parametrize("item", sorted(items()))
def test_declared_code_exists(item: str) -> None:
    """DVC stops at a dependency that is not there."""
    _, deps = items()[item]
    assert [
        dep for dep in deps if dep.startswith(("pipeline/", "requirements/")) and not (ROOT / dep).exists()
    ] == []


@pytest.mark.parametrize("profile", sorted(PARAMS["profiles"]))
def test_every_declared_key_exists_in_every_profile(profile: str) -> None:
    for stage in GRAPH["stages"].values():
        for key in stage.get("do", stage)["params"]:
            if key == "external.${key}":
                continue  # its keys are the user's, none by default
            for name in VARIANTS if "item.variant" in key else ("letters", "probing"):
                filled = (
                    key.replace("${profile}", profile)
                    .replace("${item.variant}", name)
                    .replace("${key}", name)
                )
                node: Any = PARAMS
                for part in filled.split("."):
                    assert part in node, f"`{filled}` is missing in params.yaml"
                    node = node[part]


@pytest.mark.parametrize("stage", ["reconstruction", "behavior", "absorption", "probing", "stability"])
def test_external_saes_are_evaluated_as_ours_are(stage: str) -> None:
    """The same command, code, tasks and parameters; only the list of names differs."""
    ours, theirs = GRAPH["stages"][stage], GRAPH["stages"][f"{stage}_external"]
    assert {**ours, "matrix": theirs["matrix"]} == theirs
    assert theirs["matrix"] == {"variant": "${external}"}


def test_no_external_sae_by_default() -> None:
    """An empty mapping: DVC refuses null, and an empty one adds no stage."""
    assert PARAMS["external"] == {}
