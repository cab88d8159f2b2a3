"""Which latents are chosen and what is said of one: on activations small enough to read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from pipeline.latents.activations import activations_of
from pipeline.latents.choose import ENOUGH, MOST, choose
from pipeline.latents.describe import AROUND, CONTEXTS, SHADES, describe
from pipeline.latents.words import LONGEST, Words, word
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.window import Window
from pipeline.store import Store
from pipeline.store.blocks import blocks
from tests.sae.windows import windowed

LENGTH, COUNT = 40, 8


class Spelled:
    """A tokenizer whose tokens are the given texts."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def decode(self, tokens: list[int]) -> str:
        return self.texts[tokens[0] % len(self.texts)]


@pytest.fixture
def sae() -> SAE:
    """Latent i reads coordinate i of activations in two dimensions."""
    return SAE("standard", torch.eye(2), torch.eye(2), torch.zeros(2), torch.zeros(2))


@pytest.fixture
def store() -> Store:
    """Latent 0 fires in runs of three, strongest in context 2; latent 1 never. Token 0 is special."""
    x = torch.zeros(COUNT, LENGTH, 2)
    x[:, 5:8, 0] = 1.0
    x[2, 5:8, 0] = torch.tensor([4.0, 8.0, 2.0])
    x[:, 0, 0] = 100.0
    tokens = torch.arange(LENGTH).repeat(COUNT)
    return Store.from_tensors(
        x.view(-1, 2),
        tokens=tokens.int(),
        special_ids=[0],
        context_length=LENGTH,
        splits={"train": (0, 1), "test": (0, COUNT)},
    )


def described(sae: SAE, store: Store, latents: list[int], place: int) -> dict[str, Any]:
    seen = activations_of(sae, store, blocks(store, 3, torch.device("cpu")), latents)
    words = Words(Spelled("a", "b"))
    return describe(sae, seen, place, torch.tensor([0.0, 3.0, -2.0]), words, torch.arange(1, 11))


def test_a_record_by_hand(sae: SAE, store: Store) -> None:
    found = described(sae, store, [1, 0], 1)
    assert (found["latent"], found["peak"]) == (0, 8.0)
    assert found["density"] == float(f"{3 / (LENGTH - 1):.4g}")
    assert found["flicker"] == float(f"{1 / 3:.4g}")
    assert sum(found["histogram"]) == 3 * COUNT
    first = found["contexts"][0]
    assert len(found["contexts"]) == CONTEXTS
    assert (first["value"], first["shades"][first["at"]], first["at"]) == (8.0, SHADES, 6)
    assert len(first["words"]) == 6 + AROUND + 1
    assert first["shades"][0] == 0, "the special token is silent"
    assert found["text"] == [0, 0, 0, 0, 12, 12, 12, 0, 0, 0]
    assert [logit for _, logit in found["promoted"]] == [3.0, 0.0, -2.0]
    assert [logit for _, logit in found["suppressed"]] == [-2.0, 0.0, 3.0]
    assert found["neighbours"] == [[1, 0.0]]


def test_a_silent_latent_has_a_record_too(sae: SAE, store: Store) -> None:
    found = described(sae, store, [1], 0)
    assert (found["peak"], found["density"], found["flicker"], found["contexts"]) == (0.0, 0.0, None, [])
    assert set(found["text"]) == {0}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("bad", ["\x00", "\x1b[31m", "\u202e", "\u200b", "\u2028", "\ud800"])
def test_characters_that_act_are_shown_as_escapes(bad: str) -> None:
    shown = word(Spelled(f"x{bad}y"), 0)
    assert shown.isprintable()
    assert shown.startswith("x\\")


def test_a_long_token_is_cut_and_each_is_kept_once() -> None:
    words = Words(Spelled("z" * 1000, "b"))
    assert [words.number(token) for token in (1, 0, 1)] == [0, 1, 0]
    assert [len(text) for text in words.texts] == [1, LONGEST]


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {"latent": i, "fired": 10 * i, "density": i / count, "on_followed": 10 * i, "stays_on": i}
        for i in range(count)
    ]


def test_each_kind_is_chosen_by_its_rule() -> None:
    latents = rows(20)
    latents[7] |= {"stays_on": 60}  # 60 of 70: the steadiest
    latents[2] |= {"stays_on": 20}  # of too few tokens to say so
    assert latents[2]["on_followed"] < ENOUGH
    said = {
        "kept": 1,
        "letter": "a",
        "main_silent": 0,
        "full_absorption": 0,
        "top_latent": 5,
        "word": "apple",
    }
    lost = said | {"main_silent": 1, "full_absorption": 1, "top_latent": 11, "word": "acorn"}
    found = choose(latents, [said, said, lost, lost | {"kept": 0}], [3], "seed")
    assert [latent for latent, why in found.items() if "dense" in why] == [19, 18, 17, 16]
    assert "letter a" in found[5]
    assert "absorbs a in 1 word, as in acorn" in found[11]
    assert "steady" in found[7]
    assert "steady" not in found.get(2, [])
    assert "on the shared text" in found[3]
    assert 0 not in found, "it never fires"
    assert choose(latents, [], [3], "seed") == choose(latents, [], [3], "seed")


def test_never_more_than_the_bound() -> None:
    many = [
        {
            "kept": 1,
            "letter": chr(97 + i % 26),
            "main_silent": i % 2,
            "full_absorption": i % 2,
            "top_latent": 100 + i,
            "word": f"w{i}",
        }
        for i in range(200)
    ]
    assert len(choose(rows(400), many, list(range(300, 400)), "s")) <= MOST


def test_codes_of_windows_are_those_of_each_context(store: Store) -> None:
    """Whatever contexts stand side by side in a block."""
    made = windowed(tokens=3)
    assert made.window is not None
    made = replace(
        made, W_enc=made.W_enc[:2], W_dec=made.W_dec[:, :2], b_dec=made.b_dec[:2],
        window=Window(made.window.W_enc[:, :2], made.window.W_dec[:, :, :2], made.window.b_dec[:, :2]),
    )  # fmt: skip
    seen = activations_of(made, store, blocks(store, 3, torch.device("cpu")), [4, 0])
    for context in range(COUNT):
        x = store.rows(context * LENGTH + 1, (context + 1) * LENGTH)
        alone = made.encode(x, torch.arange(LENGTH - 1)).dense()[:, [4, 0]]
        torch.testing.assert_close(seen.activations[context, 1:], alone, atol=1e-4, rtol=1e-4)
        assert not seen.activations[context, 0].any()
