"""A DVC remote on S3: what one machine pushes, another pulls, byte for byte, run-cache included."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.clone import Clone
from tests.store import made
from tests.store.test_store import C, D, T

GRAPH = """\
stages:
  harvest:
    cmd: cp -r made data
    deps: [made]
    outs: [data]
"""


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def clone(tmp_path: Path, bucket: str) -> Clone:
    """A repository whose one stage gives a store, with a remote on the bucket."""
    root = tmp_path / "here"
    root.mkdir()
    made.write(root / "made", made.header(C, T, D, 3), *made.text(C, T), made.numbered(C, T, D))
    (root / "dvc.yaml").write_text(GRAPH)
    clone = Clone(root)
    clone.git("init", "-q", "-b", "main")
    for key, value in (
        ("user.name", "Test"),
        ("user.email", "test@example.org"),
        ("commit.gpgsign", "false"),
    ):
        clone.git("config", key, value)
    clone.dvc("init", "-q")
    clone.dvc("remote", "add", "-d", "store", f"{bucket}/dvc")
    clone.dvc("repro")
    clone.commit("A store")
    return clone


def test_push_and_pull(clone: Clone, tmp_path: Path) -> None:
    clone.dvc("push", "--run-cache")
    before = content(clone.root / "data")
    there = Clone(tmp_path / "there")
    clone.git("clone", "-q", str(clone.root), str(there.root))
    there.dvc("pull")
    assert content(there.root / "data") == before
    assert there.dvc("repro").executed == set()


def test_the_run_cache_travels(clone: Clone, tmp_path: Path) -> None:
    """With the lock gone, the other machine finds the finished run instead of running it."""
    clone.dvc("push", "--run-cache")
    there = Clone(tmp_path / "there")
    clone.git("clone", "-q", str(clone.root), str(there.root))
    (there.root / "dvc.lock").unlink()
    there.dvc("pull", "--run-cache", "--allow-missing")
    outcome = there.dvc("repro", "--pull")
    assert (outcome.executed, outcome.restored) == (set(), {"harvest"})
    shutil.rmtree(there.root)
