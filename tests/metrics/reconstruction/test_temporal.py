from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction.entries import Entries
from pipeline.metrics.reconstruction.temporal import METRICS, RARE, Temporal, control, permutation
from pipeline.numbers.number import Number
from pipeline.sae.core.codes import Codes, Pairs
from tests.metrics.codes import random_dense, sparse

PLAN = Resampling(resamples=100, seed=0)
N, WINDOW = 9, 4


class Tokens:
    """Valid tokens with gaps (special tokens left out), several documents per context."""

    def __init__(self, contexts: int, length: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        rows = torch.arange(contexts * length)
        valid = torch.rand(len(rows), generator=generator) > 0.2
        breaks = (torch.rand(len(rows), generator=generator) < 0.15).long()
        self.document = breaks.cumsum(0)[valid]
        self.position = (rows % length)[valid]
        self.context = (rows // length)[valid]
        self.x = torch.randn(int(valid.sum()), 3, generator=generator)

    def part(self, which: Tensor) -> Tokens:
        part = object.__new__(Tokens)
        for name in ("x", "document", "position", "context"):
            setattr(part, name, getattr(self, name)[which])
        return part

    def __len__(self) -> int:
        return len(self.x)


def measured(tokens: Tokens, dense: Tensor, blocks: int = 1, window: int = WINDOW) -> Temporal:
    result = Temporal(dense.shape[1], window)
    for block in range(blocks):
        which = tokens.context % blocks == block
        part = tokens.part(which)
        result.add(part.x, Entries.of(sparse(dense[which])), part.document, part.position, part.context)
    return result


def reference(tokens: Tokens, dense: Tensor) -> dict[str, float]:
    """Every metric by loops over tokens, pairs, runs and windows."""
    f, x = dense.double().numpy(), tokens.x.double().numpy()
    place = list(
        zip(tokens.context.tolist(), tokens.document.tolist(), tokens.position.tolist(), strict=True)
    )
    pairs = [
        (i, i + 1)
        for i in range(len(place) - 1)
        if place[i][:2] == place[i + 1][:2] and place[i][2] + 1 == place[i + 1][2]
    ]
    alive = [i for i in range(f.shape[1]) if (f[:, i] > 0).any()]
    count = {(a, b): 0 for a in (False, True) for b in (False, True)}
    per_latent = []
    for i in alive:
        states = [(bool(f[a, i] > 0), bool(f[b, i] > 0)) for a, b in pairs]
        for state in states:
            count[state] += 1
        after_on = [b for a, b in states if a]
        if len(after_on) >= RARE:
            per_latent.append(1 - np.mean(after_on))
    runs = []
    for i in alive:
        length = 0
        for t in range(len(place)):
            if f[t, i] > 0:
                length += 1
            if length and (f[t, i] == 0 or (t, t + 1) not in pairs):
                runs.append(length)
                length = 0
    windows: dict[tuple[int, int], list[int]] = {}
    for t, (context, _, position) in enumerate(place):
        windows.setdefault((context, position // WINDOW), []).append(t)
    groups = [f[rows] for rows in windows.values() if len(rows) > 1]
    within = np.mean([group.var(0, ddof=1) for group in groups], axis=0)
    from_on, from_off = count[True, True] + count[True, False], count[False, True] + count[False, False]
    return {
        "smoothness": np.mean([np.linalg.norm(f[b] - f[a]) / np.linalg.norm(x[b] - x[a]) for a, b in pairs]),
        "flicker": count[True, False] / from_on,
        "flicker_per_latent": np.mean(per_latent),
        "run_length": np.mean(runs),
        "activation_variance": within[alive].mean(),
        "activation_variance_share": within.sum() / f.var(0, ddof=1).sum(),
        "transition_on_on": count[True, True] / from_on,
        "transition_on_off": count[True, False] / from_on,
        "transition_off_on": count[False, True] / from_off,
        "transition_off_off": count[False, False] / from_off,
    }


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_every_metric_equals_loops_over_tokens(share: float):
    tokens = Tokens(contexts=8, length=11, seed=1)
    dense = random_dense(len(tokens), N, share, seed=2)
    dense[:, 4] = 0  # a dead latent
    if share == 0.1:
        dense[:, 5] *= torch.arange(len(tokens)) < 3  # one too rare for flicker_per_latent
    found = measured(tokens, dense).values(PLAN)
    expected = reference(tokens, dense)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].value == pytest.approx(value, rel=1e-10), name


def test_blocks_do_not_matter():
    tokens = Tokens(contexts=8, length=11, seed=3)
    dense = random_dense(len(tokens), N, 0.4, seed=4)
    whole, parts = measured(tokens, dense).values(PLAN), measured(tokens, dense, blocks=4).values(PLAN)
    for name, value in whole.items():
        assert parts[name].value == pytest.approx(value.value, rel=1e-12), name
        assert parts[name].items == value.items


def test_the_order_of_latents_within_a_token_does_not_matter():
    tokens = Tokens(contexts=4, length=9, seed=5)
    dense = random_dense(len(tokens), N, 0.5, seed=6) + 0.01
    value, latent = dense.topk(3)
    shuffled = Codes(Pairs.rows(latent, N), value.reshape(-1))
    kept = torch.zeros_like(dense).scatter(1, latent, value)
    result = Temporal(N, WINDOW)
    result.add(tokens.x, Entries.of(shuffled), tokens.document, tokens.position, tokens.context)
    assert result.values(PLAN) == measured(tokens, kept).values(PLAN)


def context_of(length: int) -> Tokens:
    tokens = object.__new__(Tokens)
    tokens.x = torch.arange(float(length))[:, None]
    tokens.document = torch.zeros(length, dtype=torch.int64)
    tokens.position = torch.arange(length)
    tokens.context = torch.zeros(length, dtype=torch.int64)
    return tokens


def test_known_values_of_one_sequence():
    #                       on on off on on on
    dense = torch.tensor([[1.0, 1, 0, 1, 1, 1]]).T
    values = measured(context_of(6), dense).values(PLAN)
    assert values["flicker"] == Number(0.25, 4)  # four followed on-tokens, one switches off
    assert values["run_length"] == Number(2.5, 5)
    assert values["transition_off_on"] == Number(1.0, 1)
    assert values["smoothness"] == Number(2 / 5, 5)
    assert values["flicker_per_latent"].reason == "no latent is on at 10 tokens that have a successor"


def test_a_latent_that_is_always_on_never_flickers():
    values = measured(context_of(12), torch.full((12, 1), 2.0)).values(PLAN)
    assert (values["flicker"].value, values["run_length"].value) == (0, 12)
    assert values["smoothness"].value == 0
    assert values["activation_variance"].value is None
    assert values["transition_off_on"].value is None
    assert (
        values["transition_off_on"].reason
        == "no latent that is ever on is off at a token that has a successor"
    )


def test_nothing_fires():
    values = measured(context_of(5), torch.zeros(5, 3)).values(PLAN)
    assert values["smoothness"] == Number(0.0, 4)
    assert {name for name, value in values.items() if value.value is None} == set(values) - {"smoothness"}


def test_equal_neighbours_are_left_out_of_smoothness():
    tokens = context_of(3)
    tokens.x[1] = tokens.x[0]
    values = measured(tokens, torch.tensor([[1.0], [3.0], [3.0]])).values(PLAN)
    assert values["smoothness"] == Number(0.0, 1)
    tokens.x[2] = tokens.x[0]
    still = measured(tokens, torch.tensor([[1.0], [3.0], [3.0]])).values(PLAN)["smoothness"]
    assert still.reason == "no pair of neighbours with different activations"


@pytest.mark.parametrize("length", [0, 1])
def test_no_pairs(length: int):
    values = measured(context_of(length), torch.ones(length, 2)).values(PLAN)
    assert values["flicker"].value is None
    assert values["run_length"].value == (1 if length else None)


def persistent(contexts: int, length: int, n: int, stay: float, seed: int) -> Tensor:
    """(contexts * length, n) on/off chains that keep their state with probability `stay`, half of them on."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.rand(contexts, n, generator=generator) < 0.5
    states = []
    for _ in range(length):
        states.append(state)
        state = state ^ (torch.rand(contexts, n, generator=generator) >= stay)
    return torch.stack(states, 1).reshape(-1, n).float()


def uniform(contexts: int, length: int) -> Tokens:
    tokens = context_of(contexts * length)
    tokens.position, tokens.context = tokens.position % length, tokens.position // length
    tokens.document = tokens.context.clone()
    return tokens


def test_the_shuffled_control_of_independent_tokens_changes_nothing():
    tokens, dense = uniform(60, 40), persistent(60, 40, 8, stay=0.5, seed=0)
    tokens.x = dense.clone()
    order = permutation(len(dense), 1)
    plain = measured(tokens, dense, window=40).values(PLAN)
    tokens.x = tokens.x[order]
    mixed = measured(tokens, dense[order], window=40).values(PLAN)
    for name, value in plain.items():
        assert mixed[name].value == pytest.approx(value.value, rel=0.03), name


def test_the_shuffled_control_tells_persistence():
    tokens, dense = uniform(60, 40), persistent(60, 40, 8, stay=0.9, seed=0)
    order = permutation(len(dense), 1)
    plain = measured(tokens, dense, window=10).values(PLAN)
    mixed = control(measured(tokens, dense[order], window=10).values(PLAN))
    assert plain["flicker"].value == pytest.approx(0.1, abs=0.01)
    assert mixed["flicker_shuffled"].value == pytest.approx(0.5, abs=0.02)
    assert mixed["activation_variance_share_shuffled"].value == pytest.approx(1, abs=0.02)
    share = plain["activation_variance_share"].value
    assert share is not None
    assert share < 0.7


def test_the_definitions_name_every_value_and_its_control():
    values = measured(context_of(6), torch.ones(6, 2)).values(PLAN)
    assert {metric.name for metric in METRICS} == set(values) | set(control(values))


def test_a_permutation_is_one_and_has_a_seed():
    assert sorted(permutation(50, 3).tolist()) == list(range(50))
    assert permutation(50, 3).tolist() == permutation(50, 3).tolist() != permutation(50, 4).tolist()


def test_transitions_carry_an_interval_over_contexts():
    tokens = Tokens(contexts=8, length=11, seed=5)
    found = measured(tokens, random_dense(len(tokens), N, 0.3, seed=6)).values(PLAN)
    for start in ("on", "off"):
        stays, leaves = (found[f"transition_{start}_{end}"] for end in ("on", "off"))
        assert stays.value is not None
        for each in (stays, leaves):
            assert each.low is not None
            assert each.high is not None
        assert stays.low < stays.value < stays.high
        # one draw of contexts gives both
        assert [leaves.low, leaves.high] == pytest.approx([1 - stays.high, 1 - stays.low])
    assert found["transition_on_off"] == found["flicker"]
