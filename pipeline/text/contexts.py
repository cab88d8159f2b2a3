"""The token store `data/tokens`: packed contexts on disk, written once by `corpus`, read by the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.console.errors import BadInput
from pipeline.text.packing import Packed
from pipeline.text.states import Field, write_states

SCHEMA, VERSION = "saeline-tokens", 1
SPLITS = ("train", "validation", "test")
FLAT: dict[str, Any] = {"name": "default", "separator": "."}
"""Chunks lie beside one another, not each in a folder of its own, which DVC would walk for every stage."""
CHUNK_CONTEXTS = 1024


@dataclass(frozen=True)
class Tokens:
    """`tokens` and `document` (C, T) int32; `splits` are [start, stop) in contexts."""

    tokens: npt.NDArray[np.int32]
    document: npt.NDArray[np.int32]
    splits: dict[str, tuple[int, int]]
    special_ids: list[int]
    bos_id: int
    vocab_size: int
    context_length: int
    tokenizer_hash: str
    source: str


def write_tokens(
    folder: Path,
    splits: Mapping[str, Packed],
    about: Mapping[str, Any],
    states: tuple[list[Field], Mapping[str, npt.NDArray[np.int16]]] | None = None,
) -> None:
    """Write the packed `splits` (train, validation, test) as a Zarr v3 group in the empty `folder`.

    `about` holds special_ids, bos_id, vocab_size, tokenizer_hash and source; `states` the fields and, by
    split, the values (C, T, S) of text with labelled states.
    """
    import zarr

    bounds, start = {}, 0
    for name in SPLITS:
        bounds[name] = [start, start + splits[name].contexts]
        start += splits[name].contexts
    arrays = {
        "tokens": np.concatenate([splits[name].tokens for name in SPLITS]),
        "document": np.concatenate([splits[name].document for name in SPLITS]),
    }
    width = arrays["tokens"].shape[1]
    attributes = {"schema": SCHEMA, "version": VERSION, "splits": bounds, "context_length": width, **about}
    group = zarr.create_group(folder, zarr_format=3, attributes=dict(sorted(attributes.items())))
    for name, values in arrays.items():
        chunks = (min(CHUNK_CONTEXTS, len(values)), width)
        group.create_array(name, data=values, chunks=chunks, fill_value=-1, chunk_key_encoding=FLAT)
    if states:
        write_states(group, states[0], np.concatenate([states[1][name] for name in SPLITS]), CHUNK_CONTEXTS)


def open_tokens(path: Path) -> Tokens:
    """Read the token store at `path`; raises BadInput when it is absent, of another schema or incomplete."""
    import zarr

    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
    except FileNotFoundError:
        raise BadInput(f"{path} holds no token store: run `dvc repro corpus` first.") from None
    about: dict[str, Any] = dict(group.attrs)
    if (about.get("schema"), about.get("version")) != (SCHEMA, VERSION):
        raise BadInput(
            f"{path} is {about.get('schema')!r} version {about.get('version')!r}, not {SCHEMA!r} version "
            f"{VERSION}: run `dvc repro -f corpus`."
        )
    tokens, document = (_array(group, name, path) for name in ("tokens", "document"))
    splits = {name: (int(about["splits"][name][0]), int(about["splits"][name][1])) for name in SPLITS}
    missing = (tokens < 0).any() or (document < 0).any()  # absent chunks read as the fill value
    if tokens.shape != document.shape or splits["test"][1] != len(tokens) or missing:
        raise BadInput(f"{path} is incomplete: run `dvc repro -f corpus`.")
    return Tokens(
        tokens, document, splits, [int(i) for i in about["special_ids"]], int(about["bos_id"]),
        int(about["vocab_size"]), int(about["context_length"]), about["tokenizer_hash"], about["source"],
    )  # fmt: skip


def _array(group: Any, name: str, path: Path) -> npt.NDArray[np.int32]:
    try:
        return np.asarray(group[name][:], dtype=np.int32)
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        raise BadInput(f"{path}/{name} cannot be read ({error}): run `dvc repro -f corpus`.") from None
