"""Stage latents@VARIANT and the command `latents`: on SAEs that read letters in a tiny model."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.commands import latent as latents
from pipeline.console.errors import BadInput
from pipeline.latents.choose import MOST
from pipeline.lm.core.load import load_lm
from pipeline.lm.core.site import Site
from pipeline.metrics.common.controls import random_sae
from pipeline.sae.core.inference import SAE
from pipeline.stages import absorption, reconstruction, stability
from pipeline.stages import latents as browser
from pipeline.stages import letter_task as letters
from pipeline.stages.common.files import LM
from tests.stages.evaluated import contexts, read_table, write_saes, write_store
from tests.stages.lettered import LETTERS, TOKENS, WORDS, D, write_lm, write_task_params
from tests.stages.whole import SECTIONS

LENGTH = 16
WRITTEN = Path("reports/latents/topk/latents.json")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything the stage reads, of two seeds: the latents of run l0-4 are the letters' directions."""
    root = tmp_path_factory.mktemp("browser")
    eye = torch.eye(D)
    reader = SAE("topk", eye.clone(), eye.clone(), torch.zeros(D), torch.zeros(D), k=4)
    noise = random_sae(torch.randn(50, D, generator=torch.Generator().manual_seed(0)), 48, 4, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_lm(WORDS)
        write_task_params(topk={"lr_scale": 2.0}, **SECTIONS)
        lm = load_lm(LM, "cpu")
        ids = contexts(12, LENGTH, len(TOKENS) + len(WORDS))
        write_store(ids, lm.forward_to(ids, Site("resid_post", 0)), layer=0, weights_sha256=lm.weights_sha256)
        letters.run()
        for seed in (1, 2):
            write_saes("topk", seed, {"l0-4": reader, "l0-8": noise, "bad": noise}, diverged="bad")
        reconstruction.run("topk")
        absorption.run("topk")
        stability.run("topk")
    return root


@pytest.fixture(autouse=True)
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the world, which a test may spoil, as the current folder."""
    shutil.copytree(world, tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")


def described() -> dict[str, Any]:
    browser.run("topk")
    found: dict[str, Any] = json.loads(WRITTEN.read_text(encoding="utf-8"))
    return found


def test_the_first_seed_s_saes_are_described_the_diverged_one_is_not() -> None:
    found = described()
    assert [(sae["seed"], sae["run"]) for sae in found["saes"]] == [(1, "l0-4"), (1, "l0-8")]
    assert (found["variant"], found["layer"], found["params"]) == ("topk", 0, {"lr_scale": 2.0})
    assert len(found["text"]) <= browser.TEXT_TOKENS
    assert "<bos>" not in [found["words"][place] for place in found["text"]]
    for sae in found["saes"]:
        assert 0 < len(sae["latents"]) <= MOST
        kinds = {why.split()[0] for latent in sae["latents"] for why in latent["why"]}
        assert {"dense", "random", "on"} <= kinds
        for latent in sae["latents"]:
            assert len(latent["text"]) == len(found["text"])
            assert len(json.dumps(latent, separators=(",", ":"))) < 3000  # the bound of docs/page.md


def test_a_letter_s_latent_is_shown_with_the_letter_s_words() -> None:
    found = described()
    mine = {
        why.split()[1]: latent
        for latent in found["saes"][0]["latents"]
        for why in latent["why"]
        if why.startswith("letter ")
    }
    assert mine
    for letter, latent in mine.items():
        assert latent["latent"] == LETTERS.index(letter)
        strongest = latent["contexts"][0]
        assert found["words"][strongest["words"][strongest["at"]]][0] == letter


def test_a_latent_says_how_like_its_partner_in_another_seed_it_is() -> None:
    """Both seeds have the same SAEs here: a latent that fires finds itself, another has no partner."""
    known = {each["stability"] for sae in described()["saes"] for each in sae["latents"]}
    assert 1.0 in known
    assert known <= {1.0, None}


def test_flicker_and_density_are_those_of_the_evaluation() -> None:
    table = read_table("reconstruction", "topk", "latents.tsv")
    rows = {(row["run"], int(row["latent"])): row for row in table if row["seed"] == "1"}
    for sae in described()["saes"]:
        for record in sae["latents"]:
            row = rows[sae["run"], record["latent"]]
            assert record["density"] == pytest.approx(float(row["density"]), rel=1e-3)
            if on := float(row["on_followed"] or 0):
                assert record["flicker"] == pytest.approx(1 - float(row["stays_on"]) / on, rel=1e-3, abs=1e-4)


def test_the_same_inputs_give_the_same_bytes_and_leave_nothing_else() -> None:
    browser.run("topk")
    first = WRITTEN.read_bytes()
    (WRITTEN.parent / "left-over").touch()
    browser.run("topk")
    assert WRITTEN.read_bytes() == first
    assert os.listdir(WRITTEN.parent) == [WRITTEN.name]


def test_the_logit_lens_is_what_the_head_makes_of_a_decoder_row() -> None:
    """By hand: Llama's norm of a unit vector is sqrt(d) times it, up to its epsilon."""
    found = described()
    latent = found["saes"][0]["latents"][0]
    head = load_lm(LM, "cpu").model.lm_head.weight
    best = float(head[:, latent["latent"]].max()) * D**0.5
    assert latent["promoted"][0][1] == pytest.approx(best, rel=1e-2)
    assert latent["neighbours"][0][1] == 0.0  # the rows are orthogonal


def test_a_missing_evaluation_is_named_with_its_stage() -> None:
    for stage in ("reconstruction", "absorption", "stability"):
        shutil.move(f"reports/evaluations/{stage}", "moved")
        with pytest.raises(BadInput, match=rf"is missing: run `dvc repro {stage}@topk`"):
            browser.run("topk")
        shutil.move("moved", f"reports/evaluations/{stage}")
    assert not WRITTEN.exists()


def test_a_store_of_other_weights_is_refused() -> None:
    shutil.rmtree("data/activations")
    write_store(contexts(12, LENGTH, len(TOKENS)), torch.ones(12, LENGTH, D), layer=0)
    with pytest.raises(BadInput, match=r"with other weights .* run `dvc repro harvest`"):
        browser.run("topk")


def test_an_sae_of_another_width_is_refused() -> None:
    write_saes("topk", 1, {"l0-4": random_sae(torch.randn(9, 6), 8, 4, 0)})
    with pytest.raises(BadInput, match="was trained on another model"):
        browser.run("topk")


def files() -> set[Path]:
    return set(Path().rglob("*"))


def test_any_latent_in_the_terminal_is_the_browser_s_record(capsys: pytest.CaptureFixture[str]) -> None:
    found = described()
    record = found["saes"][0]["latents"][0]
    before = files()
    capsys.readouterr()
    latents.run("topk", 1, record["latent"], "l0-4", contexts=2)
    said = capsys.readouterr().out
    assert f"topk l0-4 seed 1, latent {record['latent']}" in said
    assert f"density {record['density']:.4g}" in said
    assert "promotes" in said
    assert found["words"][record["promoted"][0][0]] in said
    for context in record["contexts"][:2]:
        assert f"{context['value']:.3f}" in said
    shown = " ".join(found["words"][place] for place in found["text"])
    assert shown in " ".join(said.split())
    assert files() == before


def test_without_a_run_the_largest_l0_that_did_not_diverge_is_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    latents.run("topk", 2, 0, None, contexts=1)
    assert "bad" not in capsys.readouterr().out.splitlines()[0]


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(BadInput, match=r"no trained run 'bad'; name one of: l0-4, l0-8"):
        latents.run("topk", 1, 0, "bad", contexts=1)
    with pytest.raises(BadInput, match=r"latent 24 is not among the SAE's latents, 0 to 23"):
        latents.run("topk", 1, D, "l0-4", contexts=1)
