from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.metrics.common import controls
from pipeline.metrics.common.controls import permuted
from pipeline.metrics.reconstruction.evaluate import METRICS
from pipeline.metrics.reconstruction.orders import Shuffled
from pipeline.stages.common.files import evaluation_folder
from pipeline.stages.reconstruction import run
from tests.metrics.codes import perfect_sae, random_sae
from tests.stages.evaluated import (
    SPECIAL,
    contexts,
    read_results,
    read_table,
    write_params,
    write_saes,
    write_store,
)

C, T, D, N = 12, 10, 6, 16
SECTION = {
    "batch_contexts": 2,
    "temporal_contexts": 4,
    "dead_tokens": 30,
    "window": 5,
    "resamples": 100,
    "seed": 0,
}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """ids (C, T) and x (C, T, D) of a store in the current folder, and the SAEs of `toy`."""
    monkeypatch.chdir(tmp_path)
    ids = contexts(C, T, vocabulary=30)
    x = torch.randn(C, T, D, generator=torch.Generator().manual_seed(1)) + torch.arange(D)
    x[(ids == 0)] *= 50  # special tokens are far off: any that leaked in would show
    write_store(ids, x)
    write_params(reconstruction=SECTION)
    for seed in (1, 2):
        saes = {
            "l0-3": random_sae(D, N, 3, seed),
            "pairs-l0-3": random_sae(D, N, 4, seed),
            "bad": perfect_sae(D),
        }
        write_saes("toy", seed, saes, diverged="bad")
    return ids, x


def test_test_tokens_without_special_ones_are_measured(stored: tuple[Tensor, Tensor]):
    ids, x = stored
    run("toy")
    found = read_results("reconstruction", "toy")
    first = found["rows"][0]
    valid = ~torch.isin(ids[6:12], torch.tensor(SPECIAL))
    rows = x[6:12][valid].double().numpy()
    r = random_sae(D, N, 3, 1).reconstruct(x[6:12][valid]).double().numpy()
    expected = 1 - ((rows - r) ** 2).sum() / ((rows - rows.mean(0)) ** 2).sum()
    assert first["metrics"]["explained_variance"]["value"] == pytest.approx(expected, rel=1e-6)
    assert first["metrics"]["mse"]["items"] == int(valid.sum())
    assert first["metrics"]["mse"]["value"] == pytest.approx(((rows - r) ** 2).mean(), rel=1e-6)


def test_rows_are_seeds_by_runs_with_every_metric(stored: tuple[Tensor, Tensor]):
    run("toy")
    found = read_results("reconstruction", "toy")
    assert [(row["seed"], row["run"]) for row in found["rows"]] == [
        (seed, name) for seed in (1, 2) for name in ("l0-3", "pairs-l0-3", "bad")
    ]
    names = {metric.name for metric in METRICS}
    assert set(found["metrics"]) == names
    assert all(set(row["metrics"]) == names for row in found["rows"])
    assert {"persistence", "flicker", "flicker_shuffled", "smoothness", "run_length_shuffled"} <= names


def test_a_diverged_sae_is_missing_with_its_reason(stored: tuple[Tensor, Tensor]):
    run("toy")
    for row in read_results("reconstruction", "toy")["rows"]:
        values = {(value["value"] is None, value["reason"]) for value in row["metrics"].values()}
        if row["run"] == "bad":
            assert values == {(True, "diverged at step 7")}
        else:
            assert (True, "diverged at step 7") not in values


def test_temporal_metrics_take_the_first_contexts_only(stored: tuple[Tensor, Tensor]):
    run("toy")
    assert len(read_table("reconstruction", "toy", "contexts.tsv")) == 4 * 6
    temporal = read_table("reconstruction", "toy", "temporal.tsv")
    assert len(temporal) == 4 * 4
    assert {row["context"] for row in temporal} == {"6", "7", "8", "9"}


def test_flicker_is_counted_within_documents(stored: tuple[Tensor, Tensor]):
    ids, x = stored
    run("toy")
    on = random_sae(D, N, 3, 1).encode(x[6:10].reshape(-1, D)).dense().view(4, T, N) > 0
    valid = ~torch.isin(ids[6:10], torch.tensor(SPECIAL))
    stays = total = 0
    for c in range(4):
        for t in range(T - 1):  # a special token stands between two documents, so valid neighbours share one
            if valid[c, t] and valid[c, t + 1]:
                total += int(on[c, t].sum())
                stays += int((on[c, t] & on[c, t + 1]).sum())
    flicker = read_results("reconstruction", "toy")["rows"][0]["metrics"]["flicker"]
    assert flicker["items"] == total
    assert flicker["value"] == pytest.approx(1 - stays / total, rel=1e-12)


def test_tables_add_up(stored: tuple[Tensor, Tensor]):
    run("toy")
    latents = read_table("reconstruction", "toy", "latents.tsv")
    assert len(latents) == 4 * N
    histogram = read_table("reconstruction", "toy", "density_histogram.tsv")
    labels = {(row["label"], row["seed"]) for row in histogram}
    assert labels == {("toy", "1"), ("toy", "2")}
    assert sum(int(row["latents"]) for row in histogram) == 4 * N
    l0 = read_results("reconstruction", "toy")["rows"][0]["metrics"]["l0"]["value"]
    first = [row for row in latents if row["seed"] == "1" and row["run"] == "l0-3"]
    assert sum(float(row["density"]) for row in first) == pytest.approx(l0, rel=1e-8)


