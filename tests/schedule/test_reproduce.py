"""`reproduce` beside `dvc repro`, on graphs of shell commands: same lock, same outputs, several at a time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dvc
import pytest

from pipeline.console.errors import BadInput
from pipeline.schedule.bookkeeping import KNOWN, opened
from tests.common import ROOT, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.name != "posix", reason="the graphs' commands are for a POSIX shell"),
]

GRAPH = """
stages:
  text: {cmd: cp given text, deps: [given], outs: [text]}
  side:
    matrix: {item: [left, right]}
    cmd: mkdir ${item.item}; cat text > ${item.item}/it; echo ${item.item} $SAELINE_WORKERS >> ran; MEET
    deps: [text]
    params: [number]
    outs: ["${item.item}"]
  all:
    cmd: cat left/it right/it > all; echo all $SAELINE_WORKERS >> ran; echo the table
    deps: [left, right]
    metrics: [all.json: {cache: false}]
    outs: [all]
"""
MEET = "touch here-${item.item}; until test -e here-left -a -e here-right; do sleep 0.02; done"
"""Ends only where both sides run at once."""


@dataclass(frozen=True)
class Repository:
    """A toy repository with DVC."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        private = {f"DVC_{kind}_DIR": str(self.root / ".dvc/tmp" / kind) for kind in
                   ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")}  # fmt: skip
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | private | {"PYTHONPATH": str(ROOT), "PATH": path, "SAELINE_WARM": "0"}

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, code: int = 0) -> tuple[str, str]:
        """Standard output and error of `python -m COMMAND`, which must end with `code`."""
        with self.start(*command) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return out, err

    def reproduce(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        return self.run("pipeline", "reproduce", *arguments, code=code)

    def graph(self, text: str) -> None:
        (self.root / "dvc.yaml").write_text(text)

    def files(self) -> dict[str, bytes]:
        """The lock and the outputs."""
        paths = [self.root / "dvc.lock", *(path for name in ("text", "left", "right", "all") for path in
                 [self.root / name, *(self.root / name).rglob("*")])]  # fmt: skip
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths if path.is_file()}

    def ran(self) -> list[str]:
        """What the commands noted, in order."""
        path = self.root / "ran"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("schedule") / "template"
    root.mkdir()
    (root / "given").write_text("words\n")
    (root / "params.yaml").write_text("number: 1\n")
    (root / "all.json").write_text("{}\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    Repository(root).run("dvc", "init", "-q")
    return root


@pytest.fixture
def here(template: Path, tmp_path: Path) -> Repository:
    shutil.copytree(template, tmp_path / "here")
    repository = Repository(tmp_path / "here")
    repository.graph(GRAPH.replace("; MEET", "").replace(" > all;", " > all; echo '{}' > all.json;"))
    return repository


def test_the_outcome_is_that_of_dvc_repro(here: Repository, tmp_path: Path) -> None:
    there = Repository(tmp_path / "there")
    shutil.copytree(here.root, there.root)
    out, err = here.reproduce("--jobs", "2")
    there.run("dvc", "repro")
    assert here.files() == there.files()
    assert out == "the table\n"
    assert "4 ran of 4 stages" in err
    before = here.files()
    assert here.reproduce()[1].startswith("Data and pipelines are up to date.")
    assert "up to date" in here.run("dvc", "repro")[0]
    assert here.files() == before


def test_what_is_known_is_restored_not_run(here: Repository) -> None:
    here.reproduce()
    before, ran = here.files(), here.ran()
    (here.root / "given").write_text("others\n")
    here.reproduce("text")
    assert here.ran() == ran
    (here.root / "given").write_text("words\n")
    shutil.rmtree(here.root / "left")
    assert "2 unchanged, 2 restored of 4" in here.reproduce()[1]
    assert here.files() == before
    assert here.ran() == ran


def test_two_run_at_a_time_and_one_alone_has_all_cores(here: Repository) -> None:
    here.graph(GRAPH.replace("MEET", MEET).replace(" > all;", " > all; echo '{}' > all.json;"))
    here.reproduce("--jobs", "2")
    cores = len(os.sched_getaffinity(0))
    each = max(cores // 2, 1)
    assert sorted(here.ran()) == sorted([f"left {each}", f"right {each}", f"all {cores}"])


FAILS = """
stages:
  good: {cmd: cp given text, deps: [given], outs: [text]}
  bad: {cmd: "echo it broke >&2; exit 3", deps: [text], outs: [left]}
  long: {cmd: "echo $$ > pid; sleep 100", deps: [text], outs: [right]}
"""


def test_a_failure_names_the_stage_ends_the_others_and_keeps_what_is_done(here: Repository) -> None:
    here.graph(FAILS.replace("exit 3", "until test -e pid; do sleep 0.02; done; exit 3"))
    _, err = here.reproduce("--jobs", "2", code=2)
    assert "it broke\n" in err
    assert "error: stage bad ended with exit code 3" in err
    assert "Traceback" not in err
    assert not Path("/proc", (here.root / "pid").read_text().strip()).exists()
    assert list(here.files()) == ["dvc.lock", "text"]
    assert "good:" in (here.root / "dvc.lock").read_text()
    here.graph(FAILS.replace("exit 3", "mkdir left").replace("sleep 100", "mkdir right"))
    assert "had been killed" not in here.run("dvc", "repro")[1]  # nothing of the repository is still held
    assert "up to date" in here.reproduce()[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_goes_on_from_what_it_has_done(here: Repository, number: signal.Signals) -> None:
    here.graph(FAILS.replace("  bad", "  # bad"))
    with here.start("pipeline", "reproduce") as process:
        until(lambda: (here.root / "pid").exists() and bool((here.root / "pid").read_text()))
        child = int((here.root / "pid").read_text())
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert (here.root / "dvc.lock").exists() == (number != signal.SIGKILL)
    if number == signal.SIGKILL:
        os.kill(child, signal.SIGKILL)
    here.graph(FAILS.replace("  bad", "  # bad").replace("sleep 100", "mkdir right"))
    expected = "1 restored, 1 ran" if number == signal.SIGKILL else "1 unchanged, 1 ran"
    assert expected in here.reproduce()[1]


def test_the_repository_is_open_to_others_while_a_command_runs(here: Repository) -> None:
    waits = "until test -e go; do sleep 0.1; done; mkdir right"
    here.graph(FAILS.replace("  bad", "  # bad").replace("sleep 100", waits))
    with here.start("pipeline", "reproduce") as process:
        try:
            until(lambda: (here.root / "pid").exists())
            here.run("dvc", "status", "good")
            refused = here.run("dvc", "repro", "long", code=255)[1]
        finally:
            (here.root / "go").touch()
        process.communicate(timeout=60)
    assert "python -m pipeline reproduce: long" in refused
    assert process.returncode == 0


def test_a_frozen_stage_stays_as_it_is(here: Repository) -> None:
    here.reproduce()
    text = (here.root / "dvc.yaml").read_text()
    here.graph(text.replace("outs: [text]}", "outs: [text], frozen: true}"))
    (here.root / "given").write_text("others\n")
    here.reproduce()
    assert (here.root / "text").read_text() == "words\n"


@pytest.mark.parametrize(
    ("damage", "says"), [("nosuch", "nosuch"), ("given", "given"), ("dvc.yaml", "dvc.yaml is not here")]
)
def test_what_cannot_work_is_one_sentence(here: Repository, damage: str, says: str) -> None:
    (here.root / damage).unlink(missing_ok=True)
    _, err = here.reproduce(*(["nosuch"] if damage == "nosuch" else []), code=2)
    assert says in err
    assert "Traceback" not in err


def test_another_dvc_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dvc.__version__.startswith(f"{KNOWN}."), "read pipeline/schedule/bookkeeping.py against this DVC"
    monkeypatch.setattr(dvc, "__version__", "9.0.0")
    refused = pytest.raises(BadInput, match=r"knows DVC .* this is 9\.0\.0: run `dvc repro` instead")
    with refused, opened([]):
        pass
