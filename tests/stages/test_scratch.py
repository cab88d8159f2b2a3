from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages.common.scratch import fingerprint, publish, scratch


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("code").mkdir()
    Path("code/a.py").write_text("a")
    Path("data.bin").write_bytes(b"data")
    return tmp_path


DEPS = [Path("code"), Path("data.bin")]


def test_the_same_inputs_share_a_folder(here: Path) -> None:
    folder = scratch("harvest", {"b": 1, "a": [2.5]}, DEPS)
    assert folder.is_dir()
    assert folder.parent == Path(".scratch")
    assert scratch("harvest", {"a": [2.5], "b": 1}, DEPS[::-1]) == folder


def test_every_change_of_an_input_is_another_fingerprint(here: Path) -> None:
    seen = {fingerprint({"a": 1}, DEPS)}

    def changed() -> bool:
        before = len(seen)
        seen.add(fingerprint({"a": 1}, DEPS))
        return len(seen) == before + 1

    assert fingerprint({"a": 2}, DEPS) not in seen
    Path("code/a.py").write_text("b")
    assert changed()
    Path("code/b.py").write_text("")
    assert changed()
    Path("code/b.py").rename("code/c.py")
    assert changed()
    Path("data.bin").write_bytes(b"Data")
    assert changed()
    Path("data.bin").unlink()
    assert changed()


def test_bytecode_and_times_are_no_inputs(here: Path) -> None:
    before = fingerprint({}, DEPS)
    Path("code/__pycache__").mkdir()
    Path("code/__pycache__/a.pyc").write_bytes(b"bytecode")
    os.utime("data.bin", (1, 1))
    assert fingerprint({}, DEPS) == before


def test_contents_do_not_run_into_each_other(here: Path) -> None:
    Path("code/a.py").write_text("ab")
    Path("data.bin").write_text("c")
    before = fingerprint({}, DEPS)
    Path("code/a.py").write_text("a")
    Path("data.bin").write_text("bc")
    assert fingerprint({}, DEPS) != before


def test_publish_replaces_the_output_and_clears_siblings(here: Path) -> None:
    stale = scratch("train-atm-42", {"old": 1}, DEPS)
    others = [scratch("train-atm-4", {}, DEPS), scratch("train-atm", {}, DEPS), scratch("harvest", {}, DEPS)]
    folder = scratch("train-atm-42", {}, DEPS)
    (folder / "result").write_text("new")
    out = Path("models/sae/atm/42")
    out.mkdir(parents=True)
    (out / "old").write_text("old")
    publish(folder, out)
    assert [path.name for path in out.iterdir()] == ["result"]
    assert not stale.exists()
    assert not folder.exists()
    assert all(other.is_dir() for other in others)


def test_publish_to_another_disk_copies_beside_the_output_first(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = os.rename, []

    def across(source: Any, target: Any) -> None:
        seen.append((str(source), str(target)))
        if Path(source).parts[0] == ".scratch":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", across)
    folder = scratch("harvest", {}, DEPS)
    (folder / "result").write_text("new")
    publish(folder, Path("data/activations"))
    assert Path("data/activations/result").read_text() == "new"
    assert seen[-1] == ("data/activations.partial", "data/activations")
    assert not folder.exists()
    assert [path.name for path in Path("data").iterdir()] == ["activations"]


def test_another_failure_of_the_rename_is_not_hidden(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(PermissionError):
        publish(scratch("harvest", {}, DEPS), Path("out"))