def test_controls_score_what_the_same_saes_score_as_runs(stored: tuple[Tensor, Tensor]):
    ids, x = stored
    centre = x[6:12][~torch.isin(ids[6:12], torch.tensor(SPECIAL))].double().mean(0).float()[None]
    saes = {
        "permuted": permuted(random_sae(D, N, 3, 1), SECTION["seed"]),
        "untrained": controls.random_sae(centre, N, 4, SECTION["seed"]),  # the target of all runs is 4
    }
    write_saes("controls", 1, saes)
    write_saes("controls", 2, saes)
    run("toy")
    run("controls")
    as_runs = {row["run"]: row["metrics"] for row in read_results("reconstruction", "controls")["rows"]}
    found = read_results("reconstruction", "toy")["rows"][0]["metrics"]
    for run_name, control, names in (
        ("permuted", "shuffled_decoder", ["explained_variance"]),
        ("untrained", "random_sae", ["explained_variance", "dead_share", "persistence", "smoothness_ratio"]),
    ):
        for name in names:
            value = found[f"{name}_{control}"]["value"]
            assert value == pytest.approx(as_runs[run_name][name]["value"], rel=1e-6)
    assert found["explained_variance_shuffled_decoder"]["value"] != found["explained_variance"]["value"]


def test_dead_latents_are_those_silent_in_the_training_window(stored: tuple[Tensor, Tensor]):
    ids, x = stored
    run("toy")
    # 4 contexts of 10 tokens are the train split; blocks of 2 contexts hold the 30 tokens asked for
    valid = ~torch.isin(ids[:4], torch.tensor(SPECIAL))
    on = random_sae(D, N, 3, 1).encode(x[:4][valid]).dense() > 0
    found = read_results("reconstruction", "toy")["rows"][0]["metrics"]
    assert found["dead_share"]["value"] == float((on.sum(0) == 0).double().mean())
    assert found["dense_share"]["value"] == float((on.double().mean(0) > 0.3).double().mean())
    assert found["silent_share"]["value"] == 1 - found["frac_alive"]["value"]


def test_the_token_lookup_stands_beside_every_sae(stored: tuple[Tensor, Tensor]):
    ids, x = stored
    run("toy")
    train, test = (~torch.isin(ids[part], torch.tensor(SPECIAL)) for part in (slice(0, 4), slice(6, 12)))
    rows, kinds = x[:4][train].double(), ids[:4][train]
    known = {int(each): rows[kinds == each].mean(0) for each in kinds.unique()}
    given = torch.stack([known.get(int(each), rows.mean(0)) for each in ids[6:12][test]])
    truth = x[6:12][test].double()
    expected = 1 - (truth - given).square().sum() / (truth - truth.mean(0)).square().sum()
    own = [int(each) in known for each in ids[6:12][test]]
    for row in read_results("reconstruction", "toy")["rows"]:
        if row["run"] != "bad":
            found = row["metrics"]
            assert found["explained_variance_token_lookup"]["value"] == pytest.approx(
                float(expected), rel=1e-5
            )
            assert found["l0_token_lookup"]["value"] == pytest.approx(np.mean(own))
            assert found["persistence_shuffled_tokens"]["value"] == 0


def test_persistence_is_made_again_from_the_table(stored: tuple[Tensor, Tensor]):
    run("toy")
    table = [row for row in read_table("reconstruction", "toy", "temporal.tsv") if row["seed"] == "1"][:4]
    total = {
        name: sum(float(row[name]) for row in table) for name in table[0] if name not in ("label", "run")
    }
    flicker, chance = (
        1 - total[f"stays_on{order}"] / total[f"on_followed{order}"] for order in ("", "_shuffled")
    )
    found = read_results("reconstruction", "toy")["rows"][0]["metrics"]
    assert found["persistence"]["value"] == pytest.approx(1 - flicker / chance, rel=1e-6)
    assert found["flicker_shuffled"]["value"] == pytest.approx(chance, rel=1e-6)


def test_the_same_inputs_give_the_same_bytes(stored: tuple[Tensor, Tensor]):
    folder = evaluation_folder("reconstruction", "toy")
    run("toy")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "stale.tsv").write_text("left over")
    run("toy")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_only_diverged_saes_still_give_results(stored: tuple[Tensor, Tensor]):
    for seed in (1, 2):
        write_saes("lost", seed, {"l0-3": perfect_sae(D)}, diverged="l0-3")
    run("lost")
    found = read_results("reconstruction", "lost")
    assert {value["reason"] for row in found["rows"] for value in row["metrics"].values()} == {
        "diverged at step 7"
    }
    assert read_table("reconstruction", "lost", "contexts.tsv") == []


def test_an_sae_of_another_width_is_refused(stored: tuple[Tensor, Tensor]):
    write_saes("toy", 2, {"l0-3": random_sae(D + 1, N, 3, 0)})
    with pytest.raises(BadInput, match=r"models/sae/toy/2/l0-3 takes activations of width 7 .* width 6"):
        run("toy")
    assert not evaluation_folder("reconstruction", "toy").exists()


def test_shuffling_keeps_the_rows(stored: tuple[Tensor, Tensor]):
    from pipeline.stages.common.files import ACTIVATIONS
    from pipeline.store import open_store
    from pipeline.store.blocks import blocks

    held = list(blocks(open_store(ACTIVATIONS), 2, torch.device("cpu")))
    mixed = Shuffled(held, 0).blocks
    plain, other = (torch.cat([block.x for block in each]).numpy() for each in (held, mixed))
    assert not np.array_equal(plain, other)
    np.testing.assert_array_equal(np.sort(plain, axis=0), np.sort(other, axis=0))
    for one, another in zip(held, mixed, strict=True):
        assert torch.equal(one.position, another.position)


def test_importing_the_stage_stays_light():
    code = "import sys, pipeline.stages.reconstruction; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"transformers", "datasets", "pandas", "matplotlib"} & set(done.stdout.split())
