"""Stage compare: what it writes, refuses and says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Definition, Headline
from pipeline.numbers.document import Results, Row, read_results, write_results
from pipeline.numbers.number import Number
from pipeline.stages.compare import run
from tests.common import ROOT
from tests.compare.fake import World

TABLES = (
    "table.md", "standing.json", "scores.tsv", "summary.tsv", "pareto.tsv",
    "training.tsv", "letters.tsv", "probing.tsv", "ranking.tsv", "pairs.tsv", "planned.tsv",
    "curves.tsv", "stability.tsv",
)  # fmt: skip
FIGURES = ("pareto.png", "training.png", "letters.png", "ground_truth.png", "persistence.png")
WRITTEN = {
    "reports/metrics.json",
    "reports/intervals.json",
    "reports/report.json",
    *(f"reports/tables/{name}" for name in TABLES),
    *(f"reports/figures/{name}" for name in FIGURES),
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(variants=["standard", "temporal"], targets=[4])
    made.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


def files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def content() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in WRITTEN}


def test_it_writes_these_files_and_the_same_bytes_twice(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files()
    Path("reports/tables").mkdir()
    Path("reports/tables/leftover.tsv").write_text("of an earlier run", encoding="utf-8")
    run()
    assert files() - before == WRITTEN
    first, printed = content(), capsys.readouterr().out
    run()
    assert content() == first
    assert capsys.readouterr().out == printed
    assert "L0 target 4" in printed
    assert "standard" in printed


def test_metrics_json_is_compact_and_finite(world: World) -> None:
    run()
    found = json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))
    assert list(found) == ["standard", "temporal"]
    assert set(found["standard"]) == {"l0-4", "truth-l0-4"}
    assert 5 <= len(found["standard"]["l0-4"]) <= 10


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("reports/evaluations/absorption/temporal/results.json", "absorption@temporal"),
        ("reports/evaluations/ground_truth/standard/results.json", "ground_truth@standard"),
        ("models/sae/temporal/43/index.json", "train@temporal-43"),
        ("models/sae/temporal/43/l0-4/training.tsv", "train@temporal-43"),
        ("reports/evaluations/absorption/standard/letters.tsv", "absorption@standard"),
        ("reports/evaluations/absorption/temporal/words.tsv", "absorption@temporal"),
        ("reports/evaluations/probing/temporal/items.tsv", "probing@temporal"),
    ],
)
def test_a_missing_input_names_its_stage_and_leaves_nothing(world: World, path: str, stage: str) -> None:
    Path(path).unlink()
    with pytest.raises(BadInput, match=f"{path} is missing: run `dvc repro {stage}`"):
        run()
    assert not files() & WRITTEN


def test_a_damaged_input_is_named(world: World) -> None:
    Path("reports/evaluations/probing/standard/results.json").write_text('{"schema": 1', encoding="utf-8")
    with pytest.raises(
        BadInput, match=r"reports/evaluations/probing/standard/results.json is damaged .*probing@standard"
    ):
        run()


def test_results_of_another_form_are_refused(world: World) -> None:
    path = Path("reports/evaluations/absorption/temporal/results.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"schema": 99}), encoding="utf-8")
    with pytest.raises(BadInput, match=r"schema 99, not .*: run `dvc repro absorption@temporal`"):
        run()


TOY = Definition(
    "toy_score", "higher", "share", 1, "A score of an evaluation that compare has never heard of.",
    headline=Headline("toy", "toy score", 25),
)  # fmt: skip


def test_a_new_evaluation_is_a_new_column_everywhere(world: World) -> None:
    """compare finds it through what it wrote: between the columns that its order asks for."""
    for variant in world.variants:
        source = read_results(Path("reports/evaluations/behavior") / variant, "behavior")
        rows = tuple(
            Row(row.identity, {"toy_score": Number(0.1 * place, 3)}) for place, row in enumerate(source.rows)
        )
        results = Results("toy", variant, {"toy_score": TOY}, rows)
        write_results(Path("reports/evaluations/toy") / variant, results)
    run()
    heads = [line for line in Path("reports/tables/table.md").read_text().splitlines() if "| L0 |" in line]
    assert "KL, nats\u00a0↓ | toy score\u00a0↑ | dead share" in heads[0]
    assert "toy" in json.loads(Path("reports/metrics.json").read_text())["standard"]["l0-4"]
    groups = json.loads(Path("reports/tables/standing.json").read_text())["groups"]
    names = [column["name"] for column in groups[0]["columns"]]
    assert names[names.index("kl") + 1] == "toy"
    for name in ("scores", "summary", "curves", "pairs"):
        assert "\ttoy\ttoy_score\t" in Path(f"reports/tables/{name}.tsv").read_text()
    Path("reports/evaluations/toy/temporal/results.json").unlink()
    with pytest.raises(BadInput, match=r"toy/temporal/results.json is missing: run `dvc repro toy@temporal`"):
        run()


def test_it_works_without_absorption(world: World) -> None:
    shutil.rmtree("reports/evaluations/absorption")
    run()
    assert Path("reports/tables/letters.tsv").read_text(encoding="utf-8").count("\n") == 1
    heads = [line for line in Path("reports/tables/table.md").read_text().splitlines() if "| L0 |" in line]
    assert "probing" in heads[0]
    assert "absorption" not in heads[0]


def measured_with(variant: str, section: dict[str, int]) -> None:
    """Say that `behavior` measured `variant` with other parameters."""
    folder = Path("reports/evaluations/behavior") / variant
    write_results(folder, replace(read_results(folder, "behavior"), section=section))


def test_parameters_of_the_evaluations_are_reported(world: World) -> None:
    for variant in world.variants:
        measured_with(variant, {"contexts": 7})
    run()
    report = json.loads(Path("reports/report.json").read_text(encoding="utf-8"))
    assert report["sections"]["behavior"] == {"contexts": 7}
    assert set(report["sections"]) == {"reconstruction", "behavior", "absorption", "probing", "ground_truth"}


def test_variants_measured_with_other_parameters_are_refused(world: World) -> None:
    measured_with("temporal", {"contexts": 7})
    with pytest.raises(BadInput, match=r"behavior measured temporal with other parameters .*repro behavior`"):
        run()
    assert not files() & WRITTEN


@pytest.fixture
def with_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(variants=["standard"], targets=[4], given=("mine",))
    made.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return made


def test_an_external_sae_is_in_every_table_but_the_training_curves(
    with_given: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    assert "Trained elsewhere" in capsys.readouterr().out
    for name in ("scores", "summary", "pareto", "letters"):
        text = Path(f"reports/tables/{name}.tsv").read_text(encoding="utf-8")
        assert "\nmine\tgiven\t" in text, name
    assert "mine" not in Path("reports/tables/training.tsv").read_text(encoding="utf-8")
    assert set(json.loads(Path("reports/metrics.json").read_text())["mine"]) == {"given"}


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("models/sae/mine/external/index.json", "external@mine"),
        ("reports/evaluations/probing/mine/results.json", "probing_external@mine"),
    ],
)
def test_a_missing_external_result_names_its_stage(with_given: World, path: str, stage: str) -> None:
    Path(path).unlink()
    with pytest.raises(BadInput, match=f"{path} is missing: run `dvc repro {stage}`"):
        run()


def test_an_external_sae_cannot_have_a_variant_s_name(with_given: World) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8").replace("mine:", "standard:")
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match="both name 'standard'"):
        run()


def altered(path: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join("\t".join(row) + "\n" for row in change(rows)), encoding="utf-8")


def test_items_that_give_another_value_than_the_results_are_refused(world: World) -> None:
    path = Path("reports/evaluations/behavior/temporal/contexts.tsv")
    place = path.read_text(encoding="utf-8").splitlines()[0].split("\t").index("kl_sae")
    altered(path, lambda rows: [rows[0], [*rows[1][:place], "9999", *rows[1][place + 1 :]], *rows[2:]])
    with pytest.raises(BadInput, match=r"gives kl_sae .* but results.json says .*-f behavior@temporal"):
        run()
    assert not files() & WRITTEN


def test_items_of_other_contexts_are_refused(world: World) -> None:
    path = Path("reports/evaluations/reconstruction/temporal/contexts.tsv")
    altered(path, lambda rows: [rows[0], *([*row[:3], f"1{row[3]}", *row[4:]] for row in rows[1:])])
    with pytest.raises(BadInput, match=r"contexts.tsv of reconstruction for temporal lists other contexts"):
        run()


def test_an_sae_without_items_is_refused(world: World) -> None:
    path = Path("reports/evaluations/absorption/temporal/predictions.tsv")
    altered(path, lambda rows: [row for row in rows if row[1] != "43"])
    said = r"predictions.tsv of absorption for temporal has no rows for seed 43, run l0-4: .*absorption@temp"
    with pytest.raises(BadInput, match=said):
        run()


def test_a_table_without_a_column_is_damaged(world: World) -> None:
    path = Path("reports/evaluations/probing/temporal/items.tsv")
    altered(path, lambda rows: [row[:-1] for row in rows])
    with pytest.raises(BadInput, match=r"items.tsv is damaged .*-f probing@temporal"):
        run()


def test_words_that_spell_numbers_stay_words(world: World) -> None:
    for variant in world.variants:
        path = Path(f"reports/evaluations/absorption/{variant}/words.tsv")
        path.write_text(path.read_text(encoding="utf-8").replace("word3\t", "nan\t"), encoding="utf-8")
    run()


def test_stale_folders_are_named_on_stderr_only(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    stale = ("models/sae/old/42", "models/sae/temporal/99", "reports/evaluations/probing/old")
    for folder in stale:
        Path(folder).mkdir(parents=True)
    Path("reports/evaluations/probing/old/results.json").write_text("{}", encoding="utf-8")
    run()
    said = capsys.readouterr()
    for folder in ("models/sae/old", "models/sae/temporal/99", "reports/evaluations/probing/old"):
        assert f"ignored: {folder} is not in the variants and seeds of params.yaml" in said.err
    assert "ignored" not in said.out
    assert list(json.loads(Path("reports/metrics.json").read_text(encoding="utf-8"))) == world.variants


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("variants: []", "`variants` must be a list of at least one str"),
        ("variants: [standard, standard]", "`variants` names one of its items twice"),
        ("seeds: [a]", "`seeds` must be a list of at least one int"),
        ("seeds: 42", "`seeds` must be a list of at least one int"),
    ],
)
def test_lists_that_cannot_work_are_refused(world: World, line: str, said: str) -> None:
    key = line.split(":")[0]
    other = {"variants": "variants: [standard]", "seeds": "seeds: [42, 43]"}
    text = "\n".join([line, *(value for name, value in other.items() if name != key)])
    Path("params.yaml").write_text(
        f"{text}\nprofile: a\nprofiles: {{a: {{}}}}\nexternal: {{}}\n", encoding="utf-8"
    )
    with pytest.raises(BadInput, match=said):
        run()


def test_it_imports_no_torch() -> None:
    code = (
        "import sys, pipeline.stages.compare; "
        "print([name for name in ('torch', 'transformers', 'zarr') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_plots_of_dvc_read_columns_that_exist(world: World) -> None:
    from ruamel.yaml import YAML

    run()
    graph = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    plots = [plot for entry in graph["plots"] for plot in entry.values()]
    assert plots
    for plot in plots:
        assert (ROOT / ".dvc/plots" / f"{plot['template']}.json").is_file()
        for axis in ("x", "y"):
            for name, column in plot[axis].items():
                head = Path(name).read_text(encoding="utf-8").splitlines()[0].split("\t")
                assert {column, "label", "run", "target"} <= set(head)
