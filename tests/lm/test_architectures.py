from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.console.errors import BadInput
from pipeline.lm.core.architectures import ARCHITECTURES, architecture
from pipeline.lm.core.cut import first_blocks, last_blocks
from tests.lm import tiny


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_every_entry_names_what_the_model_has(kind: str) -> None:
    base = tiny.model(kind).base_model
    entry = architecture(kind, "m")
    assert len(getattr(base, entry.blocks)) == 3
    assert "norm" in type(getattr(base, entry.norm)).__name__.lower()


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(BadInput, match="m is a `bert` model; this pipeline knows"):
        architecture("bert", "m")


@pytest.mark.parametrize("kind", sorted(ARCHITECTURES))
def test_the_model_is_itself_again_afterwards(kind: str) -> None:
    model = tiny.model(kind)
    entry = ARCHITECTURES[kind]
    before = {name: id(module) for name, module in model.named_modules()}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(KeyError), first_blocks(model.base_model, entry, 1):
        raise KeyError
    with last_blocks(model.base_model, entry, 2, torch.zeros(1, 4, 16)):
        assert len(getattr(model.base_model, entry.blocks)) == 3
    assert {name: id(module) for name, module in model.named_modules()} == before
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_within_first_blocks_there_is_no_final_norm() -> None:
    base = tiny.model("llama").base_model
    with first_blocks(base, ARCHITECTURES["llama"], 2):
        assert isinstance(base.norm, nn.Identity)
        assert len(base.layers) == 2
