"""Each format against its library's own formulas, and one sentence for what cannot be read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site
from pipeline.sae.core.folder import load_sae, save_sae
from pipeline.sae.formats.external import Location
from pipeline.sae.formats.read import detect, read
from tests.sae.formats import folders
from tests.sae.formats.folders import D, N, Reference

DICTIONARIES = ("AutoEncoder", "AutoEncoderTopK", "BatchTopKSAE", "JumpReluAutoEncoder",
                "GatedAutoEncoder", "MatryoshkaBatchTopKSAE")  # fmt: skip


def after(layer: int) -> Site:
    return Site("resid_post", layer)


SCOPE = "google/gemma-scope-2b-pt-res/layer_2/width_16k/average_l0_82"

Write = Callable[[Path], Reference]
WRITERS: dict[str, Write] = {
    **{f"saelens {kind}": lambda to, kind=kind: folders.saelens(to, kind)
       for kind in ("standard", "topk", "jumprelu", "gated")},
    **{f"saelens {kind} on x": lambda to, kind=kind: folders.saelens(to, kind, subtract=False)
       for kind in ("standard", "topk", "jumprelu", "gated")},
    "saelens topk rescaled": lambda to: folders.saelens(to, "topk", rescale=True),
    **{kind: lambda to, kind=kind: folders.dictionary_learning(to, kind) for kind in DICTIONARIES},
    "sparsify": lambda to: folders.sparsify(to),
    "sparsify expanded": lambda to: folders.sparsify(to, explicit=False),
    "sparsify free rows": lambda to: folders.sparsify(to, unit=False),
    "gemma scope": folders.gemma_scope,
}  # fmt: skip

CODES_AS_THEY_ARE = (*DICTIONARIES, "saelens topk", "saelens topk on x", "saelens topk rescaled",
                     "sparsify", "sparsify expanded", "sparsify free rows")  # fmt: skip
"""Their f is ours; elsewhere free decoder rows get norm 1 and f the norm."""


def inputs() -> np.ndarray:
    return 2 + np.random.default_rng(1).normal(size=(200, D)) * 2


@pytest.mark.parametrize("name", WRITERS)
def test_codes_and_reconstructions_are_the_library_s(tmp_path: Path, name: str) -> None:
    f, back = WRITERS[name](tmp_path)(inputs())
    sae = read(Location(tmp_path, SCOPE)).sae
    x = torch.from_numpy(inputs()).float()
    if name not in CODES_AS_THEY_ARE:
        f = f * np.linalg.norm(folders.arrays()["W_dec"], axis=1)
    assert 0.05 < (f > 0).mean() < 0.9, "a test of codes needs some that are off and some that are on"
    np.testing.assert_allclose(sae.encode(x).dense(), f, atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(x), back, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", WRITERS)
def test_what_was_read_is_kept_in_our_layout(tmp_path: Path, name: str) -> None:
    """Saved and loaded again, it encodes to the same bits; rows have norm 1 except a free topk's."""
    WRITERS[name](tmp_path / "given")
    sae = read(Location(tmp_path / "given", SCOPE)).sae
    save_sae(tmp_path / "ours", sae, {})
    again, _ = load_sae(tmp_path / "ours")
    x = torch.from_numpy(inputs()).float()
    assert torch.equal(again.encode(x).dense(), sae.encode(x).dense())
    norms = sae.W_dec.norm(dim=1)
    if name not in ("saelens topk", "saelens topk on x", "sparsify free rows"):
        torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize(
    ("write", "format", "kind", "model"),
    [
        (lambda to: folders.saelens(to, "gated"), "saelens", "gated", "small"),
        (lambda to: folders.dictionary_learning(to, "BatchTopKSAE"), "dictionary_learning", "BatchTopKSAE",
         "owner/small"),
        (lambda to: folders.sparsify(to), "sparsify", "topk", None),
        (folders.gemma_scope, "gemma_scope", "jumprelu", "gemma-2-2b"),
    ],
)  # fmt: skip
def test_the_format_shows_in_the_files(
    tmp_path: Path, write: Write, format: str, kind: str, model: str | None
) -> None:
    write(tmp_path)
    name = SCOPE if format == "gemma_scope" else "some/run/layers.2"
    assert detect(Location(tmp_path, name)) == format
    found = read(Location(tmp_path, name))
    assert (found.format, found.kind, found.model, found.site) == (format, kind, model, after(2))


