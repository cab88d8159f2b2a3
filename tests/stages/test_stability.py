from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.stages.common.files import external_folder, sae_folder
from pipeline.stages.stability import run
from tests.metrics.codes import perfect_sae, random_sae
from tests.stages.evaluated import (
    contexts,
    read_results,
    read_table,
    write_params,
    write_saes,
    write_store,
)

C, T, D, N = 12, 10, 6, 16
SECTION = {"contexts": 4, "batch_contexts": 3, "resamples": 50}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in the current folder, and two seeds of `toy`: one run of equal SAEs, one of unequal ones."""
    monkeypatch.chdir(tmp_path)
    ids = contexts(C, T, vocabulary=30)
    write_store(ids, torch.randn(C, T, D, generator=torch.Generator().manual_seed(1)))
    write_params(stability=SECTION)
    for seed in (1, 2):
        saes = {"same": random_sae(D, N, 3, 0), "other": random_sae(D, N, 3, seed), "bad": perfect_sae(D)}
        write_saes("toy", seed, saes, diverged="bad" if seed == 1 else None)


@pytest.mark.usefixtures("stored")
def test_the_seeds_of_a_run_are_compared_and_no_others() -> None:
    run("toy")
    rows = {(row["seed"], row["run"]): row["metrics"] for row in read_results("stability", "toy")["rows"]}
    assert list(rows) == [(seed, name) for seed in (1, 2) for name in ("same", "other", "bad")]
    for seed in (1, 2):
        assert rows[seed, "same"]["stability"]["value"] == 1
        assert rows[seed, "other"]["stability"]["value"] < 0.6
    assert {each["reason"] for each in rows[1, "bad"].values()} == {"diverged at step 7"}
    assert all("one seed alone" in each["reason"] for each in rows[2, "bad"].values())


@pytest.mark.usefixtures("stored")
def test_every_latent_has_a_row_and_firing_is_counted_on_the_first_contexts() -> None:
    run("toy")
    table = read_table("stability", "toy", "latents.tsv")
    mine = [row for row in table if (row["seed"], row["run"]) == ("1", "same")]
    assert [int(row["latent"]) for row in mine] == list(range(N))
    assert {row["other"] for row in mine} == {"2"}
    assert sum(float(row["firing_rate"]) for row in mine) == pytest.approx(3, abs=0.3)
    shorter = {**SECTION, "contexts": 1}
    write_params(stability=shorter)
    run("toy")
    again = read_table("stability", "toy", "latents.tsv")[:N]
    assert [row["firing_rate"] for row in again] != [row["firing_rate"] for row in mine]


@pytest.mark.usefixtures("stored")
def test_an_sae_trained_elsewhere_has_no_second_seed() -> None:
    write_saes("given", 0, {"given": random_sae(D, N, 3, 0)})
    folder = sae_folder("given", 0)
    folder.rename(external_folder("given"))
    index = external_folder("given") / "index.json"
    index.write_text(index.read_text().replace('"tokens"', '"external"'))
    run("given")
    [row] = read_results("stability", "given")["rows"]
    assert "trained elsewhere" in row["metrics"]["stability"]["reason"]
