"""Stage claims: it reads the tables that `compare` writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.console.errors import BadInput
from pipeline.stages import claims, compare
from tests.common import ROOT
from tests.compare.fake import World

PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
WRITTEN = ("reports/claims/claims.json", "reports/claims/claims.md")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two variants, compared; params.yaml is the repository's."""
    made = World(variants=["standard", "temporal"], targets=[4])
    made.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    compare.run()
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(PARAMS, file)
    return made


def records() -> dict[str, Any]:
    written = json.loads(Path(WRITTEN[0]).read_text(encoding="utf-8"))
    return {record["id"]: record for record in written["claims"]}


def test_it_writes_the_same_bytes_twice(world: World) -> None:
    Path("reports/claims").mkdir()
    Path("reports/claims/leftover.md").write_text("of an earlier run", encoding="utf-8")
    claims.run()
    first = [Path(name).read_bytes() for name in WRITTEN]
    claims.run()
    assert [Path(name).read_bytes() for name in WRITTEN] == first
    assert sorted(path.as_posix() for path in Path("reports/claims").iterdir()) == sorted(WRITTEN)


def test_values_are_those_of_the_comparison(world: World) -> None:
    claims.run()
    (measured,) = [
        each
        for each in records()["temporal-run4-absorption"]["measured"]
        if each["metric"] == "absorption/mean_absorption_fraction" and each["run"] == "l0-4"
    ]
    seeds = [
        world.value("absorption", "mean_absorption_fraction", "temporal", "l0-4", 4, seed)
        for seed in world.seeds
    ]
    assert measured["mean"] == pytest.approx(sum(seeds) / len(seeds))
    assert (measured["low"], measured["high"]) == pytest.approx((min(seeds), max(seeds)))
    assert measured["l0"] == pytest.approx(4, rel=0.02)


def test_a_variant_that_was_not_run_is_a_reason(world: World) -> None:
    claims.run()
    record = records()["atm-topk-cosine"]
    assert record["measured"] == []
    assert record["verdict_reason"] == "`topk` is not among the variants of this run"


def test_without_tables_it_names_the_stage(world: World) -> None:
    Path("reports/tables/scores.tsv").unlink()
    with pytest.raises(BadInput, match=r"scores.tsv is missing: run `dvc repro compare`"):
        claims.run()
    assert not Path("reports/claims").exists()


def test_it_imports_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, pipeline.stages.claims; "
        "print([name for name in ('torch', 'pandas', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
