from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site
from pipeline.lm.resolve import resolve_local
from pipeline.metrics.behavior.evaluate import METRICS
from pipeline.metrics.common import controls
from pipeline.metrics.common.controls import permuted
from pipeline.stages.behavior import run
from pipeline.stages.common.files import ACTIVATIONS, LM, evaluation_folder
from pipeline.store import open_store
from pipeline.store.blocks import evenly
from tests.lm import tiny
from tests.metrics.codes import perfect_sae, random_sae
from tests.stages.evaluated import (
    SPECIAL,
    contexts,
    read_results,
    read_table,
    write_params,
    write_saes,
    write_store,
)

C, T, D, LAYER = 12, 12, 16, 1
SECTION = {"contexts": 5, "batch_contexts": 2, "resamples": 100, "seed": 0}
CHOSEN = [6, 7, 8, 9, 10]  # five of the test contexts 6..11, evenly spaced


@pytest.fixture(scope="module", params=["gemma2", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resolved tiny model."""
    folder = tmp_path_factory.mktemp(request.param)
    resolve_local(tiny.save(request.param, folder / "saved"), folder / "resolved")
    return folder / "resolved"


@pytest.fixture
def harvested(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LanguageModel, Tensor]:
    """The model and the ids of a store harvested from it, in the current folder, with the SAEs of `toy`."""
    monkeypatch.chdir(tmp_path)
    LM.parent.mkdir(parents=True)
    LM.symlink_to(model, target_is_directory=True)
    lm = load_lm(LM, "cpu")
    ids = contexts(C, T, tiny.VOCABULARY)
    write_store(
        ids, lm.forward_to(ids, Site("resid_post", LAYER)), layer=LAYER, weights_sha256=lm.weights_sha256
    )
    write_params(behavior=SECTION)
    write_saes(
        "toy", 1, {"l0-4": random_sae(D, 32, 4, 1), "identity": perfect_sae(D), "bad": perfect_sae(D)}, "bad"
    )
    write_saes("toy", 2, {"l0-4": random_sae(D, 32, 4, 2)})
    return lm, ids


def hooked(lm: LanguageModel, ids: Tensor, replace) -> Tensor:
    """Log-probabilities (B, T, V) of the whole model with block LAYER's output changed by a forward hook."""
    blocks = lm.model.base_model.layers

    def hook(module, arguments, output):
        if isinstance(output, tuple):
            return (replace(output[0]), *output[1:])
        return replace(output)

    handle = blocks[LAYER].register_forward_hook(hook)
    with torch.no_grad():
        logits = lm.model(input_ids=ids).logits
    handle.remove()
    return logits.double().log_softmax(-1)


def losses(log_p: Tensor, log_q: Tensor, ids: Tensor) -> tuple[float, float]:
    """Cross-entropy and KL per scored token."""
    scored = ~torch.isin(ids, torch.tensor(SPECIAL))
    nats = -log_q[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1)
    return float(nats[scored[:, :-1]].mean()), float(kl[scored].mean())


def metrics_of(run_name: str) -> dict[str, float]:
    rows = read_results("behavior", "toy")["rows"]
    row = next(row for row in rows if row["run"] == run_name and row["seed"] == 1)
    return {name: value["value"] for name, value in row["metrics"].items()}


def test_splicing_equals_whole_forwards_with_hooks(harvested: tuple[LanguageModel, Tensor]):
    lm, ids = harvested
    run("toy")
    found = metrics_of("l0-4")
    ids = ids[CHOSEN]
    special = torch.isin(ids, torch.tensor(SPECIAL))[..., None]
    sae = random_sae(D, 32, 4, 1)
    clean = hooked(lm, ids, lambda x: x)

    def reconstruct(x: Tensor) -> Tensor:
        return sae.reconstruct(x.reshape(-1, D)).view_as(x)

    replacements = {
        "clean": lambda x: x,
        "sae": lambda x: torch.where(special, x, reconstruct(x)),
        "zero": lambda x: torch.where(special, x, torch.zeros_like(x)),
        "sae_all": reconstruct,
        "zero_all": torch.zeros_like,
    }
    ce, kl = {}, {}
    for name, replace in replacements.items():
        ce[name], kl[name] = losses(clean, hooked(lm, ids, replace), ids)
    for name, value in {
        "ce_clean": ce["clean"], "ce_sae": ce["sae"], "ce_zero_ablation": ce["zero"],
        "ce_loss_with_sae": ce["sae_all"], "ce_loss_with_ablation": ce["zero_all"],
        "kl_sae": kl["sae"], "kl_ablation": kl["zero"],
        "kl_div_with_sae": kl["sae_all"], "kl_div_with_ablation": kl["zero_all"],
    }.items():  # fmt: skip
        assert found[name] == pytest.approx(value, rel=1e-4), name


def test_an_identity_sae_leaves_the_model_as_it_is(harvested: tuple[LanguageModel, Tensor]):
    run("toy")
    found = metrics_of("identity")
    assert found["ce_sae"] == found["ce_loss_with_sae"] == pytest.approx(found["ce_clean"], rel=1e-6)
    assert found["kl_sae"] == pytest.approx(0, abs=1e-6)
    assert found["kl_score"] == pytest.approx(1, abs=1e-4)


def test_rows_and_contexts(harvested: tuple[LanguageModel, Tensor]):
    run("toy")
    found = read_results("behavior", "toy")
    assert [(row["seed"], row["run"]) for row in found["rows"]] == [
        (1, "l0-4"), (1, "identity"), (1, "bad"), (2, "l0-4")
    ]  # fmt: skip
    names = {metric.name for metric in METRICS}
    assert all(set(row["metrics"]) == names for row in found["rows"])
    bad = found["rows"][2]["metrics"].values()
    assert {(value["value"], value["reason"]) for value in bad} == {(None, "diverged at step 7")}
    table = read_table("behavior", "toy", "contexts.tsv")
    assert [int(row["context"]) for row in table] == CHOSEN * 3
    pooled = sum(float(row["ce_sae"]) for row in table[:5]) / sum(
        float(row["ce_tokens"]) for row in table[:5]
    )
    assert metrics_of("l0-4")["ce_sae"] == pytest.approx(pooled, rel=1e-7)


def test_controls_score_what_the_same_saes_score_as_runs(harvested: tuple[LanguageModel, Tensor]):
    centre = torch.tensor(open_store(ACTIVATIONS).attrs.mean).float()[None]
    saes = {
        "permuted": permuted(random_sae(D, 32, 4, 1), SECTION["seed"]),
        "untrained": controls.random_sae(centre, 32, 4, SECTION["seed"]),
    }
    assert not torch.equal(saes["permuted"].W_dec, random_sae(D, 32, 4, 1).W_dec)
    write_saes("controls", 1, saes)
    write_saes("controls", 2, saes)
    run("toy")
    run("controls")
    as_runs = {row["run"]: row["metrics"] for row in read_results("behavior", "controls")["rows"]}
    found = read_results("behavior", "toy")["rows"][0]["metrics"]
    for run_name, control in (("permuted", "shuffled_decoder"), ("untrained", "random_sae")):
        for name in ("kl_sae", "ce_score"):
            assert found[f"{name}_{control}"] == as_runs[run_name][name]
    assert found["kl_sae_token_lookup"]["value"] > 0


def test_the_same_inputs_give_the_same_bytes(harvested: tuple[LanguageModel, Tensor]):
    run("toy")
    folder = evaluation_folder("behavior", "toy")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run("toy")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_store_of_another_model_is_refused(harvested: tuple[LanguageModel, Tensor]):
    lm, ids = harvested
    from pipeline.stages.common.files import fresh

    fresh(ACTIVATIONS)
    write_store(ids, lm.forward_to(ids, Site("resid_post", LAYER)), layer=LAYER, weights_sha256="another")
    with pytest.raises(BadInput, match=r"other weights than models/lm .* run `dvc repro harvest`"):
        run("toy")
    assert not evaluation_folder("behavior", "toy").exists()


def test_an_sae_of_another_width_is_refused(harvested: tuple[LanguageModel, Tensor]):
    write_saes("toy", 2, {"l0-4": random_sae(D + 1, 32, 4, 2)})
    with pytest.raises(BadInput, match=r"models/sae/toy/2/l0-4 takes activations of width 17"):
        run("toy")


def test_evenly_spaced_contexts():
    assert evenly(range(10, 20), 4) == [10, 12, 15, 17]
    assert evenly(range(10, 13), 8) == [10, 11, 12]
    assert evenly(range(5, 5), 3) == []