def test_an_sae_of_ours_is_one_of_saelens(tmp_path: Path) -> None:
    made = read(Location(_written(tmp_path / "x", "saelens jumprelu"), "x")).sae
    save_sae(tmp_path / "a", made, {
        "model_name": "embedded", "hook_name": "blocks.1.hook_resid_post", "model_sha256": "ab",
        "training_architecture": "batchtopk",
    })  # fmt: skip
    found = read(Location(tmp_path / "a", "a"))
    assert (found.kind, found.model, found.site, found.model_sha256) == (
        "batchtopk", "embedded", after(1), "ab",
    )  # fmt: skip


def test_sparsify_s_run_names_the_model(tmp_path: Path) -> None:
    folders.sparsify(tmp_path / "layers.11")
    (tmp_path / "config.json").write_text('{"model": "EleutherAI/pythia-70m", "layers": [11]}')
    place = Location(tmp_path / "layers.11", "run/layers.11", tmp_path)
    assert (read(place).model, read(place).site) == ("EleutherAI/pythia-70m", after(11))


@pytest.mark.parametrize(
    ("hook", "layer"), [("blocks.7.hook_resid_post", 7), ("blocks.7.hook_resid_pre", 6), (None, None)]
)
def test_saelens_hooks(tmp_path: Path, hook: str | None, layer: int | None) -> None:
    folders.saelens(tmp_path, "standard", metadata={"sae_lens_version": "6.54.12", "hook_name": hook})
    assert read(Location(tmp_path, "x")).site == (None if layer is None else after(layer))


def test_saelens_before_6(tmp_path: Path) -> None:
    """No metadata, topk as an activation function, and a scaling factor of ones beside the weights."""
    reference = folders.saelens(
        tmp_path, "standard", metadata=None, activation_fn_str="topk", activation_fn_kwargs={"k": 4},
        model_name="gpt2-small", hook_point="blocks.3.hook_resid_post",
    )  # fmt: skip
    weights = tmp_path / "sae_weights.safetensors"
    save_file(load_file(weights) | {"scaling_factor": torch.ones(N)}, weights)
    found = read(Location(tmp_path, "x"))
    assert (found.model, found.site, found.sae.k) == ("gpt2-small", after(3), 4)
    f = folders.top(_pre(inputs()), 4)
    np.testing.assert_allclose(found.sae.encode(torch.from_numpy(inputs()).float()).dense(), f, atol=1e-5)
    assert (reference(inputs())[0] > 0).sum() > (f > 0).sum()


def test_saelens_casts_to_its_dtype(tmp_path: Path) -> None:
    folders.saelens(tmp_path, "standard", dtype="bfloat16")
    bias = read(Location(tmp_path, "x")).sae.W_enc
    w = folders.arrays()
    norm = torch.from_numpy(w["W_dec"]).bfloat16().float().norm(dim=1)
    torch.testing.assert_close(bias, torch.from_numpy(w["W_enc"]).bfloat16().float() * norm)


def _pre(x: np.ndarray) -> np.ndarray:
    w = folders.wide(folders.arrays())
    return (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]


def _written(folder: Path, name: str) -> Path:
    WRITERS[name](folder)
    return folder


def edit(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text())
    section = content["trainer"] if "trainer" in content else content
    section.update(values)
    path.write_text(json.dumps(content))


