from __future__ import annotations

from string import ascii_lowercase

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from pipeline.lm.letter_gate import L2, fit_multinomial, letter_accuracy, train_split

LETTERS = [letter for letter in ascii_lowercase for _ in range(10)]


def test_letters_that_are_linear_are_found() -> None:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(26, 40, generator=generator)
    x = 3 * means.repeat_interleave(10, 0) + torch.randn(260, 40, generator=generator)
    assert letter_accuracy(x, LETTERS, 0) == (1.0, 5 * 78)  # 3 of each letter's 10 words are held out


def test_noise_is_at_chance() -> None:
    x = torch.randn(260, 40, generator=torch.Generator().manual_seed(0))
    accuracy, _ = letter_accuracy(x, LETTERS, 0)
    assert accuracy < 0.15  # chance 1/26, and 5 splits of 78 words


def test_words_with_arbitrary_vectors_are_not_learned_by_heart() -> None:
    """One direction per word says nothing about a held-out word, however well the probe fits."""
    accuracy, _ = letter_accuracy(torch.eye(260), LETTERS, 0)
    assert accuracy < 0.15


def test_split_keeps_the_share_of_each_letter_and_holds_out_every_letter() -> None:
    y = torch.tensor([0] * 10 + [1] * 2 + [2] * 3)
    train = train_split(y, 3)
    assert [int((train & (y == c)).sum()) for c in range(3)] == [7, 1, 2]
    assert torch.equal(train, train_split(y, 3))
    assert not torch.equal(train, train_split(y, 4))


def test_fit_is_scikit_learn_s() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(150, 6, generator=generator).double()
    y = torch.randint(3, (150,), generator=generator)
    ours = fit_multinomial(x, y, 3)
    # scikit-learn's penalty is |w|^2 / 2 beside a sum over words times C: ours is a mean plus L2 |w|^2
    theirs = LogisticRegression(C=1 / (2 * L2 * len(x)), tol=1e-10, max_iter=5000).fit(x.numpy(), y.numpy())
    assert np.allclose(ours[:-1].numpy().T, theirs.coef_, atol=1e-4)
