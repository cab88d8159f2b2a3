from __future__ import annotations

from pathlib import Path
from shutil import copytree, rmtree

import numpy as np
import pytest
import zarr

from pipeline.console.errors import BadInput
from pipeline.text.contexts import open_tokens, write_tokens
from pipeline.text.packing import Packed

ABOUT = {"special_ids": [0, 1], "bos_id": 1, "vocab_size": 99, "tokenizer_hash": "ab", "source": "embedded"}


def packed(rows: int, first_document: int) -> Packed:
    tokens = np.arange(rows * 5, dtype=np.int32).reshape(rows, 5)
    return Packed(tokens, np.full((rows, 5), first_document, dtype=np.int32), np.zeros_like(tokens))


def store(folder: Path) -> Path:
    splits = {"train": packed(3, 0), "validation": packed(1, 1), "test": packed(2, 2)}
    write_tokens(folder, splits, ABOUT)
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tokens = open_tokens(store(tmp_path / "t"))
    assert tokens.splits == {"train": (0, 3), "validation": (3, 4), "test": (4, 6)}
    assert tokens.tokens[4].tolist() == [0, 1, 2, 3, 4]
    assert tokens.document[:, 0].tolist() == [0, 0, 0, 1, 2, 2]
    assert tokens.tokens.dtype == np.int32
    assert (tokens.special_ids, tokens.bos_id, tokens.vocab_size) == ([0, 1], 1, 99)
    assert (tokens.context_length, tokens.tokenizer_hash, tokens.source) == (5, "ab", "embedded")


def test_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = store(tmp_path / "a"), store(tmp_path / "b")
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files)


def test_absent_store(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="dvc repro corpus"):
        open_tokens(tmp_path / "nothing")


def test_another_schema(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "t", attributes={"schema": "other", "version": 1})
    with pytest.raises(BadInput, match="'other'"):
        open_tokens(tmp_path / "t")


@pytest.mark.parametrize("name", ["tokens", "document"])
@pytest.mark.parametrize("part", ["c.0.0", ""])
def test_missing_chunks_and_arrays(tmp_path: Path, name: str, part: str) -> None:
    whole = store(tmp_path / "whole")
    copytree(whole, tmp_path / "t")
    if part:
        (tmp_path / "t" / name / part).unlink()
    else:
        rmtree(tmp_path / "t" / name)
    with pytest.raises(BadInput, match=r"dvc repro -f corpus"):
        open_tokens(tmp_path / "t")
