from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.console.errors import BadInput
from pipeline.store import Reader, Store, open_store
from tests.store import made
from tests.store.test_writer import flip

C, T, D = 10, 8, 6
GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made.write(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T), made.numbered(C, T, D))
    return tmp_path / "s"


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no activation store; run `dvc repro harvest`"):
        open_store(tmp_path / "nothing")


@pytest.mark.parametrize("key", ["activations/c.1.0", "tokens/c.0", "document/c.0", "position/c.0"])
def test_a_missing_chunk(path: Path, key: str) -> None:
    (path / key).unlink()
    with pytest.raises(BadInput, match=f"lacks 1 of its 7 chunks .{key}"):
        open_store(path)


def test_a_damaged_chunk_is_named_when_it_is_read(path: Path) -> None:
    flip(path / "activations/c.2.0")
    store = open_store(path)
    assert len(store.rows(0, 6 * T)) == 6 * T
    with pytest.raises(BadInput, match=r"activations/c.2.0 is damaged"):
        store.rows(7 * T, 8 * T)


def test_a_truncated_chunk_is_named_when_it_is_read(path: Path) -> None:
    chunk = path / "activations/c.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-20])
    with pytest.raises(BadInput, match=r"activations/c.0.0 is damaged"):
        Reader(open_store(path), "train", "tokens", 4, 0)


def test_a_damaged_index(path: Path) -> None:
    flip(path / "document/c.0")
    with pytest.raises(BadInput, match="damaged index"):
        open_store(path)


def test_a_wrong_shape_and_a_wrong_dtype(path: Path) -> None:
    edit(path / "activations/zarr.json", lambda values: values.update(shape=[C * T - 1, D]))
    with pytest.raises(BadInput, match=r"activations should be \(80, 6\) float32 but is \(79, 6\) float32"):
        open_store(path)
    edit(path / "activations/zarr.json", lambda values: values.update(shape=[C * T, D], data_type="int32",
                                                                       fill_value=0))  # fmt: skip
    with pytest.raises(BadInput, match=r"but is .* int32"):
        open_store(path)


def test_a_missing_array(path: Path) -> None:
    (path / "activations/zarr.json").unlink()
    with pytest.raises(BadInput, match="but is nothing"):
        open_store(path)


def test_a_later_version_and_damaged_attributes(path: Path) -> None:
    edit(path / "zarr.json", lambda values: values["attributes"].update(version=2))
    with pytest.raises(BadInput, match="store version 2; this code reads version 1"):
        open_store(path)
    edit(path / "zarr.json", lambda values: values["attributes"].update(version=1, scale="large"))
    with pytest.raises(BadInput, match=r"damaged attributes \(scale\)"):
        open_store(path)


def test_an_unknown_split(path: Path) -> None:
    with pytest.raises(BadInput, match="no split `dev`; it has train, test"):
        open_store(path).split("dev")


def test_opening_writes_nothing(path: Path) -> None:
    before = {each: each.stat().st_mtime_ns for each in path.rglob("*")}
    store = open_store(path)
    Reader(store, "train", "tokens", 4, 0).next()
    assert {each: each.stat().st_mtime_ns for each in path.rglob("*")} == before


def test_memory_and_disk_agree(path: Path) -> None:
    disk, memory = open_store(path), made.in_memory(C, T, 3, d=D)
    assert torch.equal(disk.rows(0, disk.count), memory.rows(0, memory.count))
    for name in ("tokens", "document", "position", "valid"):
        assert np.array_equal(getattr(disk, name), getattr(memory, name))
    for name in ("mean", "mean_squared_norm", "scale", "train_rows", "splits", "count", "d"):
        assert getattr(disk.attrs, name) == getattr(memory.attrs, name)
    for mode in ("tokens", "pairs", "contexts"):
        one, other = (Reader(store, "train", mode, 6, 3, pool_rows=2 * T) for store in (disk, memory))
        for _ in range(20):
            assert torch.equal(one.next().x, other.next().x)


def test_from_tensors_defaults() -> None:
    x = torch.randn(12, 5)
    store = Store.from_tensors(x, position=torch.arange(12) % 4)
    assert (store.context_length, store.count, store.d) == (4, 12, 5)
    assert store.document.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert store.valid.all()
    assert store.split("train") == range(12)
    assert store.attrs.mean_squared_norm == pytest.approx(float(x.double().square().sum(1).mean()))
    assert store.rows(0, 12).data_ptr() == x.data_ptr()


def test_from_tensors_refuses_a_broken_context() -> None:
    with pytest.raises(ValueError, match="no whole number of contexts"):
        Store.from_tensors(torch.randn(10, 2), context_length=4)


def test_from_tensors_refuses_nan() -> None:
    with pytest.raises(BadInput, match="row 1 "):
        Store.from_tensors(torch.tensor([[1.0], [float("nan")]]))


@pytest.mark.parametrize("name", ["store_v1_float32", "store_v1_bfloat16_lz4"])
def test_stores_of_version_1_stay_readable(name: str, tmp_path: Path) -> None:
    """Written by version 1 and never again: 6 contexts of 4, d = 3, row r = r, r + 1/2, r + 1."""
    shutil.copytree(GOLDEN / name, tmp_path / name)
    store = open_store(tmp_path / name)
    assert torch.equal(store.rows(0, 24), made.numbered(6, 4))
    assert store.tokens.tolist() == [0, 5, 6, 7] * 5 + [0, 8, 9, 1]
    assert store.document.tolist() == [index // 4 for index in range(24)]
    assert store.position.tolist() == [0, 1, 2, 3] * 6
    assert store.valid.tolist() == [False, True, True, True] * 5 + [False, True, True, False]
    assert store.attrs.splits == {"train": [0, 4], "validation": [4, 5], "test": [5, 6]}
    # valid train rows: r = 1 2 3, 5 6 7, 9 10 11, 13 14 15
    assert store.attrs.mean == [8.0, 8.5, 9.0]
    squares = [r**2 + (r + 0.5) ** 2 + (r + 1) ** 2 for r in range(16) if r % 4]
    assert store.attrs.mean_squared_norm == sum(squares) / 12
    assert (store.attrs.model_id, store.attrs.layer, store.attrs.chunk_contexts) == ("golden", 2, 2)
    assert str(store.attrs.site) == "resid_post.2"
    assert Reader(store, "train", "tokens", 12, 0).next().x.sum() == 12 * (8 + 8.5 + 9)
