from __future__ import annotations

import errno
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.errors import BadInput
from pipeline.store import Writer, open_store
from pipeline.store.schema import TORCH_DTYPE, chunk_contexts
from tests.store import made

C, T, D = 10, 8, 6
CODECS = ["none", "blosc-lz4", "blosc-zstd"]


def random_rows(seed: int = 0) -> torch.Tensor:
    return torch.randn(C * T, D, generator=torch.Generator().manual_seed(seed)) * 5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("codec", CODECS)
def test_what_is_written_is_read(tmp_path: Path, dtype: Any, codec: str) -> None:
    tokens, document = made.text(C, T)
    x = random_rows()
    made.write(tmp_path / "s", made.header(C, T, D, 3, logical_dtype=dtype, codec=codec), tokens, document, x)
    store = open_store(tmp_path / "s")
    assert torch.equal(store.rows(0, C * T), x.to(TORCH_DTYPE[dtype]).float())
    assert torch.equal(store.rows(5, 61), x.to(TORCH_DTYPE[dtype]).float()[5:61])
    assert store.rows(7, 7).shape == (0, D)
    assert np.array_equal(store.tokens, tokens.reshape(-1))
    assert np.array_equal(store.document, document.reshape(-1))
    assert np.array_equal(store.position, np.tile(np.arange(T), C))
    assert np.array_equal(store.valid, ~np.isin(tokens.reshape(-1), made.SPECIAL))
    assert store.split("test") == range(6 * T, 10 * T)


def test_bitround_keeps_ten_bits_and_does_not_warn(tmp_path: Path) -> None:
    x = random_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.write(tmp_path / "s", made.header(C, T, D, 3, codec="bitround"), *made.text(C, T), x)
        found = open_store(tmp_path / "s").rows(0, C * T)
    assert not torch.equal(found, x)
    torch.testing.assert_close(found, x, rtol=2**-11, atol=0)


def test_statistics_are_those_of_valid_train_rows(tmp_path: Path) -> None:
    tokens, document = made.text(C, T)
    x = random_rows()
    attrs = made.write(tmp_path / "s", made.header(C, T, D, 3), tokens, document, x)
    valid = ~np.isin(tokens, made.SPECIAL).reshape(-1)
    train = x.numpy().astype(np.float64)[: 6 * T][valid[: 6 * T]]
    assert attrs.train_rows == len(train)
    np.testing.assert_allclose(attrs.mean, train.mean(0), rtol=1e-12)
    np.testing.assert_allclose(attrs.mean_squared_norm, (train**2).sum(1).mean(), rtol=1e-12)
    np.testing.assert_allclose(attrs.scale, np.sqrt(D / attrs.mean_squared_norm), rtol=1e-12)


def test_statistics_are_those_of_the_rows_as_stored(tmp_path: Path) -> None:
    x = random_rows()
    rounded = x.bfloat16().float()
    text = made.text(C, T)
    attrs = made.write(tmp_path / "a", made.header(C, T, D, 3, logical_dtype="bfloat16"), *text, x)
    same = made.write(tmp_path / "b", made.header(C, T, D, 3), *text, rounded)
    assert (attrs.mean, attrs.mean_squared_norm) == (same.mean, same.mean_squared_norm)


def test_an_outlier_in_special_rows_changes_no_statistic(tmp_path: Path) -> None:
    tokens, document = made.text(C, T)
    x = random_rows()
    plain = made.write(tmp_path / "a", made.header(C, T, D, 3), tokens, document, x)
    special = torch.from_numpy(np.isin(tokens, made.SPECIAL).reshape(-1))
    x[special] = 1e4
    shifted = made.write(tmp_path / "b", made.header(C, T, D, 3), tokens, document, x)
    assert (plain.mean, plain.scale) == (shifted.mean, shifted.scale)


@given(
    mib=st.floats(0.0001, 4), length=st.integers(1, 300), d=st.integers(1, 500),
    dtype=st.sampled_from(["float32", "bfloat16"]),
)  # fmt: skip
def test_chunks_are_whole_contexts_within_the_size(mib: float, length: int, d: int, dtype: Any) -> None:
    contexts = chunk_contexts(mib, length, d, dtype)
    size = length * d * (4 if dtype == "float32" else 2)
    assert contexts >= 1
    assert contexts == 1 or contexts * size <= mib * 2**20
    assert (contexts + 1) * size > mib * 2**20


def test_the_manifest_lists_every_chunk_and_nothing_else_lies_there(tmp_path: Path) -> None:
    attrs = made.write(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T), random_rows())
    files = {
        path.relative_to(tmp_path / "s").as_posix() for path in (tmp_path / "s").rglob("*") if path.is_file()
    }
    arrays = {f"{name}/zarr.json" for name in ("activations", "tokens", "document", "position")}
    assert files == {*attrs.chunks, "zarr.json", *arrays}
    assert [key for key in attrs.chunks if key.startswith("act")] == [
        f"activations/c.{i}.0" for i in range(4)
    ]


