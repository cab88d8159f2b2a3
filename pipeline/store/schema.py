"""What an activation store says about itself: its attributes, its dtypes and its chunk rule."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import Site

SCHEMA = "saeline-activations"
VERSION = 1
INDEX_CHUNK_ROWS = 2**20
"""Rows per chunk of the (N,) arrays: 4 MiB of int32."""

Dtype = Literal["float32", "bfloat16"]
Codec = Literal["none", "blosc-lz4", "blosc-zstd", "bitround"]

TORCH_DTYPE: dict[Dtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED_DTYPE: dict[Dtype, str] = {"float32": "float32", "bfloat16": "uint16"}
"""Zarr v3 has no bfloat16 that zarr-python reads: its bits are kept as uint16."""
FILL: dict[Dtype, float | int] = {"float32": float("nan"), "bfloat16": 0x7FC0}
"""NaN in either dtype: a chunk that was never written cannot pass for data."""


class Header(BaseModel):
    """What is known before the first activation is: where the rows come from and how they lie."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model_id: str
    revision: str | None  # commit of a hub model
    weights_sha256: str
    tokenizer_hash: str
    layer: int
    hook_name: str
    d: int
    context_length: int
    special_ids: list[int]
    splits: dict[str, list[int]]  # name -> [start, stop) in contexts
    logical_dtype: Dtype
    codec: Codec
    chunk_contexts: int

    @property
    def site(self) -> Site:
        """What the rows are: version 1 holds the residual stream after a block only."""
        return Site("resid_post", self.layer)


class Attrs(Header):
    """Header plus what only a finished store knows. Statistics: valid train rows, float64, chunk order."""

    special_policy: Literal["kept in the arrays, left out of statistics and by readers"] = (
        "kept in the arrays, left out of statistics and by readers"
    )
    count: int  # rows
    train_rows: int  # rows behind the statistics
    mean: list[float]  # (d,)
    mean_squared_norm: float  # mean of ||x||^2, not centred
    scale: float  # sqrt(d / mean_squared_norm): x * scale has mean squared norm d
    chunks: list[str]  # manifest: every chunk's key


def chunk_contexts(chunk_mib: float, context_length: int, d: int, dtype: Dtype) -> int:
    """Contexts per chunk: as many whole ones as fit `chunk_mib` MiB, at least one."""
    context_bytes = context_length * d * TORCH_DTYPE[dtype].itemsize
    return max(1, int(chunk_mib * 2**20) // context_bytes)


def to_json(attrs: Attrs) -> dict[str, Any]:
    """The group attributes of a finished store."""
    return {"schema": SCHEMA, "version": VERSION, **attrs.model_dump()}


def from_json(values: dict[str, Any], where: str) -> Attrs:
    """Attributes read from a store at `where`; raises BadInput when they are no store's this code reads."""
    values = dict(values)
    if values.pop("schema", None) != SCHEMA:
        raise BadInput(f"{where} is not a finished activation store; run `dvc repro harvest`.")
    version = values.pop("version", None)
    if version != VERSION:
        raise BadInput(f"{where} has store version {version}; this code reads version {VERSION}.")
    try:
        return Attrs.model_validate(values)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors())
        raise BadInput(
            f"{where} has damaged attributes ({fields}); remove it and run `dvc repro harvest`."
        ) from None
