"""study/provenance.json: of each workspace the commit of its code, its parameters, and which results it has.

A workspace's code is a copy. It is held file by file against the commit of the repository that runs the
study, by git's own hashes, so that a study whose code was changed after its commit says so.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.numbers.files import damaged, read_json, write_json
from pipeline.study.found import Held
from pipeline.study.gather import COMMAND, FOLDER
from pipeline.study.workspace import CODE, Workspace

FILE, SCHEMA = FOLDER / "provenance.json", 1
Tree = Mapping[str, Any]


def provenance(space: Workspace, held: Held) -> dict[str, Any]:
    """What made the results of `space`, and which there are: evaluation to variants."""
    commit = _git(space.root, "rev-parse", "HEAD").strip()
    present: dict[str, list[str]] = {}
    for evaluation, variant in held.results:
        present.setdefault(evaluation, []).append(variant)
    return {
        "block": space.block,
        "model": space.model,
        "commit": commit or None,
        "changed": sorted(_changed(space)) if commit else [],
        "params": own_params(held.params),
        "results": present,
    }


def own_params(tree: Tree) -> Tree:
    """`tree` without profiles that it does not use."""
    profiles = {name: each for name, each in tree["profiles"].items() if name == tree["profile"]}
    return {**tree, "profiles": profiles}


def _changed(space: Workspace) -> Iterable[str]:
    """The files of its code that are not those of the commit."""
    listed = _git(space.root, "ls-tree", "-r", "-z", "HEAD", "--", *CODE)
    entries = (line.partition("\t") for line in listed.split("\0") if line)
    committed = {path: head.split()[2] for head, _, path in entries}
    here = {file.relative_to(space.folder).as_posix(): file for file in _code(space.folder)}
    return {name for name in committed.keys() | here.keys() if _blob(here.get(name)) != committed.get(name)}


def _code(folder: Path) -> Iterator[Path]:
    for name in CODE:
        files = (folder / name).rglob("*") if (folder / name).is_dir() else [folder / name]
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def _blob(file: Path | None) -> str | None:
    """git's name of the file's content."""
    if file is None:
        return None
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _git(root: Path, *command: str) -> str:
    """What git says at `root`; nothing where there is no repository or no commit."""
    try:
        done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout


def write(found: Iterable[Mapping[str, Any]]) -> None:
    """Write study/provenance.json."""
    write_json(FILE, {"schema": SCHEMA, "workspaces": list(found)})


def read(root: Path = Path()) -> list[dict[str, Any]]:
    """What `write` wrote in the repository at `root`; raises BadInput where it is missing or damaged."""
    content = read_json(root / FILE, COMMAND)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise damaged(root / FILE, COMMAND, f"it is not of schema {SCHEMA}")
    found: list[dict[str, Any]] = content["workspaces"]
    return found
