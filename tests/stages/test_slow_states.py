"""The stage slow_states@VARIANT on text written in known states, and on text without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from pipeline.compare.paired.items import Sums
from pipeline.console.errors import BadInput
from pipeline.metrics.slow_states.metrics import DOCUMENTS, METRICS, TABLES, UNLABELLED
from pipeline.numbers.document import read_beside
from pipeline.numbers.document import read_results as results_of
from pipeline.sae.core.inference import SAE
from pipeline.stages import slow_states
from pipeline.stages.common.files import TOKENS, evaluation_folder
from pipeline.text.states import Field, write_states
from tests.metrics.slow_states.made import runs
from tests.stages.evaluated import BOS, SPLITS, read_results, write_params, write_saes, write_store

LENGTH, TOPICS, D = 80, 3, 12
CONTEXTS = SPLITS["test"][1]
FIELDS = [Field("topic", TOPICS, "slow"), Field("theme", 2 * TOPICS, "slow", "topic")]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_text(labelled: bool = True) -> None:
    """A store whose first dimensions hold the topic, a later one the theme; two documents in a context."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 40, (CONTEXTS, LENGTH), generator=generator)
    ids[:, [0, LENGTH // 2]] = BOS
    topic = torch.from_numpy(runs(CONTEXTS, TOPICS, 10, 0, LENGTH).reshape(CONTEXTS, LENGTH))
    theme = 2 * topic + torch.from_numpy(runs(CONTEXTS, 2, 5, 1, LENGTH).reshape(CONTEXTS, LENGTH))
    x = 0.3 * torch.randn(CONTEXTS, LENGTH, D, generator=generator)
    x[..., :TOPICS] += 3 * torch.nn.functional.one_hot(topic, TOPICS)
    x[..., TOPICS : 3 * TOPICS] += 2 * torch.nn.functional.one_hot(theme, 2 * TOPICS)
    write_store(ids, x)
    group = zarr.open_group(TOKENS, mode="w", zarr_format=3)
    group.attrs["splits"] = SPLITS
    if labelled:
        values = torch.stack([topic, theme], -1).numpy().astype(np.int16)
        values[ids.numpy() == BOS] = -1
        write_states(group, FIELDS, values, 4)


def reader() -> SAE:
    """Reads each dimension."""
    eye = torch.eye(D)
    return SAE("standard", eye.clone(), eye.clone(), torch.zeros(D), torch.full((D,), -1.0))


def params() -> None:
    write_params(slow_states={"resamples": 100, "horizon": 8})


def measured() -> dict[str, Any]:
    params()
    write_saes("topk", 1, {"l0-2": reader(), "l0-4": reader()}, diverged="l0-4")
    write_saes("topk", 2, {"l0-2": reader()})
    slow_states.run("topk")
    return read_results("slow_states", "topk")


def test_states_are_read_and_controls_stand_beside() -> None:
    write_text()
    found = measured()
    good, bad, _ = (row["metrics"] for row in found["rows"])
    value = {name: each["value"] for name, each in good.items()}
    assert value["slow_auc"] > 0.99
    assert value["slow_auc"] > value["slow_auc_random_sae"] + 0.02
    assert value["slow_auc_dense_probe"] > 0.99
    assert value["slow_auc_neuron"] > 0.95
    assert abs(value["slow_auc_token_lookup"] - 0.5) < 0.1
    assert value["detection_delay"] < 1 < 6 < value["detection_delay_token_lookup"]
    assert value["delay_after_change"] <= value["detection_delay"]
    assert value["hierarchy_absorption"] == pytest.approx(0, abs=0.05)
    assert abs(value["hierarchy_absorption_permuted"]) < 0.1
    assert {each["reason"] for each in bad.values()} == {"diverged at step 7"}
    assert set(good) == set(bad) == {metric.name for metric in METRICS}


def test_the_documents_give_the_numbers_back() -> None:
    write_text()
    row = measured()["rows"][0]
    folder = evaluation_folder("slow_states", "topk")
    table = read_beside(folder, results_of(folder, "slow_states@topk"), DOCUMENTS)
    mine: pd.DataFrame = table[(table.seed == 1) & (table.run == "l0-2")]
    assert len(mine) == 2 * (CONTEXTS - SPLITS["test"][0])
    for metric in METRICS:
        if metric.headline:
            assert metric.headline.items is not None
            assert set(metric.headline.items.numerator) < set(TABLES[DOCUMENTS])
            again = Sums.of(mine, metric.headline.items).value()
            assert again == pytest.approx(row["metrics"][metric.name]["value"], abs=1e-7)


def test_two_runs_write_the_same_bytes() -> None:
    write_text()
    measured()
    first = {path.name: path.read_bytes() for path in evaluation_folder("slow_states", "topk").iterdir()}
    slow_states.run("topk")
    again = {path.name: path.read_bytes() for path in evaluation_folder("slow_states", "topk").iterdir()}
    assert again == first
    assert set(first) == {"results.json", *TABLES}


def test_text_without_states_says_so() -> None:
    write_text(labelled=False)
    found = measured()["rows"][0]["metrics"]
    assert {each["reason"] for each in found.values()} == {UNLABELLED}


def test_labels_of_another_text_are_refused() -> None:
    write_text()
    group = zarr.open_group(TOKENS, mode="r+", zarr_format=3)
    group.attrs["splits"] = {**SPLITS, "test": [6, 11]}
    with pytest.raises(BadInput, match="is not the text of data/activations"):
        measured()
