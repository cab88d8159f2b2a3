from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site
from pipeline.lm.embedded import (
    build_model,
    cross_entropy,
    learning_rate_factor,
    parameter_groups,
    residual_at_end,
    train,
)
from pipeline.lm.objectives import FutureBag
from pipeline.lm.section import EmbeddedModel, HubModel, LocalModel, parse_model

VOCABULARY, WIDTH = 30, 12
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TINY = {
    "source": "embedded", "retrain": True, "seed": 0, "layers": 2, "d": 16, "heads": 2, "kv_heads": 1,
    "head_dim": 8, "mlp": 24, "window": 8, "steps": 12, "batch": 4, "warmup": 2, "site_layer": 0,
    "precision": "float32", "early_steps": 3, "participation": 2.0,
}  # fmt: skip


def section(**changes: Any) -> EmbeddedModel:
    return EmbeddedModel.parse({**TINY, **changes}, "model")


def build(**changes: Any) -> Any:
    return build_model(section(**changes), VOCABULARY, WIDTH, SPECIAL)


def batches(count: int = 48) -> Iterator[Tensor]:
    """`contexts` in batches of the section's size."""
    return iter(contexts(count).split(4))


def contexts(count: int = 48) -> Tensor:
    """Rows that can be learned: BOS, then a random token repeated."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(3, VOCABULARY, (count, 1), generator=generator).repeat(1, WIDTH)
    rows[:, 0] = 1
    return rows


def weights(model: Any) -> Tensor:
    return torch.cat([each.detach().flatten() for each in model.parameters()])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_is_bit_identical_from_the_seed(precision: str) -> None:
    found = []
    for seed in (0, 0, 1):
        model = build(seed=seed)
        losses = [step.loss for step in train(model, batches(), section(seed=seed, precision=precision))]
        found.append((losses, weights(model)))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][1], found[2][1])


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build()
    assert torch.equal(torch.rand(3), expected)


def test_training_lowers_the_loss_and_says_what_it_saw() -> None:
    next_token: dict[str, Any] = {
        "steps": 120, "lr": 1e-2, "embedding_lr": 1.0, "future_weight": 0.0, "token_share": 1.0,
        "participation": 1.0,
    }  # fmt: skip
    model = build(**next_token)
    before = cross_entropy(model, contexts())
    steps = list(train(model, batches(480), section(**next_token)))
    assert [step.index for step in steps] == list(range(120))
    assert {step.tokens for step in steps} == {4 * WIDTH}
    assert cross_entropy(model, contexts()) < 0.6 * before
    assert not model.training


def test_no_more_steps_than_asked() -> None:
    assert len(list(train(build(), batches(400), section()))) == 12


def test_learning_rate_warms_up_then_holds_then_falls() -> None:
    made = section(steps=100, warmup=10)
    assert [learning_rate_factor(step, made) for step in (0, 4, 9, 30, 80)] == pytest.approx(
        [0.1, 0.5, 1.0, 1.0, 1.0]
    )
    assert [learning_rate_factor(step, made) for step in (90, 99)] == pytest.approx([0.5, 0.05])


def test_words_start_at_the_given_spreads_and_norms_at_zero() -> None:
    model = build_model(section(d=64, embedding_std=0.3, head_std=0.1), 500, WIDTH, SPECIAL)
    assert float(model.model.embed_tokens.weight.detach().std()) == pytest.approx(0.3, rel=0.02)
    assert float(model.lm_head.weight.detach().std()) == pytest.approx(0.1, rel=0.02)
    assert float(model.model.norm.weight.detach().abs().max()) == 0.0


def test_norms_are_not_decayed_and_embeddings_learn_slowly() -> None:
    model, bag = build(), FutureBag(16, 0)
    words, decayed, free = parameter_groups(model, bag, section(weight_decay=0.5, lr=0.2, embedding_lr=0.1))
    assert [each["weight_decay"] for each in (words, decayed, free)] == [0.5, 0.5, 0.0]
    assert words["lr"] == pytest.approx(0.02)
    assert [id(each) for each in words["params"]] == [id(model.model.embed_tokens.weight)]
    everything = words["params"] + decayed["params"] + free["params"]
    assert sum(each.numel() for each in everything) == len(weights(model)) + len(weights(bag))
    norms = [each for name, each in [*model.named_parameters(), *bag.named_parameters()] if "norm" in name]
    assert len(norms) == len(free["params"])


def test_cross_entropy_is_the_mean_over_targets_that_are_not_bos() -> None:
    model = build().eval()
    rows = contexts(5)
    rows[2, 4] = rows[3, 7] = 1
    with torch.no_grad():
        logits = model(rows).logits.double().log_softmax(-1)
    terms = [-logits[c, t - 1, rows[c, t]] for c in range(5) for t in range(1, WIDTH) if int(rows[c, t]) != 1]
    assert cross_entropy(model, rows) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-5)


def test_residual_is_hidden_states_at_the_last_token() -> None:
    model = build().eval()
    rows = contexts(40)
    with torch.no_grad():
        states = model(rows, output_hidden_states=True).hidden_states
    assert torch.allclose(
        residual_at_end(model, rows.tolist(), Site("resid_post", 0)), states[1][:, -1], atol=1e-6
    )


def test_saved_model_reloads_with_equal_logits(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = build()
    list(train(model, batches(), section()))
    model.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert type(loaded).__name__ == "Gemma2ForCausalLM"
    with torch.no_grad():
        assert torch.equal(loaded(contexts(3)).logits, model(contexts(3)).logits)


def test_softcap_and_window_are_in_force() -> None:
    model = build().eval()
    with torch.no_grad():
        nn.init.normal_(model.model.norm.weight, mean=1e4)
        assert float(model(contexts(2)).logits.abs().max()) <= 30.0
    assert (model.config.sliding_window, model.config.attn_logit_softcapping) == (8, 50.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**TINY, "site_layer": 2}, "site_layer 2 does not exist in a model of 2 blocks"),
        ({**TINY, "kv_heads": 3}, "kv_heads 3 does not divide heads 2"),
        ({"source": "web"}, "choose one of embedded, local, hub"),
        ({"source": "hub", "name": "a/b"}, r"`p\.model\.revision` is missing"),
        ({**TINY, "step": 3}, "is not a parameter"),
    ],
)
def test_bad_model_sections(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_model(values, "p.model")


def test_source_chooses_the_schema() -> None:
    assert isinstance(parse_model({"source": "local"}, "m"), LocalModel)
    assert isinstance(parse_model({"source": "hub", "name": "a/b", "revision": "c"}, "m"), HubModel)
