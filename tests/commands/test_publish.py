"""publish: the folder for the hub, its card, what it refuses, and the upload through a made-up hub."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard
from ruamel.yaml import YAML

from pipeline.commands.publish import run
from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Definition, Headline
from pipeline.numbers.document import Results, Row, write_results
from pipeline.numbers.number import Number, missing
from pipeline.sae.core.folder import load_sae, save_sae, weights_hash
from pipeline.sae.core.index import WEIGHTS, read_index
from pipeline.stages.common.files import evaluation_folder, fresh, sae_folder
from pipeline.stages.common.saes import identified
from tests.metrics.codes import random_sae
from tests.sae.windows import windowed
from tests.stages.evaluated import write_saes

D, N = 6, 16
PROFILE = {"text": {"source": "hub", "name": "owner/texts"}, "train": {"n": N}}
METRICS = {
    "reconstruction": ("explained_variance", "l0", "dead_share"), "behavior": ("ce_score",),
    "absorption": ("mean_absorption_fraction",), "probing": ("probing_k1",),
}  # fmt: skip
LOCK = {
    "corpus": {"profile": "big", "inputs.text": "/somewhere/private", "profiles.big.text": PROFILE["text"]},
    "model": {"inputs.model": "/somewhere/private"},
    "harvest": {"profiles.big.harvest": {"site": "resid_post.1"}},
    "letter_task": {"letter_task": {"seed": 0}},
    "probing_task": {"probing_task": {"seed": 0}},
    "train@topk-42": {"topk": {"lr_scale": 0.5}, "profiles.big.train": PROFILE["train"]},
    **{f"{stage}@topk": {stage: {"resamples": 100}} for stage in METRICS},
}
METADATA = {
    "model_name": "owner/lm", "model_revision": "c" * 40, "model_sha256": "ab", "layer": 1,
    "hook_name": "blocks.1.hook_resid_post", "training_tokens": 4000, "training_architecture": "topk",
}  # fmt: skip
TITLES = {
    "explained_variance": "explained variance", "mean_absorption_fraction": "absorption fraction",
    "probing_k1": "probing k=1",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """topk with seeds 42 and 43, evaluated, and its lock, in the current folder: the SAE to publish."""
    monkeypatch.chdir(tmp_path)
    for seed in (42, 43):
        write_saes("topk", seed, {"l0-4": random_sae(D, N, 4, seed), "l0-8": random_sae(D, N, 8, seed)},
                   diverged="l0-8")  # fmt: skip
    source = sae_folder("topk", 42) / "l0-4"
    save_sae(source, load_sae(source)[0], METADATA)
    for stage in METRICS:
        write_results(fresh(evaluation_folder(stage, "topk")), evaluated(stage))
    write_lock(LOCK)
    return source


def write_lock(params: dict[str, dict[str, Any]]) -> None:
    stages = {name: {"cmd": "x", "params": {"params.yaml": given}} for name, given in params.items()}
    with Path("dvc.lock").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({"schema": "2.0", "stages": stages}, file)


def evaluated(stage: str) -> Results:
    metrics = [
        Definition(
            name,
            "higher",
            "share",
            1,
            f"what {name} | means",
            headline=Headline(name, TITLES.get(name, name), 0),
        )
        for name in METRICS[stage]
    ]
    metrics.append(Definition("hidden", "neither", "share", 1, "not for tables", aggregate=False))
    rows = []
    for seed in (42, 43):
        weights = weights_hash(sae_folder("topk", seed) / "l0-4")
        run_, sae = read_index(sae_folder("topk", seed))[0], load_sae(sae_folder("topk", seed) / "l0-4")[0]
        values = {metric.name: Number(0.7 + seed / 1000, 5000, low=0.7321, high=0.7519) for metric in metrics}
        if stage == "probing":
            values["probing_k1"] = missing("the labels have one class")
        rows.append(Row(identified(run_, sae, weights, "owner/lm", 1), values))
    return Results(stage, "topk", {each.name: each for each in metrics}, tuple(rows))


def card(to: str = "out") -> str:
    return Path(to, "README.md").read_text(encoding="utf-8")


def test_the_folder_holds_the_sae_and_its_card(folder: Path) -> None:
    run("topk", 42, "l0-4", Path("out"), None)
    assert {path.name for path in Path("out").iterdir()} == {"cfg.json", WEIGHTS, "README.md"}
    x = torch.randn(9, D, generator=torch.Generator().manual_seed(0))
    assert torch.equal(load_sae(Path("out"))[0].reconstruct(x), load_sae(folder)[0].reconstruct(x))


def test_the_front_matter_is_the_hub_s(folder: Path) -> None:
    run("topk", 42, "l0-4", Path("out"), None)
    data = ModelCard(card()).data.to_dict()
    assert data == {
        "library_name": "saelens", "base_model": "owner/lm", "datasets": ["owner/texts"],
        "tags": ["sparse-autoencoder", "saelens", "mechanistic-interpretability"],
    }  # fmt: skip


def test_the_numbers_have_intervals_seeds_items_and_reasons(folder: Path) -> None:
    run("topk", 42, "l0-4", Path("out"), None)
    text = card()
    interval = "0.7321 to 0.7519 | 0.742 to 0.743 (2) | 5000"
    assert f"| explained variance | higher | 0.742 | {interval} |" in text
    assert "| absorption fraction | higher | 0.742 |" in text
    assert "| probing k=1 | higher | not measured: the labels have one class |  |  | 0 |" in text
    assert "what l0 \\| means" in text
    assert "hidden" not in text
    assert "| method | topk |" in text
    assert f"| weights, sha256 | {weights_hash(folder)} |" in text


def test_the_card_says_how_to_make_it_again(folder: Path) -> None:
    """The params are those of the run, from the lock; what lies on this machine is not in them."""
    run("topk", 42, "l0-4", Path("out"), None)
    text = card()
    assert "dvc repro train@topk-42 absorption@topk behavior@topk probing@topk reconstruction@topk" in text
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    found = YAML(typ="safe", pure=True).load(block.group(1))
    assert found == {
        "profile": "big", "topk": {"lr_scale": 0.5},
        "profiles": {"big": {**PROFILE, "harvest": {"site": "resid_post.1"}}},
        "letter_task": {"seed": 0}, "probing_task": {"seed": 0},
        **{stage: {"resamples": 100} for stage in METRICS},
    }  # fmt: skip
    assert "private" not in text
    assert str(Path.cwd()) not in text


def test_the_commit_is_named_with_what_is_not_in_it(folder: Path) -> None:
    run("topk", 42, "l0-4", Path("before"), None)
    assert "| code |" not in card("before")
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    run("topk", 42, "l0-4", Path("clean"), None)
    assert f"| code | commit {commit.strip()} |" in card("clean")
    run("topk", 42, "l0-4", Path("dirty"), None)
    assert f"| code | commit {commit.strip()} with uncommitted changes |" in card("dirty")


def test_a_model_that_is_not_on_the_hub_is_no_base_model(folder: Path) -> None:
    save_sae(folder, load_sae(folder)[0], METADATA | {"model_revision": None})
    lock = copy.deepcopy(LOCK)
    lock["corpus"]["profiles.big.text"] = {"source": "embedded"}
    write_lock(lock)
    run("topk", 42, "l0-4", Path("out"), None)
    assert set(ModelCard(card()).data.to_dict()) == {"library_name", "tags"}


def refused(*arguments: Any) -> str:
    with pytest.raises(BadInput) as caught:
        run(*arguments)
    message = str(caught.value)
    assert message.endswith(".")
    return message


def test_what_cannot_be_published_is_refused_before_anything_is_written(folder: Path) -> None:
    out = Path("out")
    assert "has no run 'l0-5'; it has l0-4, l0-8" in refused("topk", 42, "l0-5", out, None)
    assert "diverged" in refused("topk", 42, "l0-8", out, None)
    assert "run its train stage" in refused("topk", 44, "l0-4", out, None)
    Path("dvc.lock").rename("moved")
    assert "dvc.lock is missing" in refused("topk", 42, "l0-4", out, None)
    write_lock({name: given for name, given in LOCK.items() if name != "train@topk-42"})
    assert "`dvc repro train@topk-42`" in refused("topk", 42, "l0-4", out, None)
    save_sae(folder, random_sae(D, N, 4, 5), METADATA)
    assert "not measured on these weights: run `dvc repro absorption@topk`" in refused(
        "topk", 42, "l0-4", out, None
    )
    (evaluation_folder("absorption", "topk") / "results.json").unlink()
    assert "is missing: run `dvc repro absorption@topk`" in refused("topk", 42, "l0-4", out, None)
    assert not out.exists()


def test_a_folder_with_something_in_it_is_not_overwritten(folder: Path) -> None:
    Path("out").mkdir()
    Path("out/mine").touch()
    assert "not an empty folder" in refused("topk", 42, "l0-4", Path("out"), None)
    assert [path.name for path in Path("out").iterdir()] == ["mine"]


class Hub:
    """What of huggingface_hub's client the upload uses."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.fails = fails

    def __call__(self) -> Hub:
        return self

    def create_repo(self, repository: str, **options: Any) -> None:
        if self.fails is not None:
            raise self.fails
        self.asked.append((repository, options))

    def upload_folder(self, repo_id: str, folder_path: Path, **options: Any) -> str:
        self.asked.append((repo_id, {path.name: path.read_bytes() for path in folder_path.iterdir()}))
        return f"https://hub/{repo_id}"


