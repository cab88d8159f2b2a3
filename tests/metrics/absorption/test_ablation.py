"""Ablation-based absorption against a NumPy loop over words and latents, and an SAE whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from pipeline.metrics.absorption import ablation_results
from pipeline.metrics.absorption.ablation import ablate, judge, sample
from pipeline.metrics.absorption.measure import Splits, measure
from pipeline.metrics.absorption.scoring import entries_of
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.ablation import AblationTask, CutModel, letter_margin
from pipeline.tasks.letters.task import LetterTask
from pipeline.tasks.letters.words import FOLDS
from tests.metrics.absorption.test_absorption import task as letters_with_absorbed_words
from tests.metrics.codes import sparse

SECTION = AbsorptionSection(resamples=100)
ALL = torch.ones(26, dtype=torch.bool)
D, T, OFFSET, VOCABULARY = 12, 5, 2, 40
ANSWER = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(1))[:26]


def random_setting(words: int = 70, n: int = 30) -> tuple[LetterTask, SAE, AblationTask, CutModel, Splits]:
    """A nonlinear model that mixes positions, an SAE and probes, all random."""
    g = torch.Generator().manual_seed(0)
    letter, fold = torch.randint(0, 26, (words,), generator=g), torch.arange(words) % FOLDS
    mix, out = torch.rand(T, generator=g), torch.randn(D, VOCABULARY, generator=g)
    weight = out[:, ANSWER].T + torch.randn(FOLDS, 26, D, generator=g)
    bias = torch.randn(FOLDS, 26, generator=g)
    table = torch.randn(words, T, D, generator=g)
    table[:, -OFFSET] += 0.5 * out[:, ANSWER[letter]].T
    model = CutModel(
        lambda ids: table[ids[:, 0]].clone(),
        lambda residual: 6 * torch.tanh(0.2 * torch.einsum("btd,t->bd", residual, mix)) @ out,
    )
    decoder = torch.nn.functional.normalize(torch.randn(n, D, generator=g), dim=-1)
    sae = SAE("topk", decoder.T.contiguous(), decoder, torch.zeros(D), torch.zeros(n), k=4)
    x = table[:, -OFFSET]
    which = torch.arange(words)
    task = LetterTask([f"w{i}" for i in which], x, letter, fold, which, x, weight, bias, {})
    prompts = AblationTask(
        which, which[:, None].expand(-1, T).contiguous(), x, ANSWER, {"offset": OFFSET, "model_accuracy": 0.9}
    )
    top = torch.stack([torch.randperm(n, generator=g)[:3] for _ in range(FOLDS * 26)]).view(FOLDS, 26, 3)
    none = torch.zeros(26, dtype=torch.float64)
    splits = Splits(
        top, torch.randint(1, 4, (26,), generator=g), torch.zeros(words, 26, dtype=torch.bool), none, none
    )
    return task, sae, prompts, model, splits


def reference(
    task: LetterTask, sae: SAE, prompts: AblationTask, model: CutModel, splits: Splits, word: int
) -> tuple[bool, bool, int]:
    """One word: whether its main latents are silent, whether it is absorbed, and the top latent."""
    letter, fold = int(task.letter[word]), int(task.fold[word])
    residual = model.to(prompts.ids[[word]])
    pre = (residual[0, -OFFSET] @ sae.W_enc).numpy()
    z = np.zeros(len(pre))
    for i in np.argsort(-pre)[:4]:
        z[i] = max(pre[i], 0)
    main = splits.top[fold, letter, : int(splits.features[letter])].tolist()
    silent = all(z[i] < 1e-8 for i in main)

    def margin(stream: torch.Tensor) -> float:
        logits = model.onward(stream)[0].numpy()
        others = [logits[int(ANSWER[i])] for i in range(26) if i != letter]
        return float(logits[int(ANSWER[letter])] - np.mean(others))

    effects = {}
    for i in np.flatnonzero(z):
        changed = residual.clone()
        changed[0, -OFFSET] -= z[i] * sae.W_dec[i]
        effects[int(i)] = margin(changed) - margin(residual)
    order = sorted(effects, key=lambda i: -abs(effects[i]))
    top, second = order[0], abs(effects[order[1]]) if len(order) > 1 else 0.0
    w, row = task.weight[fold, letter].numpy(), sae.W_dec[top].numpy()
    cosine = w @ row / np.linalg.norm(w) / np.linalg.norm(row)
    absorbed = effects[top] < 0 and abs(effects[top]) - second >= 1.0 and cosine >= 0.025
    return silent, silent and bool(absorbed), top


def test_ablation_equals_the_word_by_word_reference() -> None:
    task, sae, prompts, model, splits = random_setting()
    found = ablate(sae, splits, task, prompts, model, ALL, SECTION)
    expected = [reference(task, sae, prompts, model, splits, word) for word in range(len(task.words))]
    assert found.silent.tolist() == [silent for silent, _, _ in expected]
    assert found.examined.tolist() == [word for word, (silent, _, _) in enumerate(expected) if silent]
    assert found.verdicts.absorbed.tolist() == [expected[word][1] for word in found.examined.tolist()]
    assert found.verdicts.latent.tolist() == [expected[word][2] for word in found.examined.tolist()]
    assert 2 < int(found.verdicts.absorbed.sum()) < len(found.examined) - 2


def test_the_reported_rate_is_the_mean_over_letters() -> None:
    task, sae, prompts, model, splits = random_setting()
    found = ablate(sae, splits, task, prompts, model, ALL, SECTION)
    value = ablation_results.values(found, prompts, ALL, SECTION)["mean_ablation_absorption"]
    absorbed = set(found.examined[found.verdicts.absorbed].tolist())
    rates = [
        np.mean([word in absorbed for word in range(len(task.words)) if task.letter[word] == letter])
        for letter in sorted(set(task.letter.tolist()))
    ]
    assert value.value == pytest.approx(np.mean(rates))
    assert value.low is not None
    assert value.low < np.mean(rates) < value.high


def test_a_sample_scales_up_to_all_silent_words() -> None:
    """Words of a letter that are alike: examining some of them must give the rate of all."""
    task, sae = letters_with_absorbed_words(set(range(36)))
    prompts, model = spelling(task)
    splits = measure(sae, task, SECTION).splits
    whole = ablate(sae, splits, task, prompts, model, ALL, SECTION)
    some = ablate(sae, splits, task, prompts, model, ALL, SECTION.model_copy(update={"ablation_words": 30}))
    assert len(some.examined) == 30 < len(whole.examined)
    first, second = (ablation_results.values(each, prompts, ALL, SECTION) for each in (whole, some))
    name = "mean_ablation_absorption"
    assert first[name].value == pytest.approx(second[name].value)
    assert second["ablation_words_silent"].value == first["ablation_words_silent"].value
    assert second["ablation_words_examined"].value == 30


def spelling(task: LetterTask) -> tuple[AblationTask, CutModel]:
    """Prompts of one token, the word, and a model that reads letter i in dimension i."""
    which = torch.arange(len(task.words))
    model = CutModel(lambda ids: task.x[ids].clone(), lambda residual: 5 * residual[:, -1])
    facts = {"offset": 1, "model_accuracy": 1.0}
    return AblationTask(which, which[:, None], task.x, torch.arange(26), facts), model


def test_absorbed_words_are_found_and_no_others() -> None:
    own = {0, 26, 52, 3, 29, 81}
    task, sae = letters_with_absorbed_words(own)
    prompts, model = spelling(task)
    found = ablate(sae, measure(sae, task, SECTION).splits, task, prompts, model, ALL, SECTION)
    assert set(found.examined.tolist()) == own
    assert bool(found.verdicts.absorbed.all())
    assert (found.verdicts.latent >= 26).all()
    values = ablation_results.values(found, prompts, ALL, SECTION)
    assert values["ablation_agreement"].value == 1
    assert "same verdict" in str(values["ablation_kappa"].reason)
    rows = ablation_results.rows(found, task, prompts)
    assert [row["word"] for row in rows] == [task.words[word] for word in sorted(own)]
    assert all(set(row) == set(ablation_results.TABLES["ablation.tsv"]) for row in rows)


def test_without_silent_words_the_rate_is_zero_and_agreement_missing() -> None:
    task, sae = letters_with_absorbed_words()
    prompts, model = spelling(task)
    found = ablate(sae, measure(sae, task, SECTION).splits, task, prompts, model, ALL, SECTION)
    values = ablation_results.values(found, prompts, ALL, SECTION)
    assert values["mean_ablation_absorption"].value == 0
    assert values["ablation_agreement"].value is None
    assert set(values) | {"mean_ablation_absorption_random_sae"} == {m.name for m in ablation_results.METRICS}


def test_letters_that_are_not_kept_do_not_count() -> None:
    task, sae = letters_with_absorbed_words({0, 1, 2})
    prompts, model = spelling(task)
    kept = ALL.clone()
    kept[0] = False
    found = ablate(sae, measure(sae, task, SECTION).splits, task, prompts, model, kept, SECTION)
    assert found.examined.tolist() == [1, 2]
    value = ablation_results.values(found, prompts, kept, SECTION)["mean_ablation_absorption"]
    assert value.value == pytest.approx(2 / 15 / 25)


@pytest.mark.parametrize(
    ("effect", "cosine", "absorbed"),
    [
        ([-3.0, -1.0], [0.5, 0.5], True),
        ([-3.0, -2.5], [0.5, 0.5], False),  # no clear leader
        ([-3.0, 2.5], [0.5, 0.5], False),  # nor beside one that raises the margin
        ([3.0, -1.0], [0.5, 0.5], False),  # the largest effect raises the margin
        ([-3.0, -1.0], [0.02, 0.5], False),  # not the probe's direction
        ([-1.0], [0.025], True),  # alone, at both thresholds
        ([-0.9], [0.5], False),
    ],
)
def test_handmade_verdicts(effect: list[float], cosine: list[float], absorbed: bool) -> None:
    codes = sparse(torch.ones(1, len(effect)))
    found = judge(codes, torch.tensor(effect).double(), torch.tensor(cosine).double(), 1.0)
    assert found.absorbed.tolist() == [absorbed]


def test_a_word_without_active_latents_is_not_absorbed() -> None:
    codes = entries_of(sparse(torch.tensor([[0.0, 0], [0, 2], [1, 0]])), torch.tensor([0, 1]))
    assert codes.pairs.offsets.tolist() == [0, 0, 1]
    found = judge(codes, torch.tensor([-5.0]).double(), torch.tensor([1.0]).double(), 1.0)
    assert found.absorbed.tolist() == [False, True]
    assert found.latent.tolist() == [-1, 1]


def test_a_sample_serves_every_letter_before_any_twice() -> None:
    letter = torch.tensor([0] * 30 + [1] * 3 + [2])
    candidate = torch.ones(34, dtype=torch.bool)
    candidate[0] = False
    chosen = sample(candidate, letter, 6, 0)
    assert torch.bincount(letter[chosen]).tolist() == [3, 2, 1]
    assert chosen.tolist() == sorted(chosen.tolist())
    assert torch.equal(chosen, sample(candidate, letter, 6, 0))
    assert not torch.equal(chosen, sample(candidate, letter, 6, 1))
    assert sample(candidate, letter, 99, 0).tolist() == list(range(1, 34))


def test_margin_is_the_letters_logit_above_the_others_mean() -> None:
    logits = torch.zeros(1, VOCABULARY)
    logits[0, ANSWER[3]], logits[0, ANSWER[7]] = 2.0, 5.0
    assert letter_margin(logits, torch.tensor([3]), ANSWER).tolist() == pytest.approx([2 - 5 / 25])


def test_the_rest_of_the_residual_is_left_alone() -> None:
    """Effects do not depend on what the SAE fails to reconstruct: ablation keeps the error."""
    task, sae = letters_with_absorbed_words({0})
    prompts, model = spelling(task)
    splits = measure(sae, task, SECTION).splits
    plain = ablate(sae, splits, task, prompts, model, ALL, SECTION)
    off = replace(task, x=task.x + 7 * torch.eye(64)[60])  # a direction that no latent reads or writes
    moved = ablate(sae, splits, off, replace(prompts, x=off.x), spelling(off)[1], ALL, SECTION)
    torch.testing.assert_close(plain.verdicts.effect, moved.verdicts.effect)


def test_kappa_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(60, generator=generator) < 0.4
    second = torch.where(torch.rand(60, generator=generator) < 0.7, first, ~first)
    expected = cohen_kappa_score(first.numpy(), second.numpy())
    found = ablation_results.kappa(first, second)
    assert found == Number(found.value, 60)
    assert found.value == pytest.approx(expected)
