"""Missed letters and who carries them: hand-made words, a plain loop, and SAEs that learned nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from pipeline.compare.paired.items import Sums
from pipeline.metrics.absorption import metrics, results
from pipeline.metrics.absorption.carrier import DRAWS, alike, chance
from pipeline.metrics.absorption.measure import Absorption, measure
from pipeline.metrics.absorption.section import AbsorptionSection
from pipeline.metrics.common.controls import random_sae
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.task import LetterTask
from tests.metrics.absorption.test_absorption import task

SECTION = AbsorptionSection(resamples=100, max_k=1)
ABSORBED = {0, 26, 53, 111, 200, 333}  # letters a, a, b, h, s, v


@pytest.fixture(scope="module")
def absorbed() -> tuple[LetterTask, Absorption]:
    made, sae = task(ABSORBED)
    return made, measure(sae, made, SECTION)


def noisy(seed: int, by: float = 0.8) -> LetterTask:
    made, _ = task()
    noise = torch.randn(made.x.shape, generator=torch.Generator().manual_seed(seed))
    return LetterTask(**{**vars(made), "x": made.x + by * noise, "x_scored": made.x + by * noise})


def test_words_whose_latent_is_silent_are_missed(absorbed: tuple[LetterTask, Absorption]) -> None:
    made, found = absorbed
    values = results.values(found, made, SECTION)
    per_letter = [2 / 15, 1 / 15, 1 / 15, 1 / 15, 1 / 15]
    assert values["miss_rate"].value == pytest.approx(sum(per_letter) / 26)
    assert set(torch.nonzero(found.chance).flatten().tolist()) <= ABSORBED
    lucky = float(found.chance[sorted(ABSORBED)].mean())
    assert values["carrier"].value == pytest.approx(1 - lucky)
    assert values["carrier_chance"].value == pytest.approx(lucky)
    assert values["carrier"].items == len(ABSORBED)
    excess = (found.scores.full.double() - found.chance).tolist()
    letters = [[excess[word] for word in sorted(ABSORBED) if word % 26 == i] for i in range(26)]
    expected = sum(sum(each) / 15 for each in letters) / 26
    assert values["mean_excess_absorption"].value == pytest.approx(expected)


def test_a_miss_that_nothing_carries_is_no_absorption() -> None:
    """The words' own latents shut the letters' off and decode something else: lost, and not absorbed."""
    made, sae = task(ABSORBED)
    away = sae.W_dec.clone()
    away[26 : 26 + len(ABSORBED)] = torch.eye(64)[60]
    lost = SAE("standard", sae.W_enc, away, sae.b_dec, sae.b_enc)
    values = results.values(measure(lost, made, SECTION), made, SECTION)
    whole = results.values(measure(sae, made, SECTION), made, SECTION)
    assert values["miss_rate"] == whole["miss_rate"]
    carried, chance_level = values["carrier"].value, values["carrier_chance"].value
    assert carried is not None
    assert chance_level is not None
    assert carried == pytest.approx(-chance_level)


def test_without_a_miss_there_is_no_carrier() -> None:
    made, sae = task()
    values = results.values(measure(sae, made, SECTION), made, SECTION)
    assert values["miss_rate"].value == 0
    assert values["mean_excess_absorption"].value == 0
    assert "nothing to carry" in str(values["carrier"].reason)


def test_drawn_directions_keep_the_projections_and_nothing_else() -> None:
    g = torch.Generator().manual_seed(0)
    direction = normalize(torch.randn(5, 40, generator=g).double(), dim=-1)
    span, noise = torch.randn(5, 40, 2, generator=g).double(), torch.randn(5, 200, 40, generator=g).double()
    drawn = alike(direction, span, noise)
    torch.testing.assert_close(drawn.norm(dim=-1), torch.ones(5, 200).double())
    kept = torch.einsum("wdj,wkd->wkj", span, drawn)
    torch.testing.assert_close(kept, torch.einsum("wdj,wd->wj", span, direction)[:, None].expand_as(kept))
    rest = torch.linalg.qr(span).Q
    left = direction - (rest @ (rest.mT @ direction[:, :, None]))[:, :, 0]
    assert (torch.einsum("wkd,wd->wk", drawn, left).mean(1).abs() < 0.1).all()


def test_chance_equals_a_loop_over_words_and_directions() -> None:
    made = noisy(1)
    sae = random_sae(made.x, 200, 6, 1)
    codes, missed = sae.encode(made.x), torch.arange(len(made.x)) % 3 == 0
    direction = normalize(made.weight[0, made.letter].double(), dim=-1)
    found = chance(sae, codes, made.x, direction, missed, 7)
    g = torch.Generator().manual_seed(7)
    noise = torch.randn(int(missed.sum()), DRAWS, 64, generator=g, dtype=torch.float64).numpy()
    z, rows, centre = codes.dense().double().numpy(), sae.W_dec.double().numpy(), sae.b_dec.double().numpy()
    for word in (0, 3, 30, 300):
        x, u = made.x[word].double().numpy(), direction[word].numpy()
        basis, _ = np.linalg.qr(np.stack([x - centre, centre], 1))
        inside, carried = basis @ basis.T @ u, 0
        for each in noise[word // 3]:
            outside = each - basis @ basis.T @ each
            v = inside + np.linalg.norm(u - inside) * outside / np.linalg.norm(outside)
            p = z[word] * (rows @ v)
            top = int(np.argmax(p))
            carried += bool(x @ v > 0 and p[top] / (x @ v) >= 0.4 and rows[top] @ v >= 0.025)
        assert float(found[word]) == carried / DRAWS
    assert not found[~missed].any()
    assert 0 < float(found[missed].mean()) < 1


def test_every_word_has_directions_of_its_own() -> None:
    """Ninety words alike, over two chunks: their chances differ as draws do, and shared draws would not."""
    made = noisy(1)
    sae = random_sae(made.x, 200, 6, 1)
    x, words = made.x[:1].expand(90, -1), torch.ones(90, dtype=torch.bool)
    direction = normalize(made.weight[0, made.letter[:1]].double(), dim=-1).expand(90, -1)
    found = chance(sae, sae.encode(x), x, direction, words, 7)
    p = float(found.mean())
    assert 0 < p < 1
    assert float(found.var()) == pytest.approx(p * (1 - p) / DRAWS, rel=0.5)


def test_an_untrained_sae_carries_no_more_than_chance() -> None:
    """Its rows know nothing of letters: what it carries of a missed word is what any direction gives."""
    made, every = noisy(2, by=2.0), AbsorptionSection(resamples=100, min_probe_f1=0)
    values = results.values(measure(random_sae(made.x, 400, 4, 3), made, every), made, every)
    carrier, level = values["carrier"], values["carrier_chance"].value
    assert carrier.value is not None
    assert level is not None
    assert carrier.items > 50
    assert level > 0.1
    assert abs(carrier.value) < 0.1


def test_the_items_give_the_numbers_back(absorbed: tuple[LetterTask, Absorption]) -> None:
    made, found = absorbed
    values, words = results.values(found, made, SECTION), results.word_rows(found, made, SECTION)
    for metric in metrics.METRICS:
        if metric.headline and metric.headline.items and metric.headline.items.table == metrics.WORDS:
            again = Sums.of(pd.DataFrame(words), metric.headline.items).value()
            assert again == pytest.approx(values[metric.name].value)
