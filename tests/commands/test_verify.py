"""verify: a fresh run's numbers against committed intervals, from a file and from git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.commands.verify import Means, counted, holding, run
from pipeline.console.errors import BadInput
from pipeline.numbers.files import write_json
from pipeline.stages.common.files import INTERVALS, METRICS
from pipeline.study import gather


def interval(low: float, high: float) -> dict[str, float]:
    return {"low": low, "high": high, "error": 0.1, "df": 2.0}


CELLS: dict[str, Any] = {
    "topk": {
        "l0-4": {"l0": interval(3.9, 4.1), "kl": interval(0.2, 0.4), "dead": {"reason": "one seed"}},
        "truth-l0-5": {"recovery": interval(0.8, 0.9)},
    },
    "topk (shuffled)": {"l0-4": {"kl": interval(0.0, 0.1)}},
}


def fresh(kl: float | None = 0.3, recovery: float = 0.85) -> Means:
    return {
        "topk": {"l0-4": {"l0": 4.0, "kl": kl, "dead": 0.5}, "truth-l0-5": {"recovery": recovery}},
        "mine": {"l0-4": {"l0": 4.0}},
    }


def write_run(numbers: Means) -> None:
    """reports of a run with these means; `kl` without an interval."""

    def cell(name: str, value: float | None) -> dict[str, Any]:
        given = value is not None and name != "kl"
        return interval(value - 0.01, value + 0.01) if given else {"reason": "no spread at all"}  # type: ignore[operator]

    cells = {
        label: {
            run: {name: cell(name, value) for name, value in values.items()} for run, values in runs.items()
        }
        for label, runs in numbers.items()
    }
    write_json(INTERVALS, {"schema": 1, "cells": cells})
    write_json(METRICS, {"topk": {"l0-4": {"kl": numbers.get("topk", {}).get("l0-4", {}).get("kl")}}})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(fresh())
    write_json(Path("committed.json"), {"schema": 1, "cells": CELLS})


def test_numbers_without_an_interval_or_a_row_are_not_counted() -> None:
    assert [each.headline for each in holding(fresh(), CELLS)] == ["l0", "kl", "recovery"]


@pytest.mark.parametrize(
    ("kl", "counts"),
    [(0.3, (3, 3, 3)), (0.4, (3, 3, 3)), (0.43, (2, 3, 3)), (0.45, (2, 2, 3)), (None, (2, 2, 3))],
)
def test_ends_are_inside_and_a_missing_number_is_not(kl: float | None, counts: tuple[int, int, int]) -> None:
    """A second draw may lie sqrt(2) half widths from the middle: .3 +- .141."""
    assert counted(holding(fresh(kl), CELLS)) == counts


def test_it_says_how_many_per_column_and_in_all(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(fresh(recovery=0.99))
    run("committed.json", 0.6)
    printed = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line.split("│")[2:5] for line in printed.splitlines() if "│" in line}
    assert [cell.strip() for cell in rows["kl"]] == ["1", "1", "1"]
    assert [cell.strip() for cell in rows["synthetic: recovery"]] == ["0", "0", "1"]
    assert [cell.strip() for cell in rows["all"]] == ["2", "2", "3"]
    assert "2 of 3 numbers lie inside the intervals of committed.json; 60% must." in printed


def test_too_few_are_exit_code_one() -> None:
    write_run(fresh(recovery=0.99))
    with pytest.raises(SystemExit) as ended:
        run("committed.json", 0.9)
    assert ended.value.code == 1


def test_a_language_model_of_the_study_is_held_like_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    who = {
        "block": "time", "variant": "topk", "label": "topk", "target": 4, "run": "l0-4", "status": "ok",
        "on_target": "yes",
    }  # fmt: skip
    rows = [
        {**who, "model": model, "seed": seed, "l0": l0, "kl": 0.3}
        for model, seed, l0 in [("second", 1, 3.8), ("second", 2, 4.1), ("third", 1, 9.0), ("third", 2, 9.0)]
    ]
    rows += [{**who, "model": "without kl", "seed": 1, "l0": 4.0, "kl": None}]
    meaning = {"title": "", "better": "lower", "decimals": 3, "order": 1, "definition": ""}
    columns = [{"table": "text", "name": name, **meaning} for name in ("kl", "l0")]
    names = [*gather.WHO, "kl", "l0"]
    text, truth = pd.DataFrame(rows)[names], pd.DataFrame(columns=[*gather.WHO])
    gather.write({"columns": pd.DataFrame(columns), "text": text, "truth": truth})
    run("committed.json", 1.0, "second")
    assert "2 of 2 numbers lie inside" in capsys.readouterr().out
    run("committed.json", 1.0, "without kl")
    assert "not measure: kl.\n" in (said := capsys.readouterr().out)
    assert "1 of 1 numbers lie inside" in said
    with pytest.raises(SystemExit):
        run("committed.json", 1.0, "third")
    with pytest.raises(BadInput, match="The study's language model fourth and the intervals"):
        run("committed.json", 1.0, "fourth")


def test_a_revision_of_git_is_read() -> None:
    write_json(INTERVALS, {"schema": 1, "cells": CELLS})
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    write_run(fresh())
    run("HEAD", 1.0)
    with pytest.raises(BadInput, match=r"git has no v1:\./reports/intervals\.json"):
        run("v1", 1.0)


def test_what_holds_no_intervals_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"reports/metrics\.json holds no intervals"):
        run(str(METRICS), 0.9)
    write_run({"mine": {"l0-4": {"l0": 4.0}}})
    with pytest.raises(BadInput, match="no number in common"):
        run("committed.json", 0.9)
    INTERVALS.unlink()
    with pytest.raises(BadInput, match=r"reports/intervals.json is missing: run `dvc repro compare`"):
        run("committed.json", 0.9)
