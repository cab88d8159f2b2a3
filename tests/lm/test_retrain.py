"""The embedded model's training text: its own streams, drills first."""

from __future__ import annotations

from itertools import islice

import torch

from pipeline.lm.retrain import training_batches
from pipeline.text.embedded.stream import contexts
from pipeline.text.embedded.vocabulary import vocabulary
from tests.lm.test_embedded import section
from tests.text.sections import embedded

TEXT = embedded()


def drilled(batches: list[torch.Tensor]) -> float:
    """Share of tokens that are single letters: the answers of drills."""
    letters = [
        index for index, token in enumerate(vocabulary(TEXT).tokens) if token in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ]
    return float(torch.isin(torch.stack(batches), torch.tensor(letters)).double().mean())


def test_the_early_steps_have_more_drills() -> None:
    made = section(early_steps=20, drill_share_early=0.8, drill_share=0.05)
    found = list(islice(training_batches(made, TEXT), 60))
    assert found[0].shape == (made.batch, TEXT.context_length)
    assert drilled(found[:20]) > 5 * drilled(found[20:])


def test_seeds_read_streams_of_their_own_and_none_reads_the_corpus() -> None:
    first, again, other = (
        torch.cat(list(islice(training_batches(section(seed=seed, early_steps=0), TEXT), 5)))
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    corpus = torch.stack([
        torch.from_numpy(row) for row in islice(contexts(TEXT, "corpus train", TEXT.drill_share), 40)
    ])  # fmt: skip
    assert not (first[:, None] == corpus[None]).all(-1).any()
