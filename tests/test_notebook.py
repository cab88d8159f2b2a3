"""The five lines of docs/notebook.md, as they stand there, and what they give."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import pipeline
from pipeline.console.errors import BadInput
from pipeline.sae.core.folder import load_sae, save_sae
from pipeline.stages import reconstruction
from tests.common import ROOT
from tests.lm import tiny
from tests.metrics.codes import random_sae
from tests.sae.formats import folders
from tests.stages.evaluated import read_results, write_params, write_saes, write_store

C, T, D, N = 12, 10, 6, 16
SECTION = {"batch_contexts": 16, "temporal_contexts": 100, "window": 128, "resamples": 1000, "seed": 0}
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "docs/notebook.md").read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The guide's first block run in a folder that holds what a `dvc repro` leaves: its names."""
    monkeypatch.chdir(tmp_path)
    ids = tiny.contexts(C, T)
    x = torch.randn(C, T, D, generator=torch.Generator().manual_seed(1)) + torch.arange(D)
    write_store(ids, x)
    tiny.tokenizer().save_pretrained("models/lm")
    write_saes("topk", 42, {"l0-4": random_sae(D, N, 4, 0)})
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[0], "docs/notebook.md", "exec"), names)
    return names


def test_it_is_five_lines_after_the_import() -> None:
    assert len(BLOCKS[0].split("\n\n")[1].splitlines()) == 5


def test_the_store_the_sae_and_the_codes(ran: dict[str, Any]) -> None:
    assert (ran["store"].count, ran["store"].d) == (C * T, D)
    saved, _ = load_sae(Path("models/sae/topk/42/l0-4"))
    assert torch.equal(ran["sae"].W_dec, saved.W_dec)
    assert torch.equal(ran["codes"].dense(), saved.encode(ran["store"].rows(0, 1024)).dense())


def test_the_numbers_are_those_of_the_stage(ran: dict[str, Any]) -> None:
    write_params(reconstruction=SECTION, seeds=[42])
    reconstruction.run("topk")
    (row,) = read_results("reconstruction", "topk")["rows"]
    for name, value in ran["numbers"].items():
        assert vars(value) == row["metrics"][name], name
    assert {"explained_variance", "l0", "persistence", "dead_share"} <= set(ran["numbers"])


def test_the_peaks_are_the_strongest_contexts(ran: dict[str, Any]) -> None:
    store, sae, latent = ran["store"], ran["sae"], int(ran["codes"].pairs.latent[0])
    rows = store.split("test")
    f = sae.encode(store.rows(rows.start, rows.stop)).dense()[:, latent]
    f = torch.where(torch.from_numpy(store.valid[rows.start : rows.stop]), f, 0.0).view(-1, T)
    highest = f.max(1).values
    order = [int(i) for i in highest.argsort(descending=True) if highest[i] > 0]
    assert len(order) >= 2
    assert [peak.context for peak in ran["peaks"]] == [6 + i for i in order]
    assert [peak.activation for peak in ran["peaks"]] == pytest.approx(highest[order].tolist())
    for peak in ran["peaks"]:
        assert peak.activations.tolist() == pytest.approx(f[peak.context - 6].tolist())
        assert int(peak.activations.argmax()) == peak.position
        assert f"[w{peak.tokens[peak.position]}]" in str(peak)
    fewer = pipeline.top_contexts(sae, store, latent, count=1)
    assert [peak.context for peak in fewer] == [ran["peaks"][0].context]


def test_the_second_block_prints_them(ran: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(BLOCKS[1], "docs/notebook.md", "exec"), ran)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 + len(ran["peaks"])
    assert printed[1].startswith("explained_variance ")


def test_an_sae_of_another_library_loads_too(tmp_path: Path) -> None:
    folders.dictionary_learning(tmp_path / "x", "BatchTopKSAE")
    assert pipeline.load_sae(tmp_path / "x").architecture == "jumprelu"


def test_what_cannot_be_is_a_sentence(ran: dict[str, Any], tmp_path: Path) -> None:
    save_sae(tmp_path / "wide", random_sae(D + 1, N, 4, 0), {})
    wide = pipeline.load_sae(tmp_path / "wide")
    with pytest.raises(BadInput, match="width 7, but the store holds width 6"):
        pipeline.measure(wide, ran["store"])
    with pytest.raises(BadInput, match="latent 16 is not among"):
        pipeline.top_contexts(ran["sae"], ran["store"], N)
    with pytest.raises(BadInput, match="no split `tset`"):
        pipeline.measure(ran["sae"], ran["store"], split="tset")
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        _ = pipeline.mesure


def test_a_latent_that_never_fires_has_no_peaks(ran: dict[str, Any]) -> None:
    ran["sae"].b_enc[3] = -1e6
    assert pipeline.top_contexts(ran["sae"], ran["store"], 3) == []


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, pipeline; print(*sorted({'torch', 'numpy', 'zarr', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
