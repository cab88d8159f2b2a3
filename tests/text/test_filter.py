"""The counting filter against a hand-made process and on the embedded text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.text.corpus import Corpus, build
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.filter import Filter
from tests.text.sections import embedded

SECTION = embedded(
    context_length=128, train_contexts=400, validation_contexts=1, test_contexts=60, drill_share=0.0,
    domains=4, speakers=4, words=600,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build(SECTION, embedded_tokenizer(SECTION), 1, Path("none"))


@pytest.mark.parametrize("name", ["language", "domain", "sub_domain", "register", "speaker", "tense"])
def test_every_slow_state_is_known_far_above_chance(corpus: Corpus, name: str) -> None:
    assert corpus.states is not None
    known, values = corpus.states
    column = [field.name for field in known].index(name)
    train, test = corpus.splits["train"], corpus.splits["test"]
    size = len(vocabulary(SECTION).tokens)
    fitted = Filter.fit(train.tokens, values["train"][..., column], train.document, size)
    truth = values["test"][..., column]
    right = (fitted.predict(test.tokens, test.document) == truth)[truth >= 0].mean()
    chance = np.bincount(truth[truth >= 0]).max() / (truth >= 0).sum()
    assert right > chance + 0.25 * (1 - chance)


def test_it_is_bayes_rule_for_a_process_it_knows() -> None:
    """Two values, hazard 0: the product of likelihoods, anew with each document."""
    tokens = np.array([[0, 1, 1, 2, 2, 0]])
    document = np.array([[0, 0, 0, 1, 1, 1]])
    emission = np.log(np.array([[0.5, 0.1, 0.4], [0.2, 0.5, 0.3]]))
    found = Filter(emission, 0.0).predict(tokens, document)
    assert found.tolist() == [[0, 1, 1, 0, 0, 0]]


def test_a_hazard_forgets() -> None:
    tokens = np.array([[0] * 20 + [1, 1]])
    document = np.zeros_like(tokens)
    emission = np.log(np.array([[0.9, 0.1], [0.1, 0.9]]))
    assert Filter(emission, 0.0).predict(tokens, document)[0, -1] == 0
    assert Filter(emission, 0.1).predict(tokens, document)[0, -1] == 1


def test_fitted_hazard_is_the_rate_of_changes_inside_documents() -> None:
    values = np.array([[0, 0, 1, 1, 0], [-1, 1, 1, 0, 0]])
    document = np.array([[0, 0, 0, 1, 1], [2, 2, 2, 2, 3]])
    fitted = Filter.fit(np.zeros_like(values), values, document, 1)
    assert fitted.hazard == pytest.approx(3 / 5)  # pairs: 0-0, 0-1, 1-0 and 1-1, 1-0
