"""What the scratch folder of a stage is named by, held against what dvc.yaml declares for the stage."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages.common.scratch import scratch
from tests.common import ROOT
from tests.test_declarations import items


class Named(Exception):
    """The folder is named: the stage need not go on."""


def deaf_to(module: Any, run: Callable[[], None], item: str) -> list[str]:
    """The dependencies that dvc.yaml declares for `item` and whose change leaves the folder's name as it is.

    `run` starts the stage of `module` in the current folder, which gets a copy of the package to change.
    """
    for name in ("pipeline", "requirements"):
        shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    before, keyed = named(module, run)
    deaf = []
    for dep in items()[item][1]:
        with changed(Path(dep), keyed):
            if named(module, run)[0] == before:
                deaf.append(dep)
    assert named(module, run)[0] == before
    return deaf


def named(module: Any, run: Callable[[], None]) -> tuple[str, list[Path]]:
    """The name of the folder and the files and folders that it is made from."""
    seen: list[tuple[str, list[Path]]] = []

    def spy(stage: str, params: Mapping[str, Any], deps: Iterable[Path]) -> Path:
        seen.append((scratch(stage, params, deps).name, list(deps)))
        raise Named

    with pytest.MonkeyPatch.context() as patch, suppress(Named):
        patch.setattr(module, "scratch", spy)
        run()
    return seen[0]


@contextmanager
def changed(dep: Path, keyed: list[Path]) -> Iterator[None]:
    """Code below `dep` with another last line, or data with one file more."""
    code = [path for path in keyed if path.is_file() and (path == dep or dep in path.parents)]
    path = code[0] if code else dep / "more"
    content = path.read_bytes() if code else b""
    path.write_bytes(content + b"\n")
    try:
        yield
    finally:
        path.write_bytes(content) if code else path.unlink()
