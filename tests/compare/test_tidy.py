"""`pipeline.results()`: all numbers as one tidy table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from pipeline.compare.scores import Scores
from pipeline.compare.tidy import COLUMNS
from pipeline.console.errors import BadInput
from tests.common import ROOT
from tests.compare.fake import CHOSEN, World

Gather = Callable[[World], Scores]


def test_a_row_is_a_number_with_its_meaning_and_its_sae(gather: Gather) -> None:
    world = World(
        variants=["topk"], papers=(), missing={("topk l0-4", 42, "letter_f1_k1"): "too few"},
        diverged={("topk", "l0-16", 43): "boom"},
    )  # fmt: skip
    gather(world)
    table = pipeline.results()  # type: ignore[operator]
    assert list(table) == list(COLUMNS)
    assert len(table) == 4 * sum(map(len, CHOSEN.values()))
    keys = ["evaluation", "metric", "variant", "run", "seed"]
    assert not table.duplicated(keys).any()
    row = table.set_index(keys).loc[("reconstruction", "persistence", "topk", "l0-4", 42)]
    value = world.value("reconstruction", "persistence", "topk", "l0-4", 4, 42)
    assert (row.value, row.target, row["items"], row.better) == (value, 4.0, 5000, "higher")
    definition = CHOSEN["reconstruction"]["persistence"]
    assert (row.unit, row.version, row.definition) == (
        definition.unit,
        definition.version,
        definition.definition,
    )
    assert (row.model, row.layer, row.n, row.d, len(row.sae_sha256)) == ("embedded", 1, 1024, 128, 64)
    gone = table.set_index(keys).loc[("absorption", "letter_f1_k1", "topk", "l0-4", 42)]
    assert (gone.value != gone.value, gone.reason) == (True, "too few")
    lost = table[(table.run == "l0-16") & (table.seed == 43) & ~table.own_saes]
    assert set(lost.status) == {"diverged"}
    assert set(lost.diverged) == {"boom"}
    assert lost.value.isna().all()


def test_another_folder_can_be_read(gather: Gather, tmp_path: Path) -> None:
    gather(World(variants=["topk"], papers=()))
    assert pipeline.results(tmp_path / "reports/evaluations").equals(pipeline.results())  # type: ignore[operator]
    with pytest.raises(BadInput, match=r"elsewhere holds no results: run `dvc repro`"):
        pipeline.results("elsewhere")  # type: ignore[operator]


def test_it_costs_no_torch_and_pandas_only_when_called() -> None:
    code = (
        "import sys, pipeline; assert callable(pipeline.results); "
        "print(*sorted({'torch', 'numpy', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