def test_upload_is_the_folder_and_no_token_is_in_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", hub)
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    run("topk", 42, "l0-4", Path("out"), "me/sae")
    assert hub.asked[0] == ("me/sae", {"exist_ok": True})
    name, files = hub.asked[1]
    assert name == "me/sae"
    assert files == {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert set(files) == {"cfg.json", WEIGHTS, "README.md"}
    assert not any(b"hf_secret" in content for content in files.values())
    assert 'SAE.load_from_disk(snapshot_download("me/sae"))' in card()
    assert "https://hub/me/sae" in capsys.readouterr().err


def test_without_being_asked_nothing_is_uploaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", hub)
    run("topk", 42, "l0-4", Path("out"), None)
    assert hub.asked == []
    assert "snapshot_download" not in card()


def test_a_refused_upload_leaves_the_folder_and_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub(fails=OSError("401 Unauthorized")))
    message = refused("topk", 42, "l0-4", Path("out"), "me/sae")
    assert "401 Unauthorized" in message
    assert "hf auth login" in message
    assert Path("out/README.md").is_file()


def test_windows_are_not_published(folder: Path, tmp_path: Path) -> None:
    """SAELens, for which the folder is made, has no such SAE."""
    where = sae_folder("topk", 42) / "l0-4"
    save_sae(where, windowed(), METADATA)
    with pytest.raises(BadInput, match="reads windows of tokens"):
        run("topk", 42, "l0-4", tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
