from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from pipeline.console.errors import BadInput
from pipeline.parallel.workers import WORKERS
from pipeline.stages import ground_truth
from pipeline.stages.ground_truth import METRICS, GroundTruthSection

FEATURES = 4 * (1 + 2) + 2 * 1 + 2 * 1 + 12
PARAMS = {
    "profile": "tiny",
    "profiles": {"tiny": {"compute": {"device": "cpu", "threads": 1}}},
    "ground_truth": {
        "seeds": [3, 4], "n": 32, "l0": [2, 4], "tokens": 5120, "batch": 64, "dead_tokens": 1000,
        "train_contexts": 64, "validation_contexts": 8, "test_contexts": 16,
        "source": {
            "d": 16, "parents": 4, "children": 2, "states": 1, "orders": 1, "independents": 12,
            "context_length": 16,
        },
    },
    "standard": {"controls": ["pairs"]}, "topk": {}, "temporal": {},
}  # fmt: skip


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with nothing but params.yaml; the stage sets torch's threads, which are put back."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    write(PARAMS)
    yield
    torch.set_num_threads(threads)


def write(params: dict) -> None:
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)


def outcome(variant: str) -> tuple[dict, list[dict]]:
    folder = Path("reports/evaluations/ground_truth") / variant
    with (folder / "features.tsv").open(encoding="utf-8") as file:
        return json.loads((folder / "results.json").read_text()), list(csv.DictReader(file, delimiter="\t"))


def test_every_seed_and_target_is_measured():
    ground_truth.run("topk")
    found, features = outcome("topk")
    assert found["evaluation"] == "ground_truth"
    assert [(row["seed"], row["target"]) for row in found["rows"]] == [(3, 2), (3, 4), (4, 2), (4, 4)]
    names = {metric.name for metric in METRICS}
    for row in found["rows"]:
        assert (row["label"], row["model"], row["layer"], row["n"], row["d"]) == (
            "topk", "synthetic", None, 32, 16,
        )  # fmt: skip
        assert set(row["metrics"]) == names
        assert row["metrics"]["l0"]["value"] == pytest.approx(row["target"], abs=0.6)
        assert len(row["sae_sha256"]) == 64
    assert len({row["sae_sha256"] for row in found["rows"]}) == 4
    assert len(features) == 4 * FEATURES


def test_the_features_table_is_what_the_metrics_average():
    ground_truth.run("topk")
    found, features = outcome("topk")
    metrics = found["rows"][0]["metrics"]
    mine = [entry for entry in features if (entry["seed"], entry["run"]) == ("3", "l0-2")]
    counts = {"parent": 4, "child": 8, "coupled": 2, "event": 2, "independent": 12}
    assert [entry["kind"] for entry in mine] == [kind for kind in counts for _ in range(counts[kind])]
    assert [entry["parent"] for entry in mine[3:13]] == ["", "0", "0", "1", "1", "2", "2", "3", "3", ""]
    mean = sum(float(entry["cosine"]) for entry in mine) / FEATURES
    assert mean == pytest.approx(metrics["recovery_mmcs"]["value"], abs=1e-6)
    f1 = [float(entry["f1"]) for entry in mine if entry["f1"]]
    assert sum(f1) / len(f1) == pytest.approx(metrics["firing_f1"]["value"], abs=1e-6)


def test_training_learns_the_source():
    """Far above what the untrained dictionary gives, which is the same code with almost no tokens."""
    section = PARAMS["ground_truth"] | {"seeds": [3], "l0": [4], "lr": 0.01}
    write(PARAMS | {"ground_truth": section | {"tokens": 64}})
    ground_truth.run("topk")
    untrained = outcome("topk")[0]["rows"][0]["metrics"]
    write(PARAMS | {"ground_truth": section | {"tokens": 25_600}})
    ground_truth.run("topk")
    trained = outcome("topk")[0]["rows"][0]["metrics"]
    for name, margin in {"recovery_mmcs": 0.1, "explained_variance": 0.2, "firing_f1": 0.1}.items():
        assert trained[name]["value"] > untrained[name]["value"] + margin


def test_control_readings_are_rows_of_their_own():
    write(PARAMS | {"ground_truth": PARAMS["ground_truth"] | {"seeds": [3], "l0": [4]}})
    ground_truth.run("standard")
    rows = outcome("standard")[0]["rows"]
    assert [(row["label"], row["reading"]) for row in rows] == [
        ("standard", "tokens"),
        ("standard (pairs)", "pairs"),
    ]


def test_a_temporal_variant_reads_pairs():
    write(PARAMS | {"ground_truth": PARAMS["ground_truth"] | {"seeds": [3], "l0": [4]}})
    ground_truth.run("temporal")
    assert [row["reading"] for row in outcome("temporal")[0]["rows"]] == ["pairs"]


def test_equal_params_give_equal_bytes_in_any_number_of_processes(monkeypatch: pytest.MonkeyPatch):
    files = ("results.json", "features.tsv")
    contents = []
    for workers in ("1", "3"):
        monkeypatch.setenv(WORKERS, workers)
        ground_truth.run("topk")
        contents.append(
            [(Path("reports/evaluations/ground_truth/topk") / name).read_bytes() for name in files]
        )
    assert contents[0] == contents[1]


def test_a_diverged_sae_gives_its_reason_for_every_metric(monkeypatch: pytest.MonkeyPatch):
    real = ground_truth.train

    def diverging(*arguments):
        [one] = real(*arguments)
        if one.run.target != 2:
            return [one]
        run = replace(one.run, status="diverged", reason="explained variance fell below 0")
        return [replace(one, run=run)]

    monkeypatch.setattr(ground_truth, "train", diverging)
    ground_truth.run("topk")
    found, features = outcome("topk")
    lost, kept = found["rows"][:2]
    assert (lost["status"], kept["status"]) == ("diverged", "ok")
    assert {(m["value"], m["reason"]) for m in lost["metrics"].values()} == {
        (None, "explained variance fell below 0")
    }
    assert kept["metrics"]["recovery_mmcs"]["value"] is not None
    assert {(entry["seed"], entry["run"]) for entry in features} == {("3", "l0-4"), ("4", "l0-4")}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"l0": [64]}, "L0 target 64"),
        ({"tokens": 10}, "less than one batch"),
        ({"train_contexts": 2}, "fewer than one batch"),
        ({"source": {"d": 1}}, "ground_truth.source.d"),
        ({"depth": 3}, "`ground_truth.depth` is not a parameter"),
    ],
)
def test_impossible_sections_are_refused_and_nothing_is_written(change, words):
    write(PARAMS | {"ground_truth": PARAMS["ground_truth"] | change})
    with pytest.raises(BadInput, match=words):
        ground_truth.run("topk")
    assert not Path("reports").exists()


def test_defaults_train_around_the_sources_own_l0():
    section = GroundTruthSection.parse({}, "ground_truth")
    assert section.l0 == [round(section.source.l0), round(section.source.l0) + 1]
    assert section.n > section.source.features
    assert ground_truth.training_of(section).l0 == section.l0
