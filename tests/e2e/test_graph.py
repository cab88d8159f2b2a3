"""What reruns when something changes: exactly what depends on it, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.e2e.clone import Clone, Outcome
from tests.e2e.tiny import GATHERING, GIVEN, SEED, VARIANTS, all_stages, stages_of, stages_of_external

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


def test_the_first_run_runs_everything_and_leaves_git_clean(first_run: tuple[Clone, Outcome]) -> None:
    clone, outcome = first_run
    assert outcome.executed == all_stages()
    committed = clone.git("show", "--stat=200", "--format=", "HEAD")
    assert {line.split("|")[0].strip() for line in committed.splitlines()[:-1]} == {
        "dvc.lock",
        "reports/intervals.json",
        "reports/metrics.json",
        "reports/report.json",
    }


def test_a_second_run_does_nothing(clone: Clone) -> None:
    before = (clone.root / "dvc.lock").read_bytes()
    outcome = clone.dvc("repro")
    assert outcome.executed == set()
    assert "Data and pipelines are up to date." in outcome.stdout
    assert (clone.root / "dvc.lock").read_bytes() == before
    assert clone.git("status", "--short") == ""


@pytest.fixture(scope="module")
def sweep(
    first_run: tuple[Clone, Outcome], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Clone, Outcome]]:
    """One number changed by `dvc exp run`, for the tests of what DVC then shows. Not to be changed."""
    clone = first_run[0].copy(tmp_path_factory.mktemp("sweep") / "clone")
    yield clone, clone.dvc("exp", "run", "-S", "atm.threshold=0.25")
    shutil.rmtree(clone.root)


def test_one_number_reruns_its_variant_and_compare(sweep: tuple[Clone, Outcome]) -> None:
    assert sweep[1].executed == stages_of("atm").union(GATHERING)


def test_metrics_diff_shows_that_variant_only(sweep: tuple[Clone, Outcome]) -> None:
    shown = json.loads(sweep[0].dvc("metrics", "diff", "--json").stdout)
    assert list(shown) == ["reports/metrics.json"]
    changed = set(shown["reports/metrics.json"])
    assert changed
    assert all("atm" in key for key in changed)


def test_params_diff_shows_the_number(sweep: tuple[Clone, Outcome]) -> None:
    shown = json.loads(sweep[0].dvc("params", "diff", "--json").stdout)
    assert shown["params.yaml"]["atm.threshold"]["new"] == 0.25


def test_plots_diff_renders(sweep: tuple[Clone, Outcome], tmp_path: Path) -> None:
    sweep[0].dvc("plots", "diff", "--out", str(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "vega" in page.lower()


def test_exp_show_lists_it(sweep: tuple[Clone, Outcome]) -> None:
    assert "0.25" in sweep[0].dvc("exp", "show", "--csv").stdout


def test_a_probing_number_reruns_probing_and_compare(clone: Clone) -> None:
    outcome = clone.dvc("exp", "run", "-S", "probing.k=[1,3]")
    assert outcome.executed == {
        *GATHERING, f"probing_external@{GIVEN}", *(f"probing@{variant}" for variant in VARIANTS)
    }  # fmt: skip


def test_a_comment_in_a_variant_reruns_what_runs_its_code(clone: Clone) -> None:
    """And no further: the new bytes are the old ones, so no evaluation follows."""
    with (clone.root / "pipeline/sae/atm.py").open("a", encoding="utf-8") as file:
        file.write("# a remark\n")
    assert clone.dvc("repro").executed == {f"train@atm-{SEED}", "ground_truth@atm"}


def test_switching_the_profile_back_restores_everything(clone: Clone) -> None:
    before = (clone.root / "dvc.lock").read_bytes()
    tree = clone.params()
    clone.set_params({**tree, "profile": "other"})
    there = clone.dvc("repro", f"reconstruction@{VARIANTS[1]}")
    assert there.executed == {
        "corpus", "model", "harvest", f"train@{VARIANTS[1]}-{SEED}", f"reconstruction@{VARIANTS[1]}"
    }  # fmt: skip
    clone.set_params(tree)
    back = clone.dvc("repro")
    assert back.executed == set()
    assert there.executed <= back.restored
    assert (clone.root / "dvc.lock").read_bytes() == before
    assert clone.git("status", "--short") == ""


def test_a_new_variant_reruns_nothing_but_its_own_stages(clone: Clone) -> None:
    code = (clone.root / "pipeline/sae/topk.py").read_text(encoding="utf-8")
    (clone.root / "pipeline/sae/toy.py").write_text(code, encoding="utf-8")
    tree = clone.params()
    tree["toy"] = dict(tree["topk"])
    for place in (tree["ground_truth_tuned"], *(each["tuned"] for each in tree["profiles"].values())):
        place["toy"] = {}
    clone.set_params({**tree, "variants": [*tree["variants"], "toy"]})
    assert clone.dvc("repro").executed == stages_of("toy").union(GATHERING)
    assert set(clone.git("status", "--short").split()) == {
        "M", "params.yaml", "dvc.lock", "reports/metrics.json", "reports/intervals.json",
        "reports/report.json", "??", "pipeline/sae/toy.py",
    }  # fmt: skip


def test_an_external_sae_is_one_line_and_runs_its_own_stages_only(clone: Clone) -> None:
    """With it gone again only what gathers results is made anew; the graph is what it was before."""
    shutil.copytree(clone.root / GIVEN, clone.root / "other")
    tree = clone.params()
    clone.set_params({**tree, "external": {**tree["external"], "other": {"path": "other"}}})
    assert clone.dvc("repro").executed == stages_of_external("other") | set(GATHERING)
    table = (clone.root / "reports/tables/summary.tsv").read_text(encoding="utf-8")
    assert "\nother\tgiven\t" in table
    clone.set_params({**tree, "external": {}})
    assert clone.dvc("repro").executed == set(GATHERING)
    assert not any("external" in name for name in clone.dvc("stage", "list", "--name-only").stdout.split())
    assert clone.dvc("repro").executed == set()


def test_an_edited_external_sae_is_evaluated_again(clone: Clone) -> None:
    config = clone.root / GIVEN / "config.json"
    config.write_text(
        config.read_text(encoding="utf-8").replace("AutoEncoder", "AutoEncoder "), encoding="utf-8"
    )
    refused = clone.run("dvc", "repro", f"external@{GIVEN}", code=255)
    assert "'AutoEncoder '" in refused.stderr


TOY = Path(__file__).with_name("toy")


def test_a_new_evaluation_is_a_folder_a_stage_a_block_and_a_section(clone: Clone) -> None:
    """Its column is in the tables and on the page; nothing of another evaluation runs again."""
    shutil.copytree(TOY / "room", clone.root / "pipeline/metrics/toy")
    shutil.copy2(TOY / "stage.py", clone.root / "pipeline/stages/toy.py")
    tree = clone.params()
    section = YAML(typ="safe", pure=True).load((TOY / "params.yaml").read_text(encoding="utf-8"))
    clone.set_params({**tree, **section})
    graph = clone.root / "dvc.yaml"
    text = graph.read_text(encoding="utf-8")
    block = (TOY / "block.yaml").read_text(encoding="utf-8")
    graph.write_text(text.replace("stages:\n", f"stages:\n{block}\n", 1), encoding="utf-8")
    clone.pipeline("graph")
    own = {f"toy_external@{GIVEN}", *(f"toy@{variant}" for variant in VARIANTS)}
    assert clone.dvc("repro").executed == own | set(GATHERING) - {"saebench"}
    assert "toy share" in (clone.root / "reports/index.html").read_text(encoding="utf-8")
    assert "toy_long" in (clone.root / "reports/tables/summary.tsv").read_text(encoding="utf-8")
    metrics = json.loads((clone.root / "reports/metrics.json").read_text(encoding="utf-8"))
    assert all("toy_long" in json.dumps(metrics[variant]) for variant in VARIANTS)


def test_a_line_of_one_evaluation_reruns_it_what_reuses_it_and_compare(clone: Clone) -> None:
    """Its numbers change, so what reads them follows; no other evaluation and no training does."""
    code = clone.root / "pipeline/metrics/absorption/scoring.py"
    text = code.read_text(encoding="utf-8")
    assert "SILENT = 1e-8" in text
    code.write_text(text.replace("SILENT = 1e-8", "SILENT = 1e8"), encoding="utf-8")
    assert clone.dvc("repro").executed == {
        *GATHERING, f"absorption_external@{GIVEN}", f"latents_external@{GIVEN}",
        *(f"{each}@{variant}" for each in ("absorption", "ground_truth", "latents") for variant in VARIANTS),
    }  # fmt: skip
