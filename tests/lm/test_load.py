"""The cut forward pass against transformers' own, for every architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.console.errors import BadInput
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site
from pipeline.lm.resolve import resolve_local
from tests.lm import tiny

KINDS = ["gemma2", "llama", "gpt_neox", "gpt2"]
LAST = 2


def after(layer: int) -> Site:
    return Site("resid_post", layer)


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    root = tmp_path_factory.mktemp(request.param)
    resolve_local(tiny.save(request.param, root / "tiny"), root / "lm")
    return load_lm(root / "lm", "cpu")


def blocks(lm: LanguageModel) -> Any:
    base = lm.model.base_model
    return base.h if hasattr(base, "h") else base.layers


def hooked(lm: LanguageModel, layer: int, ids: torch.Tensor, **how: Any) -> torch.Tensor:
    """What block `layer` gives in the model's own, whole forward pass."""
    seen: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        seen.append(output[0] if isinstance(output, tuple) else output)

    handle = blocks(lm)[layer].register_forward_hook(keep)
    with torch.no_grad():
        lm.model(ids, **how)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("layer", [0, 1])
def test_forward_to_is_the_next_hidden_state(lm: LanguageModel, layer: int) -> None:
    ids = tiny.contexts(3, 12)
    with torch.no_grad():
        expected = lm.model(ids, output_hidden_states=True).hidden_states[layer + 1]
    assert torch.equal(lm.forward_to(ids, after(layer)), expected)


def test_forward_to_the_last_block_is_before_the_final_norm(lm: LanguageModel) -> None:
    ids = tiny.contexts(3, 12)
    found = lm.forward_to(ids, after(LAST))
    assert torch.equal(found, hooked(lm, LAST, ids))
    with torch.no_grad():
        normed = lm.model(ids, output_hidden_states=True).hidden_states[LAST + 1]
    assert not torch.allclose(found, normed)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_no_later_block_runs(lm: LanguageModel, layer: int) -> None:
    ran: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, block in enumerate(blocks(lm))
    ]
    residual = lm.forward_to(tiny.contexts(2, 8), after(layer))
    to, ran[:] = list(ran), []
    lm.forward_from(residual, after(layer))
    for handle in handles:
        handle.remove()
    assert to == list(range(layer + 1))
    assert ran == list(range(layer + 1, 3))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_two_halves_are_the_model(lm: LanguageModel, layer: int) -> None:
    ids = tiny.contexts(3, 12)
    with torch.no_grad():
        whole = lm.model(ids).logits
    halves = lm.forward_from(lm.forward_to(ids, after(layer)), after(layer))
    torch.testing.assert_close(halves, whole, atol=1e-5, rtol=0)


def test_the_residual_matters(lm: LanguageModel) -> None:
    ids = tiny.contexts(2, 8)
    residual = lm.forward_to(ids, after(1))
    changed = residual.clone()
    changed[:, 3] = 0
    whole, cut = lm.forward_from(residual, after(1)), lm.forward_from(changed, after(1))
    assert torch.equal(whole[:, :3], cut[:, :3])
    assert not torch.allclose(whole[:, 3], cut[:, 3])


def test_the_model_is_whole_again_after_a_failure(lm: LanguageModel) -> None:
    ids = tiny.contexts(2, 8)
    before = lm.forward_to(ids, after(LAST))
    with pytest.raises(RuntimeError):
        lm.forward_from(torch.zeros(2, 8, 5), after(1))
    assert len(blocks(lm)) == 3
    assert torch.equal(lm.forward_to(ids, after(LAST)), before)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("layer", [0, 2])
