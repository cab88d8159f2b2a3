"""Absorption against a word-by-word NumPy reading of SAEBench 0.6.0, and SAEs whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from pipeline.metrics.absorption import metrics as absorption_metrics
from pipeline.metrics.absorption import results as absorption_results
from pipeline.metrics.absorption.evaluate import METRICS, Letters
from pipeline.metrics.absorption.measure import gather, k_sparse, main_latents, measure
from pipeline.metrics.absorption.scoring import ranks, score
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.common.controls import random_sae
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.saebench_probe import Probe
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import FOLDS, f1
from tests.sae.windows import windowed

SECTION = AbsorptionSection(resamples=100)


def sparse(dense: torch.Tensor) -> Codes:
    pairs = Pairs.where(dense > 0)
    return Codes(pairs, pairs.at(dense))


def reference(z: np.ndarray, c: np.ndarray, main: list[int], a: float) -> tuple[float, bool]:
    """One word, as `FeatureAbsorptionCalculator.calculate_absorption` computes it."""
    p = z * c
    carried = sum(p[i] for i in main)
    others = sorted((p[i] for i in range(len(p)) if i not in main and c[i] >= 0.1 and p[i] > 0), reverse=True)
    absorbers = sum(others[:3])
    if carried >= a or absorbers / a < 0.4:
        fraction = 0.0
    elif carried <= 0:
        fraction = 1.0
    else:
        taken = min(absorbers, a - carried)
        fraction = float(np.clip(taken / (taken + carried), 0, 1))
    j = int(np.argmax(p))
    full = all(z[i] < 1e-8 for i in main) and c[j] >= 0.025 and a >= 0 and p[j] / a >= 0.4
    return fraction, bool(full)


def scored(z: list[float], c: list[float], main: list[int], a: float) -> tuple[float, bool]:
    mask = torch.zeros(1, len(z), dtype=torch.bool)
    mask[0, main] = True
    found = score(
        sparse(torch.tensor([z])),
        torch.tensor([c]).double(),
        mask,
        torch.tensor([0]),
        torch.tensor([a]).double(),
    )
    return float(found.fraction), bool(found.full)


CASES = {
    "main carries all": ([4.0, 0, 0], [0.9, 0.5, 0.5], [0], 3.0, (0.0, False)),
    "absorbed outright": ([0, 4.0, 0], [0.9, 0.5, 0.5], [0], 3.0, (1.0, True)),
    "absorber too small": ([0, 2.0, 0], [0.9, 0.5, 0.5], [0], 3.0, (0.0, False)),
    "half and half": ([2.0, 3.0, 0], [0.5, 0.5, 0.5], [0], 2.5, (0.6, False)),
    "absorber clipped to what is missing": ([2.0, 9.0, 0], [0.5, 0.5, 0.5], [0], 2.0, (0.5, False)),
    "main against the letter": ([2.0, 4.0, 0], [-0.1, 0.5, 0.5], [0], 3.0, (1.0, False)),
    "cosine between the two thresholds": ([0, 30.0, 0], [0.9, 0.05, 0.5], [0], 3.0, (0.0, True)),
    "cosine below both": ([0, 80.0, 0], [0.9, 0.02, 0.5], [0], 3.0, (0.0, False)),
    "negative projection": ([0, 4.0, 0], [0.9, 0.5, 0.5], [0], -1.0, (0.0, False)),
    "nothing fires": ([0.0, 0, 0], [0.9, 0.5, 0.5], [0], 3.0, (0.0, False)),
    "three absorbers at most": ([0, 1.0, 1, 1, 1, 1], [0.9] + [0.2] * 5, [0], 2.0, (0.0, False)),
}


@pytest.mark.parametrize("case", CASES)
def test_handmade_words(case: str) -> None:
    z, c, main, a, expected = CASES[case]
    fraction, full = scored(z, c, main, a)
    assert (pytest.approx(fraction), full) == expected


def test_scores_equal_the_word_by_word_reference() -> None:
    g = torch.Generator().manual_seed(0)
    words, n, problems = 400, 30, 7
    dense = torch.relu(torch.randn(words, n, generator=g) - 0.8) * 4
    cosine = 0.3 * torch.randn(problems, n, generator=g).double()
    main = torch.rand(problems, n, generator=g) < 0.1
    problem = torch.randint(0, problems, (words,), generator=g)
    a = torch.rand(words, generator=g).double() * 4 + 0.05
    found = score(sparse(dense), cosine, main, problem, a)
    expected = [
        reference(
            dense[i].double().numpy(), cosine[problem[i]].numpy(),
            torch.nonzero(main[problem[i]]).flatten().tolist(), float(a[i]),
        )
        for i in range(words)
    ]  # fmt: skip
    np.testing.assert_allclose(found.fraction, [e[0] for e in expected], atol=1e-6)
    assert found.full.tolist() == [e[1] for e in expected]
    kinds = {round(e[0], 6) for e in expected}
    assert {0.0, 1.0} < kinds
    assert len(kinds) > 20  # every branch is taken
    assert 0 < sum(e[1] for e in expected) < words


def test_ranks_within_groups() -> None:
    group = torch.tensor([0, 0, 2, 2, 2, 0])
    value = torch.tensor([1.0, 3.0, 5.0, 5.0, 9.0, 2.0])
    assert ranks(group, value, 3).tolist() == [2, 0, 1, 2, 0, 1]


def test_gather_reads_dense_codes() -> None:
    dense = torch.relu(torch.randn(9, 8, generator=torch.Generator().manual_seed(0)))
    latents = torch.tensor([[1, 5], [7, 1]])
    found = gather(sparse(dense), latents)
    torch.testing.assert_close(found, torch.stack([dense[:, row] for row in latents]).double())


def task(absorbed: set[int] | None = None, words: int = 26 * 15) -> tuple[LetterTask, SAE]:
    """Letters as orthogonal directions, and the SAE that reads them; `absorbed` words have a latent of
    their own that fires instead of their letter's and decodes the word and its letter."""
    d, letter = 64, torch.arange(words) % 26
    fold = (torch.arange(words) // 26) % FOLDS
    basis = torch.eye(d)
    own = sorted(absorbed or set())
    x = 4 * basis[letter]
    for place, word in enumerate(own):
        x[word] += 5 * basis[26 + place]
    rows = [basis[i] for i in range(26)] + [normalize(x[word], dim=0) for word in own]
    decoder = torch.stack([*rows, *(basis[63] for _ in range(4))])
    encoder = torch.zeros(d, len(decoder))
    bias = torch.full((len(decoder),), -1.0)
    for i in range(26):
        encoder[i, i] = 1.0
    for place in range(len(own)):
        # the word's latent fires on its word; its letter's latent is pushed below zero there
        encoder[26 + place, 26 + place] = 1.6
        encoder[26 + place, letter[own[place]]] = -2.0
    weight = basis[:26].repeat(FOLDS, 1, 1)
    sae = SAE("standard", encoder, decoder, torch.zeros(d), bias)
    names = [f"{chr(97 + int(first))}{i}" for i, first in enumerate(letter)]
    scored_words = torch.arange(words)
    made = LetterTask(
        names, x, letter, fold, scored_words, x.clone(), weight, torch.full((FOLDS, 26), -2.0), {}
    )
    return made, sae


def test_an_oracle_has_no_absorption() -> None:
    made, sae = task()
    found = measure(sae, made, SECTION)
    values = absorption_results.values(found, made, SECTION)
    assert values["mean_absorption_fraction"].value == 0
    assert values["mean_full_absorption"].value == 0
    assert values["letter_f1_k1"].value == 1
    assert values["mean_split_features"].value == 1
    assert values["letters_kept"].value == 26
    assert values["words_scored"].value == len(made.words)
    assert found.splits.top[0, :, 0].tolist() == list(range(26))


@pytest.mark.parametrize("rule", ["mean_difference", "l1_probe"])
def test_absorbed_words_are_found_exactly(rule: str) -> None:
    absorbed = {0, 26, 53, 111, 200, 333}  # letters a, a, b, h, s, v
    made, sae = task(absorbed)
    section = AbsorptionSection.parse({"selection": rule, "resamples": 100, "max_k": 1}, "absorption")
    found = measure(sae, made, section)
    if rule == "mean_difference":
        assert set(torch.nonzero(found.scores.full).flatten().tolist()) == absorbed
        assert set(torch.nonzero(found.scores.fraction).flatten().tolist()) == absorbed
        values = absorption_results.values(found, made, section)
        per_letter = [2 / 15, 1 / 15, 1 / 15, 1 / 15, 1 / 15]
        assert values["mean_full_absorption"].value == pytest.approx(sum(per_letter) / 26)
        assert values["full_absorption_pooled"].value == pytest.approx(6 / 390)
        assert values["mean_full_absorption_shuffled_decoder"].value != values["mean_full_absorption"].value
    else:
        # a latent that fires for one word ranks as high as the letter's own: docs/absorption.md
        assert found.splits.f1_k1.mean() < 1


def test_random_directions_are_scored_as_probes_would_be() -> None:
    """The control equals the scores with its directions as probes, each word's sign making it positive."""
    g = torch.Generator().manual_seed(5)
    made, _ = task()
    noisy = made.x + 1.5 * torch.randn(made.x.shape, generator=g)
    made = LetterTask(**{**vars(made), "x": noisy, "x_scored": noisy})
    sae = random_sae(noisy, 200, 8, 1)
    found = measure(sae, made, SECTION).random_direction
    random = torch.Generator().manual_seed(SECTION.seed)
    weight = normalize(torch.randn(26, 64, generator=random, dtype=torch.float64), dim=-1).repeat(FOLDS, 1, 1)
    assert (found.projection > 0).all()
    for sign in (1, -1):
        expected = measure(sae, LetterTask(**{**vars(made), "weight": sign * weight}), SECTION).scores
        mine = expected.projection > 0
        assert 0 < int(mine.sum()) < len(mine)
        for name, each in vars(expected).items():
            torch.testing.assert_close(vars(found)[name][mine], each[mine])
    assert 0 < int(found.full.sum()) < int(found.main_silent.sum())


def test_splitting_follows_the_rise_of_f1() -> None:
    """A letter read by two latents, half its words each: F1 of one is 2/3, of both 1."""
    made, sae = task()
    twin = torch.zeros(64, 1)
    half = torch.arange(len(made.letter)) // 26 % 2 == 0
    mark = ((made.letter == 3) & half).float()
    x = made.x.clone()
    x[:, 62] = 10 * mark
    twin[62, 0] = 1.0
    encoder = torch.cat([sae.W_enc, twin], 1)
    encoder[62, 3] = -10.0
    made = LetterTask(**{**vars(made), "x": x, "x_scored": x})
    both = SAE("standard", encoder, torch.cat([sae.W_dec, torch.eye(64)[62:63]]), sae.b_dec,
               torch.cat([sae.b_enc, torch.tensor([-1.0])]) if sae.b_enc is not None else None)  # fmt: skip
    found = measure(both, made, SECTION)
    assert found.splits.features.tolist() == [2 if i == 3 else 1 for i in range(26)]
    assert 0.6 < float(found.splits.f1_k1[3]) < 0.75
    assert float(found.splits.f1_best[3]) == 1
    main = main_latents(found.splits, both.n)
    assert torch.nonzero(main[3]).flatten().tolist() == [3, both.n - 1]
    assert main.sum(-1).tolist() == [2 if i == 3 else 1 for i in range(26)] * FOLDS


def test_one_latent_predictions_equal_scikit_learns() -> None:
    from sklearn.linear_model import LogisticRegression

    made, _ = task()
    g = torch.Generator().manual_seed(4)
    made = LetterTask(**{**vars(made), "x": made.x + 1.2 * torch.randn(made.x.shape, generator=g)})
    sae = random_sae(made.x, 200, 8, 1)
    codes = sae.encode(made.x)
    splits = k_sparse(codes, made, SECTION)
    dense = codes.dense().double().numpy()
    for letter in (0, 7, 25):
        truth = (made.letter == letter).numpy()
        predicted = np.zeros(len(truth), dtype=bool)
        for fold in range(FOLDS):
            test = (made.fold == fold).numpy()
            column = int(splits.top[fold, letter, 0])
            model = LogisticRegression(class_weight="balanced", solver="newton-cholesky", tol=1e-10)
            model.fit(dense[~test][:, [column]], truth[~test])
            predicted[test] = model.decision_function(dense[test][:, [column]]) > 0
        assert splits.predicted_k1[:, letter].tolist() == predicted.tolist()


def test_too_few_letters_give_a_reason() -> None:
    made, _ = task()
    bias = made.bias.clone()
    bias[:, :7] = -100  # seven letters that the probe never sees
    made = LetterTask(**{**vars(made), "bias": bias})
    found = absorption_results.too_few(made, SECTION)
    assert found is not None
    known, reason = found
    assert known["letters_kept"].value == 19
    assert "19 letters" in reason
    assert absorption_results.too_few(made, AbsorptionSection(min_letters=19)) is None


def test_two_runs_are_equal_and_names_are_defined() -> None:
    made, sae = task({0, 5})
    first, second = (absorption_results.values(measure(sae, made, SECTION), made, SECTION) for _ in range(2))
    assert first == second
    names = {metric.name for metric in absorption_metrics.METRICS}
    assert {name for name in names if not name.endswith("_random_sae")} == set(first)


def test_f1_equals_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    g = torch.Generator().manual_seed(0)
    predicted, truth = torch.rand(2, 50, 3, generator=g) > 0.6
    expected = [f1_score(truth[:, i], predicted[:, i]) for i in range(3)]
    np.testing.assert_allclose(f1(predicted, truth), expected, rtol=1e-6)


def test_codes_that_read_context_have_no_number_and_a_reason() -> None:
    """The task keeps the word's own activation: no token stands in the place of its window."""
    made, _ = task()
    probe = Probe(torch.zeros(26, made.x.shape[1]), torch.zeros(26))
    found = Letters(made, probe, "the model does not spell", SECTION).of(windowed(tokens=3))
    assert set(found.numbers) == {each.name for each in METRICS}
    assert {number.value for number in found.numbers.values()} == {None}
    assert {number.reason for number in found.numbers.values()} == {
        "its codes read 3 tokens, and the letter task keeps single tokens without those before them"
    }
