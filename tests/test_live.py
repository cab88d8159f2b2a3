"""Live curves: written only where asked for, and read by DVC while the run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.console import live
from pipeline.console.progress import Progress


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(live.FOLDER, raising=False)


def counted(title: str, total: int = 30, **figures: float) -> None:
    with Progress(title, total=total, unit="tokens") as bar:
        for _ in range(3):
            bar.advance(total // 3, **figures)


def asked(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> Path:
    monkeypatch.setenv(live.FOLDER, "live")
    monkeypatch.setattr(live, "EVERY_SECONDS", seconds)
    return Path("live")


def test_unasked_and_without_figures_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    counted("train atm 42", loss=0.5)
    asked(monkeypatch)
    counted("harvest")
    assert list(Path().iterdir()) == []


def test_a_run_is_a_file_of_its_figures_begun_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = asked(monkeypatch)
    counted("train atm 42", loss=2.0)
    counted("train atm 42", loss=0.5, l0=16.25)
    rows = (folder / "train-atm-42.tsv").read_text(encoding="utf-8").splitlines()
    assert rows == ["tokens\tloss\tl0", "10\t0.5\t16.25", "20\t0.5\t16.25", "30\t0.5\t16.25"]


def test_the_first_and_the_last_point_are_there_however_short_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = asked(monkeypatch, seconds=1e6)
    counted("train atm 42", loss=1.0)
    rows = (folder / "train-atm-42.tsv").read_text(encoding="utf-8").splitlines()
    assert rows == ["tokens\tloss", "10\t1", "30\t1"]


def test_a_title_cannot_leave_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = asked(monkeypatch)
    counted("../up/ and: away", loss=1.0)
    assert [path.name for path in folder.glob("*.tsv")] == ["-up-and-away.tsv"]


@pytest.mark.e2e
def test_dvc_plots_the_unfinished_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True, capture_output=True)
    counted("train topk 42", loss=0.25)
    with Progress("train atm 42", total=30, unit="tokens") as bar:
        bar.advance(10, loss=0.5, l0=16.25)
        done = subprocess.run([sys.executable, "-m", "dvc", "plots", "show", "--json"], check=True,
                              capture_output=True, text=True)  # fmt: skip
    shown = json.loads(done.stdout)["data"]
    assert set(shown) == {"l0 by tokens, live", "loss by tokens, live"}
    (loss,) = shown["loss by tokens, live"]
    points = json.dumps(loss["content"])
    assert all(text in points for text in ("train-atm-42.tsv", "train-topk-42.tsv", '"0.25"', '"0.5"'))
