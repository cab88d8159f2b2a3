"""A store on S3 is the store on disk: the same batches, the same training, the same refusals."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest
import torch
import zarr

import pipeline
from pipeline.console.errors import BadInput
from pipeline.store import Mode, Reader, open_store
from pipeline.training.job import Job
from pipeline.training.run import train
from tests.store import made
from tests.training import toy

C, T, D = 24, 8, 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store of 8 chunks on disk."""
    tokens, document = made.text(C, T)
    made.write(tmp_path / "s", made.header(C, T, D, 3), tokens, document, made.numbered(C, T, D))
    return tmp_path / "s"


@pytest.fixture
def url(folder: Path, bucket: str) -> str:
    """The same store in the bucket."""
    fsspec.filesystem("s3").put(str(folder), f"{bucket}/s", recursive=True)
    return f"{bucket}/s"


@pytest.mark.parametrize("mode", ["tokens", "pairs", "contexts"])
def test_the_same_batches(folder: Path, url: str, mode: Mode) -> None:
    readers = [Reader(open_store(at), "train", mode, 6, 3, pool_rows=4 * T) for at in (folder, url)]
    for _ in range(40):
        here, there = (reader.next() for reader in readers)
        for name in ("x", "document", "position", "context"):
            assert torch.equal(getattr(here, name), getattr(there, name))


def test_the_notebook_opens_it_too(url: str) -> None:
    assert torch.equal(pipeline.open_store(url).rows(5, 9), made.numbered(C, T, D)[5:9])


def test_opening_writes_nothing(url: str) -> None:
    files = fsspec.filesystem("s3")
    before = files.find(url, detail=True)
    Reader(open_store(url), "train", "tokens", 6, 3).next()
    files.invalidate_cache()
    assert files.find(url, detail=True) == before


def test_training_from_the_bucket(tmp_path: Path, bucket: str) -> None:
    x, document = toy.rows(contexts=120)
    head = made.header(120, toy.T, toy.D, 30, splits={"train": [0, 90], "validation": [90, 120]})
    tokens = torch.full((120, toy.T), 5, dtype=torch.int32).numpy()
    made.write(tmp_path / "t", head, tokens, document.view(120, toy.T).int().numpy(), x)
    fsspec.filesystem("s3").put(str(tmp_path / "t"), f"{bucket}/t", recursive=True)
    job, section = Job.of("topk", {}, 1), toy.section(tokens=20 * 64)
    stores = [open_store(at) for at in (tmp_path / "t", f"{bucket}/t")]
    here, there = (train(job, section, store, torch.device("cpu"))[0] for store in stores)
    assert toy.same(here, there)


def test_a_missing_chunk(url: str) -> None:
    fsspec.filesystem("s3").rm(f"{url}/activations/c.2.0")
    with pytest.raises(BadInput, match=r"lacks 1 of its 11 chunks \(activations/c\.2\.0"):
        open_store(url)


def test_a_damaged_chunk(url: str) -> None:
    files = fsspec.filesystem("s3")
    content = bytearray(files.cat_file(f"{url}/activations/c.1.0"))
    content[40] ^= 1
    files.pipe_file(f"{url}/activations/c.1.0", bytes(content))
    with pytest.raises(BadInput, match=r"s3://.*/activations/c.1.0 is damaged"):
        open_store(url).rows(0, C * T)


def test_no_store(bucket: str) -> None:
    with pytest.raises(BadInput, match=r"s3://.*/nothing holds no activation store"):
        open_store(f"{bucket}/nothing")


def test_no_access(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(zarr, "open_group", denied)
    with pytest.raises(BadInput, match=r"PermissionError: Access Denied.*check the endpoint"):
        open_store(f"{bucket}/s")


def test_no_driver() -> None:
    with pytest.raises(BadInput, match=r"needs a driver of its scheme"):
        open_store("abfs://container/s")
