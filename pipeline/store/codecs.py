"""How the bytes of a chunk are packed; sizes and speeds of each choice are in docs/harvest.md."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from zarr.codecs import BloscCodec, Crc32cCodec

from pipeline.store.schema import Codec

BITROUND_BITS = 10
"""Mantissa bits that `bitround` keeps of float32's 23: float16's precision with float32's range."""


def codecs(codec: Codec, itemsize: int) -> dict[str, Any]:
    """Arguments of create_array; crc32c comes last, over the bytes that lie on the disk."""
    if codec == "none":
        return {"compressors": (Crc32cCodec(),)}
    name: Literal["lz4", "zstd"] = "lz4" if codec == "blosc-lz4" else "zstd"
    blosc = BloscCodec(typesize=itemsize, cname=name, clevel=1, shuffle="bitshuffle")
    arguments: dict[str, Any] = {"compressors": (blosc, Crc32cCodec())}
    if codec == "bitround":
        # registers numcodecs' codecs with zarr, of which only this one is used
        from zarr.codecs.numcodecs import BitRound

        arguments["filters"] = (BitRound(keepbits=BITROUND_BITS),)
    return arguments


@contextmanager
def quiet() -> Iterator[None]:
    """Within: no warning that BitRound, being numcodecs', is outside the Zarr v3 specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
        yield
