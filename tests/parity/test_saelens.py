"""SAELens loads our folders as they stand and computes what we compute; we read its folders as it does."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.sae.core.folder import load_sae
from pipeline.sae.formats.external import Location
from pipeline.sae.formats.read import read
from pipeline.stages.train import write_sae
from tests.common import ROOT
from tests.sae.formats import folders
from tests.training import toy

PYTHON = os.environ.get("SAEBENCH_PYTHON", "")
TRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    **{variant: (variant, {}) for variant in toy.VARIANTS if variant not in ("txc", "tfa")},  # not SAELens's
    "atm hard": ("atm", {"inference": "hard"}),
}
CLASSES = {"standard": "StandardSAE", "topk": "TopKSAE", "jumprelu": "JumpReLUSAE", "gated": "GatedSAE"}
TOLERANCE = 1e-5

GIVEN: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"{kind} {subtract}": (kind, {"subtract": subtract}) for kind in CLASSES for subtract in (True, False)
    },
    "topk rescaled": ("topk", {"rescale": True}),
}


def asked(folder: Path, x: Tensor) -> None:
    """Have SAELens answer on `x` for every SAE in `folder`."""
    save_file({"x": x}, folder / "x.safetensors")
    kept = {name: os.environ[name] for name in ("PATH", "OMP_WAIT_POLICY") if name in os.environ}
    own = {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1",
           "MPLCONFIGDIR": str(folder / "mpl"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
           "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    done = subprocess.run(
        [str(ROOT / PYTHON), "-m", "tests.parity.oracle.saelens", str(folder)],
        cwd=folder, env=kept | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def answer(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What SAELens computed for one SAE, and what it took it for."""
    return load_file(folder / "answer.safetensors"), json.loads((folder / "answer.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder per method and target, written as the train stage does, with SAELens' answers."""
    folder = tmp_path_factory.mktemp("trained")
    store = toy.store()
    for name, (variant, values) in TRAINED.items():
        for one in toy.trained(variant, values, l0=[3, 8]):
            write_sae(folder / f"{name} {one.run.name}", one, 60 * 64, store)
    rows = store.split("test")
    asked(folder, store.rows(rows.start, rows.stop).contiguous())
    return folder


@pytest.mark.parametrize("target", ["l0-3", "l0-8"])
@pytest.mark.parametrize("name", TRAINED)
def test_every_trained_folder_loads_with_our_features(trained: Path, name: str, target: str) -> None:
    folder = trained / f"{name} {target}"
    sae, cfg = load_sae(folder)
    theirs, said = answer(folder)
    x = load_file(trained / "x.safetensors")["x"]
    f = sae.encode(x).dense()
    assert 0 < (f > 0).float().mean() < 0.9
    assert float((theirs["f"] - f).abs().max()) < TOLERANCE
    assert float((theirs["x_hat"] - sae.reconstruct(x)).abs().max()) < TOLERANCE
    assert said["class"] == CLASSES[sae.architecture]
    assert said["metadata"] == {name: cfg["metadata"][name] for name in ("model_name", "hook_name")}


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("standard", "standard"), ("topk", "topk"), ("gated", "gated"), ("jumprelu", "jumprelu"),
     ("batchtopk", "jumprelu"), ("matryoshka", "jumprelu"), ("atm", "standard"), ("atm hard", "jumprelu"),
     ("temporal", "standard"), ("tsae", "standard")],
)  # fmt: skip
def test_each_method_is_what_it_is_at_inference(trained: Path, name: str, architecture: str) -> None:
    sae, cfg = load_sae(trained / f"{name} l0-3")
    assert sae.architecture == architecture
    assert cfg["metadata"]["training_architecture"] == name.split()[0]
    if name in ("batchtopk", "matryoshka"):
        assert sae.threshold is not None
        assert bool((sae.threshold == sae.threshold[0]).all())
        assert float(sae.threshold[0]) > 0
    if name == "atm hard":
        assert sae.threshold is not None
        assert 0 < int(sae.threshold.isinf().sum()) < sae.n


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAELens' folders as our tests of the reader write them, with SAELens' answers."""
    folder = tmp_path_factory.mktemp("given")
    for name, (kind, options) in GIVEN.items():
        folders.saelens(folder / name, kind, **options)
    asked(folder, 2 + 2 * torch.randn(300, folders.D, generator=torch.Generator().manual_seed(3)))
    return folder


@pytest.mark.parametrize("name", GIVEN)
def test_our_reader_computes_what_saelens_does(given: Path, name: str) -> None:
    theirs, said = answer(given / name)
    found = read(Location(given / name, name))
    x = load_file(given / "x.safetensors")["x"]
    # decoder rows of norm 1 move their norm into the codes; SAELens' topk has no such form
    norm = (
        1.0 if found.sae.architecture == "topk" else torch.from_numpy(folders.arrays()["W_dec"]).norm(dim=1)
    )
    torch.testing.assert_close(found.sae.encode(x).dense(), theirs["f"] * norm, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(found.sae.reconstruct(x), theirs["x_hat"], atol=2e-5, rtol=1e-5)
    assert (said["class"], said["metadata"]["model_name"]) == (CLASSES[GIVEN[name][0]], found.model)
