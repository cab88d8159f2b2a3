"""Small stores for tests, on disk and in memory, whose rows tell which row they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.store import Attrs, Store, Writer
from pipeline.store.schema import Header

SPECIAL = [0, 1]


def header(contexts: int, length: int, d: int, chunk_contexts: int, **other: Any) -> Header:
    train = max(1, contexts * 2 // 3)
    values: dict[str, Any] = {
        "model_id": "made", "revision": None, "weights_sha256": "w", "tokenizer_hash": "t", "layer": 1,
        "hook_name": "blocks.1.hook_resid_post", "d": d, "context_length": length, "special_ids": SPECIAL,
        "splits": {"train": [0, train], "test": [train, contexts]}, "logical_dtype": "float32",
        "codec": "none", "chunk_contexts": chunk_contexts,
    }  # fmt: skip
    return Header(**(values | other))


def text(contexts: int, length: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """tokens and document (C, T) int32: BOS first, BOS and EOS in between, documents of random lengths."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, 30, (contexts, length), dtype=np.int32)
    tokens[rng.random(tokens.shape) < 0.15] = rng.choice(SPECIAL)
    tokens[:, 0] = 0
    document = np.cumsum(rng.random(tokens.size) < 0.2).astype(np.int32).reshape(tokens.shape)
    return tokens, document


def numbered(contexts: int, length: int, d: int = 3) -> torch.Tensor:
    """(C * T, d): row r is r, r + 1/2, ...; exact in float32."""
    return torch.arange(contexts * length, dtype=torch.float32)[:, None] + torch.arange(d) / 2


def write(path: Path, head: Header, tokens: np.ndarray, document: np.ndarray, x: torch.Tensor) -> Attrs:
    writer = Writer(path, head, tokens, document)
    cut = x.reshape(*tokens.shape, head.d)
    for chunk in range(writer.chunks):
        span = writer.span(chunk)
        writer.write(chunk, cut[span.start : span.stop])
    return writer.finish()


def in_memory(contexts: int, length: int, chunk_contexts: int, seed: int = 0, d: int = 3) -> Store:
    """The same rows and text as `write` puts on disk with these numbers."""
    tokens, document = text(contexts, length, seed)
    head = header(contexts, length, d, chunk_contexts)
    return Store.from_tensors(
        numbered(contexts, length, d), torch.from_numpy(document.reshape(-1)),
        tokens=torch.from_numpy(tokens.reshape(-1)), special_ids=SPECIAL, context_length=length,
        splits={name: (ends[0], ends[1]) for name, ends in head.splits.items()},
        chunk_contexts=chunk_contexts,
    )  # fmt: skip
