"""The stage `harvest` against plain transformers, killed and resumed, and given bad inputs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.console.errors import BadInput
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site
from pipeline.lm.core.tokenizer import tokenizer_sha256
from pipeline.lm.resolve import resolve_local
from pipeline.stages import harvest
from pipeline.store import Writer, open_store
from pipeline.store.section import GateSection
from pipeline.text.contexts import write_tokens
from pipeline.text.packing import Packed
from pipeline.text.states import Field
from tests.common import ROOT
from tests.lm import tiny
from tests.stages.keyed import deaf_to, named

LENGTH = 8
COUNTS = {"train": 13, "validation": 3, "test": 4}
CONTEXT_MIB = LENGTH * 16 * 4 / 2**20  # one context of the tiny model in float32
PARAMS = """\
profile: tiny
profiles:
  tiny:
    compute: {{device: cpu, threads: 1}}
    harvest: {{site: resid_post.{layer}, dtype: {dtype}, batch_contexts: {batch}, chunk_mib: {chunk},
              codec: {codec}{more}}}
"""
LENIENT = {
    "slow_states": 0, "linear": 0.8, "participation_ratio": 1.0, "token_share": 1.0, "document_share": -1.0,
    "position_share": 1.0, "autocorrelation": -1.0,
}  # fmt: skip


def params(
    layer: int = 1, dtype: str = "float32", batch: int = 2, contexts: int = 3, codec: str = "none",
    gate: dict[str, float] | None = None,
) -> None:  # fmt: skip
    text = PARAMS.format(
        layer=layer, dtype=dtype, batch=batch, chunk=contexts * CONTEXT_MIB, codec=codec,
        more=f", gate: {json.dumps(gate)}" if gate else "",
    )  # fmt: skip
    Path("params.yaml").write_text(text)


def tokens(tokenizer_hash: str | None = None, labelled: bool = False) -> np.ndarray:
    """data/tokens of the tiny tokenizer, `labelled` with a state of two values; returns tokens (C, T)."""
    splits, everything = {}, []
    for seed, (name, count) in enumerate(COUNTS.items()):
        ids = tiny.contexts(count, LENGTH, seed).numpy().astype(np.int32)
        ids[0, -1] = tiny.EOS
        document = np.arange(count, dtype=np.int32)[:, None].repeat(LENGTH, 1) + 100 * seed
        splits[name] = Packed(ids, document, np.zeros_like(document))
        everything.append(ids)
    shutil.rmtree("data/tokens", ignore_errors=True)
    write_tokens(Path("data/tokens"), splits, {
        "special_ids": [tiny.BOS, tiny.EOS, tiny.PAD], "bos_id": tiny.BOS, "vocab_size": tiny.VOCABULARY,
        "tokenizer_hash": tokenizer_hash or tokenizer_sha256(tiny.tokenizer()), "source": "test",
    }, (STATES, {name: labels(split) for name, split in splits.items()}) if labelled else None)  # fmt: skip
    return np.concatenate(everything)


STATES = [Field("topic", 2, "slow")]


def labels(split: Packed) -> np.ndarray:
    """Documents take turns; BOS has none."""
    topic = np.where(split.tokens == tiny.BOS, -1, split.document % 2)
    return topic[..., None].astype(np.int16)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a tiny Llama, its tokens and params.yaml."""
    monkeypatch.chdir(tmp_path)
    resolve_local(tiny.save("llama", tmp_path / "tiny"), Path("models/lm"))
    tokens()
    params()
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def scratch_folders() -> list[str]:
    return sorted(path.name for path in Path(".scratch").iterdir())


