"""The stages probing_task and probing@VARIANT on a tiny model and a CSV file."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.metrics.common.controls import random_sae
from pipeline.metrics.probing.pooling import pooled_codes
from pipeline.metrics.probing.results import probe, values
from pipeline.metrics.probing.section import ProbingSection
from pipeline.sae.core.inference import SAE
from pipeline.stages import probing
from pipeline.stages import probing_task as labelled
from pipeline.stages.common.files import PROBING
from pipeline.stats.intervals import wilson
from pipeline.tasks.common import batches
from pipeline.tasks.probing.task import load_probing
from tests.stages.evaluated import read_results, read_table, write_saes
from tests.stages.lettered import WORDS, D, tokenizer, write_lm, write_task_params


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_csv(name: str, classes: str, per_class: int = 20) -> str:
    """Texts of 2 to 20 words, most of them beginning with the class's letter."""
    rng, lines = Random(0), ["text,label"]
    for _ in range(per_class):
        for each in classes:
            own = [word for word in WORDS if word[0] == each]
            count = rng.randint(2, 20)
            words = [rng.choice(own if rng.random() < 0.8 else WORDS) for _ in range(count)]
            lines.append(f"{' '.join(words)},{each}")
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_labelled_texts_to_probing() -> None:
    write_lm(WORDS)
    write_task_params(write_csv("letters.csv", "abc"))
    labelled.run()
    task = load_probing(PROBING)
    assert [problem.positive for problem in task.problems] == ["a", "b", "c"]
    assert len(task.ids) == len(task.x)
    assert len(task.mean) == 60
    # cut at the context length less BOS, BOS itself left out
    lengths = task.offsets.diff()
    assert int(lengths.max()) == 15
    assert int(lengths.min()) >= 2
    first = folder_bytes(PROBING)
    labelled.run()
    assert folder_bytes(PROBING) == first

    eye = torch.eye(D)
    reader = SAE("topk", eye.clone(), eye.clone(), torch.zeros(D), torch.zeros(D), k=2)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(D, D, generator=generator)
    write_saes("topk", 1, {"l0-2": reader, "l0-4": reader}, diverged="l0-4")
    write_saes(
        "topk", 2, {"l0-2": SAE("topk", noise, noise.T.contiguous(), torch.zeros(D), torch.zeros(D), k=2)}
    )
    probing.run("topk")
    results = read_results("probing", "topk")
    good, bad, random = (row["metrics"] for row in results["rows"])
    assert good["probing_k1"]["value"] > 0.9
    assert good["probing_k1"]["value"] > random["probing_k1"]["value"]
    assert good["raw_dense"] == random["raw_dense"]
    assert good["raw_dense"]["value"] > 0.8
    untrained = random_sae(task.x, D, 4, 0)  # the target of these runs is 4
    probed = probe(pooled_codes(untrained, task.x, task.offsets), task, [1])
    assert (
        good["probing_k1_random_sae"]["value"]
        == values(probed, task, ProbingSection(k=[1]))["probing_k1"].value
    )
    assert good["probing_k1_random_sae"] == random["probing_k1_random_sae"]
    assert bad["probing_k1"] == {
        "value": None,
        "items": 0,
        "reason": "diverged at step 7",
        "low": None,
        "high": None,
    }
    assert set(good) == set(bad) == set(results["metrics"])
    curve = {f"{name}{k}" for name in ("probing", "raw_neurons") for k in ("", "_k1", "_k2")}
    controls = {f"probing{k}_{of}" for k in ("", "_k1", "_k2") for of in ("random_sae", "token_lookup")}
    assert curve | controls | {"raw_dense"} == {
        name for name, metric in results["metrics"].items() if metric["aggregate"]
    }
    rows = read_table("probing", "topk", "problems.tsv")
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        bounds = wilson(round(float(row["accuracy"]) * int(row["items"])), int(row["items"]))
        assert [float(row["low"]), float(row["high"])] == pytest.approx([bounds.low, bounds.high], rel=1e-6)
    items = read_table("probing", "topk", "items.tsv")
    assert len(items) == 2 * sum(len(problem.items["test"]) for problem in task.problems)
    mine = [row for row in items if row["seed"] == "1" and row["class"] == "a"]
    share = sum(int(row["right_k1"]) for row in mine) / len(mine)
    assert share == pytest.approx(next(float(row["accuracy"]) for row in rows if row["class"] == "a"))
    reports = folder_bytes(Path("reports/evaluations/probing/topk"))
    probing.run("topk")
    assert folder_bytes(Path("reports/evaluations/probing/topk")) == reports


def test_an_sae_of_another_width_is_refused() -> None:
    write_lm(WORDS)
    write_task_params(write_csv("letters.csv", "abc"))
    labelled.run()
    for seed in (1, 2):
        write_saes("topk", seed, {"l0-2": random_sae(torch.randn(9, D + 1), 48, 2, 0)})
    with pytest.raises(BadInput, match=f"width {D + 1} but {PROBING} holds width {D}:"):
        probing.run("topk")


def test_padding_and_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    write_lm(WORDS)
    write_task_params(write_csv("letters.csv", "ab"))
    labelled.run()
    together = load_probing(PROBING)
    monkeypatch.setattr(batches, "BATCH_TOKENS", 1)  # one text at a time: nothing is padded
    labelled.run()
    alone = load_probing(PROBING)
    torch.testing.assert_close(together.x, alone.x, atol=1e-5, rtol=1e-5)


def test_one_class_is_refused() -> None:
    write_lm(WORDS)
    write_task_params(write_csv("letters.csv", "a"))
    with pytest.raises(BadInput, match="label"):
        labelled.run()
    assert not PROBING.exists()


def test_a_text_without_tokens_is_refused() -> None:
    write_lm(WORDS)

    class Model:
        special_ids, bos_id, tokenizer = [0, 1, 2], 0, tokenizer(WORDS)

    with pytest.raises(BadInput, match="no tokens"):
        labelled.tokenize(Model(), ["aao", " "], 8)  # type: ignore[arg-type]