def test_padding_changes_nothing_at_tokens(lm: LanguageModel, side: str, layer: int) -> None:
    lengths, width = [5, 9, 7], 9
    texts = [tiny.contexts(1, length, seed=length) for length in lengths]
    ids = torch.full((3, width), tiny.PAD)
    mask = torch.zeros(3, width, dtype=torch.bool)
    for index, text in enumerate(texts):
        place = slice(0, text.shape[1]) if side == "right" else slice(width - text.shape[1], width)
        ids[index, place], mask[index, place] = text[0], True
    residual = lm.forward_to(ids, after(layer), mask)
    logits = lm.forward_from(residual, after(layer), mask)
    for index, text in enumerate(texts):
        alone = lm.forward_to(text, after(layer))
        torch.testing.assert_close(residual[index, mask[index]], alone[0], atol=1e-5, rtol=1e-5)
        with torch.no_grad():
            expected = lm.model(text).logits[0]
        torch.testing.assert_close(logits[index, mask[index]], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_does_not_exist_is_refused(lm: LanguageModel, layer: int) -> None:
    with pytest.raises(BadInput, match=rf"layer {layer} does not exist: tiny has 3 blocks.* to resid_post.2"):
        lm.forward_to(tiny.contexts(1, 4), after(layer))
    with pytest.raises(BadInput, match="does not exist"):
        lm.forward_from(torch.zeros(1, 4, 16), after(layer))


def test_what_the_model_says_about_itself(lm: LanguageModel) -> None:
    assert (lm.model_id, lm.d, lm.layers) == ("tiny", 16, 3)
    assert (lm.bos_id, lm.special_ids) == (tiny.BOS, [tiny.BOS, tiny.EOS, tiny.PAD])
    assert not any(parameter.requires_grad for parameter in lm.model.parameters())
    assert not lm.model.training


def test_gemma2_uses_the_attention_that_softcaps(tmp_path: Path) -> None:
    resolve_local(tiny.save("gemma2", tmp_path / "tiny"), tmp_path / "lm")
    lm = load_lm(tmp_path / "lm", "cpu")
    assert lm.model.config._attn_implementation == "eager"
    capped = lm.forward_to(tiny.contexts(1, 12), after(0))
    for block in blocks(lm):
        block.self_attn.attn_logit_softcapping = None
    assert not torch.allclose(capped, lm.forward_to(tiny.contexts(1, 12), after(0)))


def test_bfloat16_weights_give_float32_activations(tmp_path: Path) -> None:
    resolve_local(tiny.save("llama", tmp_path / "tiny"), tmp_path / "lm")
    lm = load_lm(tmp_path / "lm", "cpu", "bfloat16")
    residual = lm.forward_to(tiny.contexts(1, 6), after(1))
    assert lm.model.dtype == torch.bfloat16
    assert residual.dtype == torch.float32
    assert torch.equal(residual, residual.bfloat16().float())
    assert lm.forward_from(residual, after(1)).dtype == torch.float32


def test_a_folder_that_was_not_resolved_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no resolved language model"):
        load_lm(tiny.save("llama", tmp_path / "tiny"), "cpu")


def test_a_damaged_resolved_json_is_refused(tmp_path: Path) -> None:
    resolve_local(tiny.save("llama", tmp_path / "tiny"), tmp_path / "lm")
    values = json.loads((tmp_path / "lm/resolved.json").read_text())
    del values["d"]
    (tmp_path / "lm/resolved.json").write_text(json.dumps(values))
    with pytest.raises(BadInput, match="damaged"):
        load_lm(tmp_path / "lm", "cpu")


def test_missing_weights_are_not_filled_with_random_numbers(tmp_path: Path) -> None:
    resolve_local(tiny.save("llama", tmp_path / "tiny"), tmp_path / "lm")
    path = tmp_path / "lm/model.safetensors"
    tensors = load_file(path)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"lack 1 tensors \(model\.layers\.1\.mlp\.up_proj\.weight"):
        load_lm(tmp_path / "lm", "cpu")


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    resolve_local(tiny.save("llama", tmp_path / "tiny"), tmp_path / "lm")
    path = tmp_path / "lm/model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="cannot be loaded"):
        load_lm(tmp_path / "lm", "cpu")