def _refused(folder: Path, name: str = "run/layers.2", **given: Any) -> str:
    with pytest.raises(BadInput) as caught:
        read(Location(folder, name), **given)
    message = str(caught.value)
    assert message.count("\n") == 0
    assert message.endswith(".")
    return message


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("saelens standard", {"architecture": "matching_pursuit"}, "matching_pursuit"),
        ("saelens standard", {"architecture": "batchtopk"}, "save_inference_model"),
        ("saelens standard", {"normalize_activations": "layer_norm"}, "layer_norm"),
        ("saelens standard", {"reshape_activations": "hook_z"}, "hook_z"),
        ("saelens standard", {"d_in": D + 1}, "instead of"),
        ("saelens standard", {"d_sae": None}, "d_sae"),
        ("saelens standard", {"dtype": "int8"}, "int8"),
        ("saelens topk", {"k": 0}, "`k`"),
        ("saelens standard", {"metadata": {"hook_name": "blocks.2.hook_mlp_out"}}, "hook_mlp_out"),
        ("saelens standard", {"metadata": {"hook_name": "blocks.0.hook_resid_pre"}}, "embedding"),
        ("saelens standard", {"metadata": {
            "hook_name": "blocks.1.hook_resid_pre",
            "model_from_pretrained_kwargs": {"center_writing_weights": True}}}, "center_writing_weights"),
        ("AutoEncoder", {"dict_class": "CrossCoder"}, "CrossCoder"),
        ("AutoEncoder", {"dict_class": "GatedAutoEncoder"}, "decoder_bias"),
        ("AutoEncoder", {"submodule_name": "mlp_out_layer_2"}, "mlp_out_layer_2"),
        ("sparsify", {"transcode": True}, "transcode"),
        ("sparsify", {"activation": "groupmax"}, "groupmax"),
        ("sparsify", {"d_in": None}, "d_in"),
    ],
)  # fmt: skip
def test_another_kind_is_named(tmp_path: Path, name: str, values: dict[str, Any], says: str) -> None:
    WRITERS[name](tmp_path)
    edit(tmp_path / ("config.json" if name == "AutoEncoder" else "cfg.json"), **values)
    assert says in _refused(tmp_path)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("saelens standard", "sae_weights.safetensors"),
        ("saelens standard", "cfg.json"),
        ("AutoEncoder", "ae.pt"),
        ("sparsify", "sae.safetensors"),
        ("gemma scope", "params.npz"),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "absent"])
def test_a_damaged_or_missing_file_is_named(tmp_path: Path, name: str, file: str, damage: str) -> None:
    path = _written(tmp_path, name) / file
    format = detect(Location(tmp_path, "x"))
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    assert file in _refused(tmp_path, format=format)


def test_extra_and_missing_tensors_are_named(tmp_path: Path) -> None:
    weights = _written(tmp_path, "sparsify") / "sae.safetensors"
    state = load_file(weights)
    save_file(state | {"W_skip": torch.zeros(D, D)}, weights)
    assert "`W_skip`" in _refused(tmp_path)
    save_file({name: tensor for name, tensor in state.items() if name != "b_dec"}, weights)
    assert "`b_dec`" in _refused(tmp_path)
    save_file(state | {"b_dec": torch.full((D,), torch.nan)}, weights)
    assert "NaN" in _refused(tmp_path)


class Runs:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_never_runs(tmp_path: Path) -> None:
    folder = _written(tmp_path / "sae", "AutoEncoder")
    torch.save({"bias": Runs(tmp_path / "ran")}, folder / "ae.pt")
    assert "ae.pt is not a plain state dict" in _refused(folder)
    scope = _written(tmp_path / "scope", "gemma scope")
    np.savez(scope / "params.npz", W_enc=np.array([Runs(tmp_path / "ran")], dtype=object))
    assert "params.npz is not an archive of plain arrays" in _refused(scope)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("site", ["mlp", "att"])
def test_gemma_scope_of_another_site_is_refused(tmp_path: Path, site: str) -> None:
    folders.gemma_scope(tmp_path)
    assert site in _refused(tmp_path, name=f"google/gemma-scope-2b-pt-{site}/layer_2/width_16k/average_l0_82")


def test_sparsify_of_another_site_is_refused(tmp_path: Path) -> None:
    folders.sparsify(tmp_path)
    assert "layers.2.mlp" in _refused(tmp_path, name="run/layers.2.mlp")


def test_a_folder_without_an_sae_says_what_was_looked_for(tmp_path: Path) -> None:
    assert "params.npz" in _refused(tmp_path)
    assert "is not a folder" in _refused(tmp_path / "nowhere")


def test_two_formats_in_one_folder_need_a_word(tmp_path: Path) -> None:
    folders.sparsify(tmp_path)
    reference = folders.gemma_scope(tmp_path)
    assert "say which with `format`" in _refused(tmp_path, name=SCOPE)
    sae = read(Location(tmp_path, SCOPE), "gemma_scope").sae
    back = reference(inputs())[1]
    np.testing.assert_allclose(
        sae.reconstruct(torch.from_numpy(inputs()).float()), back, atol=1e-5, rtol=1e-5
    )
