"""Where a long stage keeps what it has done so far, so that a killed run goes on instead of starting again.

DVC deletes a stage's outputs before it runs, so half-finished work lies in `.scratch/` (ignored by git
and DVC), in a folder named by a hash of everything the result depends on: other inputs, other folder.
Only finished work is renamed into place.

    folder = scratch("harvest", section.model_dump(), [LM, *closure("stages.harvest")])
    ...  # write into folder, or go on with what is there
    publish(folder, ACTIVATIONS)
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.console.scratch import SCRATCH

IGNORED = {"__pycache__"}
"""Folders that .dvcignore ignores too: bytecode is no input."""


def scratch(stage: str, params: Mapping[str, Any], deps: Iterable[Path]) -> Path:
    """The scratch folder of `stage` (for a matrix stage with its items: `train-atm-42`), made if absent.

    `params` are all the values and `deps` all the files and folders, code included, that the result
    depends on: what dvc.yaml declares for the stage.
    """
    folder = SCRATCH / f"{stage}-{fingerprint(params, deps)[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish(folder: Path, out: Path) -> None:
    """Rename the finished `folder` to `out`, replacing it, and delete what other inputs left behind."""
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    try:
        os.rename(folder, out)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # `out` is on another disk: copy beside it first, so that it is still complete or absent
        partial = out.with_name(out.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(folder, partial)
        os.rename(partial, out)
    stage = re.escape(folder.name.rpartition("-")[0])
    for sibling in folder.parent.iterdir():
        if re.fullmatch(rf"{stage}-[0-9a-f]{{16}}", sibling.name):
            shutil.rmtree(sibling)


def fingerprint(params: Mapping[str, Any], deps: Iterable[Path]) -> str:
    """SHA-256 of `params` and of the names and contents of all `deps`; an absent one counts as absent."""
    digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode())
    for path in sorted(set(deps)):
        for file in _files(path):
            digest.update(f"\0{file.as_posix()}\0".encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.exists() else []
    return sorted(file for file in path.rglob("*") if file.is_file() and not IGNORED & {*file.parts})