@pytest.mark.parametrize("kind", ["gemma2", "llama", "gpt_neox", "gpt2"])
def test_rows_are_the_hidden_states_of_a_plain_forward(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    resolve_local(tiny.save(kind, tmp_path / "tiny"), Path("models/lm"))
    ids = tokens()
    params(layer=1)
    harvest.run()
    store = open_store(Path("data/activations"))
    with torch.no_grad():
        plain = tiny.model(kind)(torch.from_numpy(ids).long(), output_hidden_states=True).hidden_states[2]
    torch.testing.assert_close(store.rows(0, store.count), plain.reshape(-1, 16), atol=2e-6, rtol=1e-5)
    assert np.array_equal(store.tokens.reshape(-1, LENGTH), ids)


def test_what_the_store_says(here: Path) -> None:
    harvest.run()
    store = open_store(Path("data/activations"))
    attrs = store.attrs
    lm = load_lm(Path("models/lm"), "cpu")
    assert (attrs.model_id, attrs.weights_sha256, attrs.layer) == ("tiny", lm.weights_sha256, 1)
    assert attrs.hook_name == "blocks.1.hook_resid_post"
    assert attrs.splits == {"train": [0, 13], "validation": [13, 16], "test": [16, 20]}
    assert store.count == 20 * LENGTH
    assert store.valid.sum() == 20 * (LENGTH - 1) - 3  # without BOS and three EOS
    assert store.document[-1] == 203
    train = store.rows(0, 13 * LENGTH).numpy().astype(np.float64)[store.valid[: 13 * LENGTH]]
    np.testing.assert_allclose(attrs.mean, train.mean(0), rtol=1e-12)
    np.testing.assert_allclose(attrs.mean_squared_norm, (train**2).sum(1).mean(), rtol=1e-12)
    assert attrs.scale == pytest.approx((16 / attrs.mean_squared_norm) ** 0.5)
    assert scratch_folders() == []


def test_massive_bos_norms_stay_out_of_the_statistics(here: Path) -> None:
    """Gemma 2's BOS rows have hundreds of times the norm of the others."""
    path = Path("models/lm/model.safetensors")
    weights = load_file(path)
    weights["model.embed_tokens.weight"][tiny.BOS] += 1000
    save_file(weights, path, metadata={"format": "pt"})
    harvest.run()
    store = open_store(Path("data/activations"))
    squares = store.rows(0, store.count).square().sum(1).numpy()
    assert squares[~store.valid].max() > 1e4 * squares[store.valid].max()
    assert store.attrs.mean_squared_norm <= squares[store.valid].max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_two_harvests_give_the_same_bytes(here: Path, dtype: str) -> None:
    params(dtype=dtype)
    harvest.run()
    first = digests(Path("data/activations"))
    harvest.run()
    assert digests(Path("data/activations")) == first
    text = "".join(path.read_text() for path in Path("data/activations").rglob("zarr.json"))
    assert str(here) not in text


def test_other_chunks_give_the_same_rows(here: Path) -> None:
    params(batch=1, contexts=1)
    harvest.run()
    small = open_store(Path("data/activations"))
    rows = small.rows(0, small.count)
    params(batch=1, contexts=7)
    harvest.run()
    large = open_store(Path("data/activations"))
    assert small.source.chunk_rows == LENGTH
    assert large.source.chunk_rows == 7 * LENGTH
    assert torch.equal(rows, large.rows(0, large.count))


KILLED = """
import os, signal
from pipeline.stages import harvest
from pipeline.store import Writer
write, finish, count = Writer.write, Writer.finish, 0
def counted(self, chunk, x):
    global count
    write(self, chunk, x)
    count += 1
    if count == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
def finished(self):
    finish(self)
    os.kill(os.getpid(), signal.SIGKILL)
Writer.write, Writer.finish = counted, finished
harvest.run()
"""


def killed(after: int) -> None:
    """Run the stage in a process that is killed after that many chunks, or at the end of `finish`."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(after=after)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


class Counter:
    """Counts contexts through the language model and chunks written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.contexts, self.chunks = 0, []
        forward_to, write = LanguageModel.forward_to, Writer.write

        def forwarded(lm: LanguageModel, ids: torch.Tensor, site: Site, mask: Any = None) -> torch.Tensor:
            self.contexts += len(ids)
            return forward_to(lm, ids, site, mask)

        def written(writer: Writer, chunk: int, x: torch.Tensor) -> None:
            self.chunks.append(chunk)
            write(writer, chunk, x)

        monkeypatch.setattr(LanguageModel, "forward_to", forwarded)
        monkeypatch.setattr(Writer, "write", written)


@pytest.mark.parametrize("after", [3, 99], ids=["in the middle", "before the rename"])
def test_a_killed_harvest_goes_on_where_it_stopped(
    here: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(after)
    assert not Path("data/activations").exists()
    counter = Counter(monkeypatch)
    harvest.run()
    left = list(range(7))[after:]
    assert counter.chunks == left
    assert counter.contexts == sum([3, 3, 3, 3, 3, 3, 2][chunk] for chunk in left)
    resumed = digests(Path("data/activations"))
    harvest.run()
    assert digests(Path("data/activations")) == resumed


def test_leftovers_and_damaged_chunks_of_a_crash_are_made_good(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harvest.run()
    whole = digests(Path("data/activations"))
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            harvest.run()
    (folder,) = Path(".scratch").iterdir()
    chunk = folder / "activations/c.2.0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    (folder / "activations/c.4.0").unlink()
    (folder / "activations/c.4.0.1234.partial").write_bytes(b"half a chunk")
    counter = Counter(monkeypatch)
    harvest.run()
    assert counter.chunks == [2, 4]
    assert digests(Path("data/activations")) == whole


def test_other_inputs_start_afresh(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(3)
    (before,) = scratch_folders()
    params(layer=0)
    counter = Counter(monkeypatch)
    harvest.run()
    assert counter.chunks == list(range(7))
    assert open_store(Path("data/activations")).attrs.layer == 0
    assert scratch_folders() == []
    assert before.startswith("harvest-")


def test_a_layer_that_does_not_exist(here: Path) -> None:
    params(layer=3)
    with pytest.raises(BadInput, match="layer 3 does not exist: tiny has 3 blocks"):
        harvest.run()
    assert not Path("data/activations").exists()


def test_tokens_of_another_tokenizer(here: Path) -> None:
    tokens(tokenizer_hash="other")
    with pytest.raises(BadInput, match="another tokenizer than that of tiny"):
        harvest.run()


def test_nan_activations_are_not_stored(here: Path) -> None:
    path = Path("models/lm/model.safetensors")
    weights = load_file(path)
    weights["model.embed_tokens.weight"][7] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(BadInput, match="activations of layer 1 of tiny are NaN or infinite"):
        harvest.run()
    assert not Path("data/activations").exists()


def test_too_small_a_disk_is_noticed_before_the_first_forward_pass(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter(monkeypatch)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 90, 10))
    with pytest.raises(BadInput, match=r"need .* GiB more .* free"):
        harvest.run()
    assert counter.contexts == 0


def test_a_disk_that_fills_up(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    with pytest.raises(BadInput, match="is full"):
        harvest.run()
    assert not Path("data/activations").exists()


def test_scratch_is_named_by_all_that_is_declared(here: Path) -> None:
    assert deaf_to(harvest, harvest.run, "harvest") == []
    before, _ = named(harvest, harvest.run)
    params(batch=3)
    assert named(harvest, harvest.run)[0] != before


def read_report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("data/activations/report.json").read_text())
    return found


def test_what_the_rows_carry_is_reported(here: Path) -> None:
    harvest.run()
    report = read_report()
    assert (report["version"], report["site"], report["states"]) == (1, "resid_post.1", [])
    assert report["test_tokens"] == 4 * (LENGTH - 1) - 1
    assert 1 <= report["participation_ratio"] <= 16
    assert report["autocorrelation"]["10"] is None  # contexts of eight tokens


def test_states_are_measured_beside_the_counting_filter(here: Path) -> None:
    tokens(labelled=True)
    harvest.run()
    (topic,) = read_report()["states"]
    assert (topic["name"], topic["values"]) == ("topic", 2)
    assert 0 <= topic["reference"] <= 1
    assert topic["ratio"] is None or topic["reference"] > topic["chance"]


def test_a_gate_names_every_bound_that_is_not_kept_and_leaves_no_store(here: Path) -> None:
    params(gate={**LENIENT, "slow_states": 2, "participation_ratio": 99.0})
    with pytest.raises(
        BadInput, match=r"slow_states is 0, 2 is the least; participation_ratio is .*, 99 is"
    ) as caught:
        harvest.run()
    assert "token_share" not in str(caught.value)
    assert not Path("data/activations").exists()
    params(gate=LENIENT)
    harvest.run()
    assert read_report()["participation_ratio"] < 99


@pytest.mark.parametrize(
    ("name", "value"),
    [("slow_states", 1), ("participation_ratio", 20.1), ("token_share", 0.39), ("document_share", 0.31),
     ("position_share", 0.009), ("autocorrelation", 0.51)],
)  # fmt: skip
def test_each_bound_refuses_on_its_own(name: str, value: float) -> None:
    report = {
        "states": [{"name": "a", "ratio": 0.7}, {"name": "b", "ratio": None}], "participation_ratio": 20.0,
        "token_share": 0.4, "document_share": 0.3, "position_share": 0.01, "autocorrelation": {"10": 0.5},
    }  # fmt: skip
    harvest.check(report, GateSection.parse(LENIENT, "gate"))
    with pytest.raises(BadInput, match=rf"\({name} is [^;]*\)"):
        harvest.check(report, GateSection.parse({**LENIENT, name: value}, "gate"))
