"""Stage external: an SAE trained elsewhere becomes one that every evaluation reads, or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.sae.core.folder import load_sae
from pipeline.sae.core.index import read_index
from pipeline.stages import external, reconstruction
from pipeline.stages.common.files import external_folder, sae_folder
from pipeline.stages.common.saes import trained_saes
from tests.sae.formats import folders
from tests.sae.formats.folders import D, N
from tests.stages.evaluated import contexts, read_results, write_params, write_saes, write_store
from tests.stages.test_reconstruction import SECTION

PROFILES = {"small": {"compute": {"threads": 1}, "train": {"validation_tokens": 12}}}


@pytest.fixture
def x(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """A store of layer 2 of model `small` in the current folder; its activations (C, T, D)."""
    monkeypatch.chdir(tmp_path)
    ids = contexts(12, 10, vocabulary=30)
    x = 2 + 2 * torch.randn(12, 10, D, generator=torch.Generator().manual_seed(1))
    write_store(ids, x, layer=2, hook_name="blocks.2.hook_resid_post")
    return x


def bring(**section: Any) -> None:
    """Run the stage on `external.mine`."""
    write_params(external={"mine": {"path": "given", **section}}, reconstruction=SECTION, profiles=PROFILES)
    external.run("mine")


def refused(**section: Any) -> str:
    with pytest.raises(BadInput) as caught:
        bring(**section)
    assert not external_folder("mine").exists()
    message = str(caught.value)
    assert message.endswith(".")
    return message


def test_it_becomes_a_folder_like_ours(x: torch.Tensor) -> None:
    reference = folders.dictionary_learning(Path("given"), "BatchTopKSAE")
    bring()
    (run,) = read_index(external_folder("mine"))
    assert (run.name, run.label, run.seed, run.reading) == ("given", "mine", 0, "external")
    assert (run.target, run.status, run.on_target) == (None, "ok", None)
    sae, cfg = load_sae(external_folder("mine") / run.name)
    flat = x.reshape(-1, D)
    f, back = reference(flat.double().numpy())
    np.testing.assert_allclose(sae.encode(flat).dense(), f, atol=1e-5)
    np.testing.assert_allclose(sae.reconstruct(flat), back, atol=1e-5)
    metadata = cfg["metadata"]
    assert (metadata["model_name"], metadata["layer"]) == ("small", 2)
    assert (metadata["training_architecture"], metadata["given_format"]) == (
        "BatchTopKSAE", "dictionary_learning",
    )  # fmt: skip
    assert metadata["l0"] == run.l0 > 0


def test_its_l0_is_that_of_validation_tokens(x: torch.Tensor) -> None:
    """The first usable ones of that split, as for SAEs trained here."""
    reference = folders.sparsify(Path("given"))
    bring(model="small", site="resid_post.2")
    ids = contexts(12, 10, vocabulary=30)[4:6].reshape(-1)
    held = x[4:6].reshape(-1, D)[ids > 2][:12]
    assert len(held) == 12
    assert read_index(external_folder("mine"))[0].l0 == pytest.approx(
        (reference(held.numpy())[0] > 0).sum() / 12
    )


def test_an_evaluation_reads_it_whatever_the_seeds_are(x: torch.Tensor) -> None:
    folders.saelens(Path("given"), "gated")
    bring()
    reconstruction.run("mine")
    (row,) = read_results("reconstruction", "mine")["rows"]
    assert (row["label"], row["seed"], row["run"], row["reading"]) == ("mine", 0, "given", "external")
    assert (row["target"], row["n"], row["d"], row["layer"]) == (None, N, D, 2)
    assert row["metrics"]["l0"]["value"] > 0
    assert row["metrics"]["explained_variance"]["reason"] is None


def test_the_same_folder_gives_the_same_bytes(x: torch.Tensor) -> None:
    folders.saelens(Path("given"), "topk")
    contents = []
    for _ in range(2):
        bring()
        found = sorted(path for path in external_folder("mine").rglob("*") if path.is_file())
        contents.append({path.name: path.read_bytes() for path in found})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"cfg.json", "sae_weights.safetensors", "index.json"}


def saelens(**metadata: Any) -> None:
    known = {"sae_lens_version": "6.54.12", "model_name": "small", "hook_name": "blocks.2.hook_resid_post"}
    folders.saelens(Path("given"), "standard", metadata=known | metadata)


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"model_name": "gpt2"}, "trained on model gpt2, but data/activations holds small"),
        (
            {"hook_name": "blocks.3.hook_resid_post"},
            "reads resid_post.3, but data/activations holds resid_post.2",
        ),
        ({"hook_name": "blocks.2.hook_mlp_out"}, "`blocks.2.hook_mlp_out`, but the activation store"),
        ({"model_sha256": "other"}, "with other weights than those of data/activations"),
        ({"model_name": None}, "do not say which model"),
        ({"hook_name": None}, "set `external.mine.site: resid_post.2`"),
    ],
)
def test_another_model_or_layer_is_refused(x: torch.Tensor, metadata: dict[str, Any], says: str) -> None:
    saelens(**metadata)
    assert says in refused()


def test_another_width_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ids = contexts(12, 10, vocabulary=30)
    x = torch.randn(12, 10, D + 1, generator=torch.Generator().manual_seed(1))
    write_store(ids, x, layer=2, hook_name="blocks.2.hook_resid_post")
    saelens()
    assert f"takes activations of width {D}, but data/activations holds width {D + 1}" in refused()


def test_a_model_s_other_name_can_be_stated(x: torch.Tensor) -> None:
    saelens(model_name="tiny-small")
    assert "set `external.mine.model: small`" in refused()
    bring(model="small")
    assert read_index(external_folder("mine"))


def test_an_owner_and_capitals_are_no_other_model(x: torch.Tensor) -> None:
    saelens(model_name="Owner/SMALL")
    bring()
    assert read_index(external_folder("mine"))


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"path": "data/none"}, "needs either `path`"),
        ({"repo": "owner/name", "revision": "0" * 40}, "needs either `path`"),
        ({"path": "data/none", "repo": "owner/name"}, "external.mine.revision` is missing"),
        ({"path": "data/none", "repo": "owner/name", "revision": "main"}, "external.mine.revision"),
        ({"folder": "../elsewhere"}, "must lie inside"),
        ({"format": "pickle"}, "external.mine.format"),
        ({"colour": 1}, "external.mine.colour` is not a parameter"),
        ({"path": "nowhere"}, "nowhere is not a folder"),
    ],
)
def test_a_section_that_cannot_work_is_named(x: torch.Tensor, section: dict[str, Any], says: str) -> None:
    saelens()
    assert says in refused(**section)


@pytest.mark.parametrize("name", ["a.b", "a/b", "1st", ""])
def test_a_name_that_dvc_cannot_use_is_refused(x: torch.Tensor, name: str) -> None:
    write_params(external={name: {"path": "given"}}, profiles=PROFILES)
    with pytest.raises(BadInput, match="`external` has the name"):
        external.run(name)


def test_a_repository_is_fetched_at_its_commit_and_only_what_is_needed(
    x: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, list[str]]] = []

    def snapshot(repo: str, revision: str, patterns: list[str]) -> Path:
        asked.append((repo, revision, patterns))
        return Path("snapshot")

    monkeypatch.setattr(external, "hub_snapshot", snapshot)
    inside = "layer_2/width_16k/average_l0_82"
    folders.gemma_scope(Path("snapshot") / inside)
    hub = {
        "path": "data/none",
        "repo": "google/gemma-scope-2b-pt-res",
        "revision": "a" * 40,
        "folder": inside,
    }
    assert "trained on model gemma-2-2b" in refused(**hub)
    bring(**hub, model="small")
    (repo, revision, patterns) = asked[-1]
    assert (repo, revision) == ("google/gemma-scope-2b-pt-res", "a" * 40)
    assert f"{inside}/params.npz" in patterns
    assert not any("*" in pattern for pattern in patterns)
    metadata = load_sae(external_folder("mine") / "given")[1]["metadata"]
    assert (metadata["given_repository"], metadata["given_revision"]) == (repo, revision)


def test_a_run_folder_names_the_model_of_sparsify(x: torch.Tensor) -> None:
    folders.sparsify(Path("given/layers.2"))
    Path("given/config.json").write_text(json.dumps({"model": "owner/small"}))
    bring(folder="layers.2")
    assert load_sae(external_folder("mine") / "given")[0].k == folders.K


def test_an_sae_on_inputs_of_another_scale_is_said(
    x: torch.Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    saelens()
    bring()
    assert "it may expect inputs of another scale" in capsys.readouterr().out


def test_leftovers_of_earlier_params_are_not_taken_for_it(x: torch.Tensor) -> None:
    saelens()
    bring()
    (found,) = trained_saes("mine", [1, 2])
    assert found.run.name == "given"
    write_saes("mine", 1, {"l0-4": found.sae})
    assert sae_folder("mine", 1).is_dir()
    with pytest.raises(BadInput, match="left over"):
        list(trained_saes("mine", [1, 2]))
