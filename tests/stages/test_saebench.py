"""Stage saebench: SAEBench's fields hold what the evaluations wrote. That its own classes take the files
is tested where they are installed, tests/parity/test_result_files.py."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from pipeline.console.errors import BadInput
from pipeline.stages.saebench import run
from tests.stages.evaluated import read_results, read_table
from tests.stages.whole import evaluate, readers

FOLDER = Path("reports/saebench")
NAME = "toy_1_l0-4_custom_sae_eval_results.json"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        evaluate(toy=readers(), matryoshka={"l0-4": readers()["l0-4"]})
    return folder


@pytest.fixture
def here(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def written(kind: str, name: str = NAME) -> dict[str, Any]:
    return json.loads((FOLDER / kind / name).read_text(encoding="utf-8"))


def measured(stage: str) -> dict[str, Any]:
    return {name: given["value"] for name, given in read_results(stage, "toy")["rows"][0]["metrics"].items()}


@pytest.mark.usefixtures("here")
def test_each_sae_that_has_numbers_has_its_files_and_equal_bytes_twice() -> None:
    run()
    first = {path: path.read_bytes() for path in FOLDER.rglob("*.json")}
    (FOLDER / "core/left_over_eval_results.json").write_text("{}")
    run()
    assert {path: path.read_bytes() for path in FOLDER.rglob("*.json")} == first
    runs = [("toy", seed, name) for seed in (1, 2) for name in ("l0-4", "l0-8", "untrained")]
    runs += [("matryoshka", seed, "l0-4") for seed in (1, 2)]
    names = {f"{variant}_{seed}_{name}_custom_sae_eval_results.json" for variant, seed, name in runs}
    for kind in ("core", "absorption", "sparse_probing"):
        assert {path.name for path in first if path.parent.name == kind} == names
    identities = {json.loads(content)["eval_id"] for content in first.values()}
    assert len(identities) == len(first)


@pytest.mark.usefixtures("here")
def test_core_holds_the_compatible_values_and_the_right_ones_beside() -> None:
    run()
    found, ours = written("core"), measured("reconstruction") | measured("behavior")
    fields = {name: value for each in found["eval_result_metrics"].values() for name, value in each.items()}
    renamed = {
        "explained_variance": "explained_variance_saebench", "mse": "mse_saebench", "cossim": "cosine"
    }  # fmt: skip
    counts = {name: fields.pop(name) for name in list(fields) if name.startswith("total_tokens")}
    assert len(fields) == 24
    assert fields == {name: ours[renamed.get(name, name)] for name in fields}
    contexts = [row for row in read_table("reconstruction", "toy", "contexts.tsv") if row["run"] == "l0-4"]
    tokens = sum(float(row["tokens"]) for row in contexts if row["seed"] == "1")
    assert counts["total_tokens_eval_sparsity_variance"] == tokens
    assert counts["total_tokens_eval_reconstruction"] < tokens
    assert found["eval_result_unstructured"]["explained_variance"]["value"] == ours["explained_variance"]
    assert found["eval_result_details"] == []
    config = found["eval_config"]
    assert (config["batch_size_prompts"], config["n_eval_sparsity_variance_batches"]) == (4, 2)
    assert (config["n_eval_reconstruction_batches"], config["context_size"]) == (2, 16)


@pytest.mark.usefixtures("here")
def test_a_core_number_that_is_not_defined_is_minus_one() -> None:
    path = Path("reports/evaluations/behavior/toy/results.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["rows"][0]["metrics"]["ce_loss_score"] |= {"value": None, "reason": "no scale"}
    path.write_text(json.dumps(content), encoding="utf-8")
    run()
    assert written("core")["eval_result_metrics"]["model_performance_preservation"]["ce_loss_score"] == -1


@pytest.mark.usefixtures("here")
def test_absorption_holds_saebenchs_means_and_our_letters_beside() -> None:
    run()
    found, ours = written("absorption"), measured("absorption")
    means = found["eval_result_metrics"]["mean"]
    fields = ("mean_absorption_fraction_score", "mean_full_absorption_score", "mean_num_split_features")
    spread = {name.replace("mean_", "std_dev_"): -1 for name in fields}
    assert means == {name: ours[name] for name in fields} | spread
    beside = found["eval_result_unstructured"]
    rows = {
        row["letter"]: row for row in read_table("absorption", "toy", "letters.tsv")
        if (row["seed"], row["run"], row["kept"]) == ("1", "l0-4", "1")
    }  # fmt: skip
    assert set(beside["letters"]) == set(rows)
    for letter, row in rows.items():
        assert beside["letters"][letter]["num_probe_true_positives"] == int(row["true_positives"])
        assert beside["letters"][letter]["mean_absorption_fraction"] == float(row["absorption_fraction"])
    assert beside["mean_absorption_fraction"]["value"] == ours["mean_absorption_fraction"]
    assert found["eval_result_details"] == []
    assert found["eval_config"]["prompt_template"] == "{word} has the first letter:"
    assert found["eval_config"]["min_feats_for_eval"] == 2


@pytest.mark.usefixtures("here")
def test_probing_holds_saebenchs_accuracies_and_our_classes_beside() -> None:
    run()
    found, ours = written("sparse_probing"), measured("probing")
    for side, metrics in found["eval_result_metrics"].items():
        # k = 3 has no field in the schema
        fields = [f"{side}_test_accuracy", *(f"{side}_top_{k}_test_accuracy" for k in (1, 2))]
        assert metrics == {name: ours[name] for name in fields}
    beside = found["eval_result_unstructured"]
    assert beside["probing_k3"]["value"] == ours["probing_k3"]
    classes = beside["classes"]["labelled"]
    assert set(classes["raw_dense"]) == {"a", "b", "c"}
    for name in ("probing_k1", "probing_k3", "raw_neurons_k2", "raw_dense"):
        assert mean(classes[name].values()) == pytest.approx(ours[name])
    config = found["eval_config"]
    assert (config["probe_train_set_size"], config["probe_test_set_size"]) == (20, 12)


@pytest.mark.usefixtures("here")
def test_methods_have_saebenchs_names_and_nothing_is_of_the_moment() -> None:
    run()
    cfg = written("core", "matryoshka_2_l0-4_custom_sae_eval_results.json")["sae_cfg_dict"]
    assert (cfg["architecture"], cfg["d_sae"], cfg["training_tokens"]) == ("matryoshka_batch_topk", 24, 1000)
    assert written("core")["sae_cfg_dict"]["architecture"] == "toy"
    assert (written("core")["datetime_epoch_millis"], written("core")["sae_lens_version"]) == (0, None)


@pytest.mark.usefixtures("here")
def test_an_sae_trained_elsewhere_has_its_files_too() -> None:
    shutil.move("models/sae/matryoshka/1", "models/sae/matryoshka/external")
    shutil.rmtree("models/sae/matryoshka/2")
    for stage in ("reconstruction", "behavior", "absorption", "probing"):
        path = Path("reports/evaluations") / stage / "matryoshka/results.json"
        content = json.loads(path.read_text(encoding="utf-8"))
        content["rows"] = content["rows"][:1]
        path.write_text(json.dumps(content), encoding="utf-8")
    tree = json.loads(Path("params.yaml").read_text(encoding="utf-8"))
    tree |= {"variants": ["toy"], "external": {"matryoshka": {}}}
    Path("params.yaml").write_text(json.dumps(tree), encoding="utf-8")
    run()
    assert written("core", "matryoshka_1_l0-4_custom_sae_eval_results.json")["sae_cfg_dict"]["d_sae"] == 24


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("reports/evaluations/behavior/toy/contexts.tsv", "behavior@toy"),
        ("reports/evaluations/probing/toy/results.json", "probing@toy"),
        ("data/letter_task/letters.json", "letter_task"),
        ("models/sae/toy/1/l0-4/cfg.json", "train@toy-1"),
    ],
)
def test_a_missing_input_names_its_stage_and_leaves_nothing(path: str, stage: str) -> None:
    Path(path).unlink()
    with pytest.raises(BadInput, match=f"{path} is missing: run `dvc repro {stage}`"):
        run()
    assert not FOLDER.exists()


@pytest.mark.usefixtures("here")
def test_numbers_of_other_weights_are_refused() -> None:
    path = Path("reports/evaluations/absorption/toy/results.json")
    path.write_text(path.read_text(encoding="utf-8").replace('"sae_sha256": "', '"sae_sha256": "0'))
    with pytest.raises(BadInput, match=r"measured on other SAEs .* run `dvc repro absorption@toy`"):
        run()
