"""SAEBench's own recipe: its probe against a NumPy Adam, its means against the word-by-word reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from pipeline.console.errors import BadInput
from pipeline.metrics.absorption.measure import encode, k_sparse
from pipeline.metrics.absorption.saebench import METRICS, values
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.saebench_probe import Probe, fit, load_probe, save_probe
from pipeline.tasks.letters.task import LetterTask
from tests.metrics.absorption.test_absorption import reference
from tests.metrics.absorption.test_absorption import task as letters_with_absorbed_words

SECTION = AbsorptionSection(resamples=100)


def noisy(absorbed: set[int]) -> tuple[LetterTask, SAE, Probe]:
    """Letters along orthogonal directions with noise, an SAE that absorbs some words, SAEBench's probe."""
    task, sae = letters_with_absorbed_words(absorbed)
    g = torch.Generator().manual_seed(0)
    x = task.x + 0.1 * torch.randn(task.x.shape, generator=g)
    task = replace(task, x=x, x_scored=x + 0.1 * torch.randn(x.shape, generator=g))
    return task, sae, fit(task.x, task.letter, task.fold != 0, 0)


def test_the_probe_is_a_numpy_adam() -> None:
    g = torch.Generator().manual_seed(5)
    x, letter = torch.randn(90, 7, generator=g), torch.randint(0, 20, (90,), generator=g)
    include = torch.arange(90) % 5 != 0
    found = fit(x, letter, include, 3)
    g = torch.Generator().manual_seed(3)
    w, b = ((2 * torch.rand(*shape, generator=g) - 1) * 7**-0.5 for shape in ((26, 7), (26,)))
    theta = np.concatenate([w.double().numpy(), b.double().numpy()[:, None]], 1)
    rows = np.concatenate([x[include].double().numpy(), np.ones((int(include.sum()), 1))], 1)
    y = letter[include].numpy()[:, None] == np.arange(26)
    ups = y.sum(0)
    first, second, step = np.zeros_like(theta), np.zeros_like(theta), 0
    for epoch in range(50):
        order = torch.randperm(len(rows), generator=g).numpy()
        for start in range(0, len(rows), 64):
            batch, step = order[start : start + 64], step + 1
            p = 1 / (1 + np.exp(-rows[batch] @ theta.T))
            slope = np.where(y[batch], (p - 1) * (len(y) - ups) / np.maximum(ups, 1), p) / p.size
            gradient = slope.T @ rows[batch] + 1e-4 * theta
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            rate = 1e-2 * (1e-5 / 1e-2) ** (epoch / 50) / (1 - 0.9**step)
            theta = theta - rate * first / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(found.weight, theta[:, :-1], atol=2e-4)
    np.testing.assert_allclose(found.bias, theta[:, -1], atol=2e-4)
    again, other = fit(x, letter, include, 3), fit(x, letter, include, 4)
    assert torch.equal(found.weight, again.weight)
    assert not torch.equal(found.weight, other.weight)


def test_means_are_those_of_the_word_by_word_reading() -> None:
    task, sae, probe = noisy({0, 26, 53, 111, 200, 333})
    found = values(sae, task, probe, SECTION)
    section = SECTION.model_copy(update={"selection": "l1_probe"})
    splits = k_sparse(encode(sae, task.x), task, section, splits=1)
    z = encode(sae, task.x_scored).dense().double().numpy()
    direction = normalize(probe.weight.double(), dim=-1)
    cosine = (direction @ normalize(sae.W_dec.double(), dim=-1).T).numpy()
    expected: dict[int, list[tuple[float, bool]]] = {letter: [] for letter in range(26)}
    for word in range(len(task.words)):
        letter = int(task.letter[word])
        if task.fold[word] == 0 and probe.weight[letter] @ task.x[word] + probe.bias[letter] > 0:
            main = splits.top[0, letter, : int(splits.features[letter])].tolist()
            a = float(task.x_scored[word].double() @ direction[letter])
            expected[letter].append(reference(z[word], cosine[letter], main, a))
    assert all(expected.values())
    for place, name in enumerate(("mean_absorption_fraction_score", "mean_full_absorption_score")):
        rates = [np.mean([word[place] for word in words]) for words in expected.values()]
        assert found[name].value == pytest.approx(np.mean(rates), abs=1e-6)
        assert found[name].items == sum(len(words) for words in expected.values())
    assert found["mean_full_absorption_score"].value > 0
    assert found["mean_num_split_features"].value == pytest.approx(splits.features.double().mean().item())
    assert set(found) == {metric.name for metric in METRICS}


def test_one_split_is_the_first_of_five() -> None:
    task, sae, _ = noisy({0, 26, 53})
    codes = encode(sae, task.x)
    one, five = (k_sparse(codes, task, SECTION, splits=count) for count in (1, 5))
    assert torch.equal(one.top[0], five.top[0])
    assert torch.equal(one.predicted_k1, five.predicted_k1[task.fold == 0])


def test_too_few_letters_are_a_reason() -> None:
    task, sae, probe = noisy(set())
    found = values(sae, task, Probe(probe.weight, probe.bias - 100), SECTION)
    assert {value.value for value in found.values()} == {None}
    assert "0 letters have a probe" in str(found["mean_full_absorption_score"].reason)


def test_round_trip_and_damage(tmp_path: Path) -> None:
    probe = Probe(torch.randn(26, 3), torch.randn(26))
    save_probe(tmp_path, probe)
    assert torch.equal(load_probe(tmp_path).weight, probe.weight)
    (tmp_path / "saebench.safetensors").write_bytes(b"short")
    with pytest.raises(BadInput, match="damaged"):
        load_probe(tmp_path)
    with pytest.raises(BadInput, match="letter_task"):
        load_probe(tmp_path / "absent")
