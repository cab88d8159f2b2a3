"""SAE folders and the index of a run: round trips, and one sentence for what is missing or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.console.errors import BadInput
from pipeline.sae.core.folder import load_sae, save_sae, weights_hash
from pipeline.sae.core.index import WEIGHTS, Run, read_index, write_index
from pipeline.sae.core.inference import Architecture
from tests.sae.attending import attending
from tests.sae.core.test_inference import ARCHITECTURES, D, N, sae
from tests.sae.windows import windowed

RUN = Run("l0-4", "atm", None, 42, "tokens", 4, "ok", None, 4.1, 0.2, True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_round_trip(tmp_path: Path, architecture: Architecture) -> None:
    made = sae(architecture)
    save_sae(tmp_path / "a", made, {"layer": 3})
    loaded, cfg = load_sae(tmp_path / "a")
    for name, tensor in vars(made).items():
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(getattr(loaded, name), tensor), name
        else:
            assert getattr(loaded, name) == tensor, name
    assert (cfg["d_in"], cfg["d_sae"], cfg["metadata"]["layer"]) == (D, N, 3)
    save_sae(tmp_path / "b", loaded, {"layer": 3})
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b")
    assert (tmp_path / "a/cfg.json").read_bytes() == (tmp_path / "b/cfg.json").read_bytes()


def _no_cfg(folder: Path) -> None:
    (folder / "cfg.json").unlink()


def _no_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def _cut_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:200])


def _cut_cfg(folder: Path) -> None:
    (folder / "cfg.json").write_text('{"architecture": "jump')


def _edit_cfg(folder: Path, **values: object) -> None:
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({k: v for k, v in (cfg | values).items() if v is not None}))


def _no_shape(folder: Path) -> None:
    _edit_cfg(folder, d_in=None)


def _other_shape(folder: Path) -> None:
    _edit_cfg(folder, d_sae=N + 1)


def _unknown_architecture(folder: Path) -> None:
    _edit_cfg(folder, architecture="crosscoder")


def _without(folder: Path, name: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors.pop(name)
    save_file(tensors, folder / WEIGHTS)


def _no_threshold(folder: Path) -> None:
    _without(folder, "threshold")


def _no_encoder(folder: Path) -> None:
    _without(folder, "W_enc")


@pytest.mark.parametrize(
    "damage",
    [_no_cfg, _no_weights, _cut_weights, _cut_cfg, _no_shape, _other_shape, _unknown_architecture,
     _no_threshold, _no_encoder],
)  # fmt: skip
def test_damage_is_a_sentence(tmp_path: Path, damage: object) -> None:
    folder = tmp_path / "sae"
    save_sae(folder, sae("jumprelu"), {})
    assert callable(damage)
    damage(folder)
    with pytest.raises(BadInput, match="sae"):
        load_sae(folder)


MADE = {"window": windowed(), "tfa": attending()}


@pytest.mark.parametrize(
    ("architecture", "key", "value"),
    [("window", "window", 4), ("window", "window", None), ("window", "groups", None), ("window", "k", None),
     ("tfa", "heads", 5), ("tfa", "heads", None), ("tfa", "kept", None), ("tfa", "k", None)],
)  # fmt: skip
def test_a_cfg_that_does_not_fit_the_weights_is_refused(
    tmp_path: Path, architecture: str, key: str, value: int | None
) -> None:
    save_sae(tmp_path, MADE[architecture], {})
    _edit_cfg(tmp_path, **{key: value})
    with pytest.raises(BadInput, match="damaged"):
        load_sae(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [("window", "W_past"), ("window", "b_enc"), ("tfa", "attention.W_v"), ("tfa", "attention.b_o")],
)
@pytest.mark.parametrize("change", ["absent", "short"])
def test_weights_that_do_not_fit_the_cfg_are_refused(
    tmp_path: Path, architecture: str, name: str, change: str
) -> None:
    save_sae(tmp_path, MADE[architecture], {})
    tensors = load_file(tmp_path / WEIGHTS)
    whole = tensors.pop(name)
    if change == "short":
        tensors[name] = whole[1:].contiguous()
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(BadInput, match="damaged"):
        load_sae(tmp_path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    save_sae(tmp_path, sae("standard"), {})
    _no_weights(tmp_path)
    with pytest.raises(BadInput, match=WEIGHTS):
        load_sae(tmp_path)


def test_index_round_trip(tmp_path: Path) -> None:
    runs = [RUN, Run("paper", "atm", None, 42, "tokens", None, "diverged", "too large", 900.0, 0.04, None)]
    write_index(tmp_path, runs)
    assert read_index(tmp_path) == runs


def test_labels() -> None:
    assert RUN.label == "atm"
    twin = Run("shuffled-l0-4", "tsae", "shuffled", 1, "shuffled contexts", 4, "ok", None, 4, None, True)
    assert twin.label == "tsae (shuffled)"
    assert Run("l0-4", "temporal", None, 1, "pairs", 4, "ok", None, 4, None, True).label == "temporal"


@pytest.mark.parametrize(
    "text", [None, "[{", "[]", '{"version": 1, "runs": []}', '{"version": 2, "runs": [{"name": "l0-4"}]}']
)
def test_bad_index_is_a_sentence(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "index.json").write_text(text)
    with pytest.raises(BadInput, match="train stage"):
        read_index(tmp_path)