def test_attributes_are_as_documented(tmp_path: Path) -> None:
    made.write(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T), random_rows())
    attributes = json.loads((tmp_path / "s/zarr.json").read_text())["attributes"]
    assert (attributes["schema"], attributes["version"]) == ("saeline-activations", 1)
    array = json.loads((tmp_path / "s/activations/zarr.json").read_text())
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [3 * T, D]
    assert array["fill_value"] == "NaN"
    assert [codec["name"] for codec in array["codecs"]] == ["bytes", "crc32c"]


def test_chunks_may_come_in_any_order_over_several_writers(tmp_path: Path) -> None:
    tokens, document = made.text(C, T)
    head, x = made.header(C, T, D, 3), random_rows().reshape(C, T, D)
    for chunk in (2, 0, 3, 1):
        writer = Writer(tmp_path / "a", head, tokens, document)
        assert not writer.done(chunk)
        span = writer.span(chunk)
        writer.write(chunk, x[span.start : span.stop])
        assert writer.done(chunk)
    writer.finish()
    made.write(tmp_path / "b", head, tokens, document, x)
    for path in sorted((tmp_path / "b").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "a" / path.relative_to(tmp_path / "b")).read_bytes()


def test_an_unfinished_store_cannot_be_opened(tmp_path: Path) -> None:
    Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    with pytest.raises(BadInput, match="not a finished activation store"):
        open_store(tmp_path / "s")


def test_finish_refuses_a_missing_chunk(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    writer.write(0, torch.ones(3, T, D))
    with pytest.raises(BadInput, match=r"lacks chunk activations/c.1.0"):
        writer.finish()


def test_a_damaged_chunk_is_not_done_and_stops_finish(tmp_path: Path) -> None:
    made.write(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T), random_rows())
    flip(tmp_path / "s/activations/c.1.0")
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    assert [writer.done(chunk) for chunk in range(4)] == [True, False, True, True]
    with pytest.raises(BadInput, match=r"activations/c.1.0 is damaged"):
        writer.finish()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_not_written(tmp_path: Path, bad: float) -> None:
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    x = torch.ones(3, T, D)
    x[1, 2, 3] = bad
    with pytest.raises(BadInput, match="NaN or infinite in contexts 3 to 5"):
        writer.write(1, x)
    assert not writer.done(1)


def test_finish_finds_a_nan_that_got_past_the_writer(tmp_path: Path) -> None:
    made.write(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T), random_rows())
    array = zarr.open_array(tmp_path / "s/activations", mode="r+")
    rows = np.asarray(array[3 * T : 6 * T])
    rows[5, 2] = np.nan
    array[3 * T : 6 * T] = rows
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    with pytest.raises(BadInput, match=rf"row {3 * T + 5} of the activations \(context 3, layer 1 of made\)"):
        writer.finish()


def test_a_float32_beyond_bfloat16_is_found(tmp_path: Path) -> None:
    """3.4e38 rounds to infinity in bfloat16: finite when written, not when stored."""
    x = random_rows()
    x[30, 1] = 3.4e38
    with pytest.raises(BadInput, match="row 30 "):
        made.write(tmp_path / "s", made.header(C, T, D, 3, logical_dtype="bfloat16"), *made.text(C, T), x)


def test_a_wrong_shape_is_an_error(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    with pytest.raises(ValueError, match="chunk 3"):
        writer.write(3, torch.ones(3, T, D))  # the last chunk has one context
    with pytest.raises(ValueError, match="contexts of 8"):
        Writer(tmp_path / "t", made.header(C, T + 1, D, 3), *made.text(C, T))


def test_text_without_a_valid_train_row(tmp_path: Path) -> None:
    tokens, document = made.text(C, T)
    tokens[:6] = 0
    with pytest.raises(BadInput, match="no row that is not a special token"):
        made.write(tmp_path / "s", made.header(C, T, D, 3), tokens, document, random_rows())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    monkeypatch.setattr(zarr.Array, "__setitem__", lambda *_: (_ for _ in ()).throw(OSError(number, "full")))
    with pytest.raises(BadInput, match=r"the disk of .* is full"):
        writer.write(0, torch.ones(3, T, D))


def test_another_failure_of_the_disk_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(tmp_path / "s", made.header(C, T, D, 3), *made.text(C, T))
    monkeypatch.setattr(zarr.Array, "__setitem__", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "io")))
    with pytest.raises(OSError, match="io"):
        writer.write(0, torch.ones(3, T, D))


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
