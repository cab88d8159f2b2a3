"""Rows `store/*`: writing and reading activations, beside a NumPy memmap (the limit) and SAELens' cache."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.problem import activations
from benchmarks.timing import interleave
from pipeline.store import Reader, Store, open_store
from pipeline.store.schema import Header, chunk_contexts
from pipeline.store.writer import Writer

D, CONTEXT, CONTEXTS, BATCH = 256, 128, 1024, 4096
HOOK = "blocks.0.hook_resid_post"
ROUNDS, SECONDS = 7, 25.0


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """write, sequential, tokens and contexts."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        x = activations(D, CONTEXTS * CONTEXT, torch.Generator().manual_seed(0))
        for name, work in _works(folder, x).items():
            times = interleave(work, ROUNDS, SECONDS, warm=1)
            shape = f"{len(x)} rows of d {D}, float32, page cache warm"
            yield f"store/{name}", {"shape": shape, "tokens": len(x), "mb": x.nbytes / 1e6, "times": times}


def drain(batches: Iterable[Any]) -> None:
    """Take every batch and keep none, as training does."""
    deque(batches, maxlen=0)


def write(x: torch.Tensor, folder: Path) -> Store:
    """`x` as a verified store with 8 MiB chunks."""
    by_context = x.view(-1, CONTEXT, x.shape[1])
    writer = _writer(len(by_context), x.shape[1], folder)
    for chunk in range(writer.chunks):
        span = writer.span(chunk)
        writer.write(chunk, by_context[span.start : span.stop])
    writer.finish()
    return open_store(folder)


def write_in_parts(rows: int, d: int, folder: Path) -> Store:
    """A store of `rows` random rows that are never all in memory."""
    writer, generator = _writer(rows // CONTEXT, d, folder), torch.Generator().manual_seed(0)
    for chunk in range(writer.chunks):
        writer.write(chunk, torch.randn(len(writer.span(chunk)), CONTEXT, d, generator=generator))
    writer.finish()
    return open_store(folder)


def _writer(contexts: int, d: int, folder: Path) -> Writer:
    shutil.rmtree(folder, ignore_errors=True)
    header = Header(
        model_id="none", revision=None, weights_sha256="", tokenizer_hash="", layer=0, hook_name=HOOK,
        d=d, context_length=CONTEXT, special_ids=[], splits={"train": [0, contexts]},
        logical_dtype="float32", codec="none", chunk_contexts=chunk_contexts(8.0, CONTEXT, d, "float32"),
    )  # fmt: skip
    tokens = np.zeros((contexts, CONTEXT), dtype=np.int32)
    return Writer(folder, header, tokens, tokens)


def _works(folder: Path, x: torch.Tensor) -> dict[str, dict[str, Callable[[], Any]]]:
    store = write(x, folder / "ours")
    _memmap(x, folder / "memmap")
    _datasets(x, folder / "saelens")
    flat = np.memmap(folder / "memmap", np.float32, "r", shape=tuple(x.shape))
    rng = np.random.default_rng(0)

    def in_order() -> None:
        drain(np.array(flat[i : i + BATCH]) for i in range(0, len(x), BATCH))

    return {
        "write": {
            "ours, verified": lambda: write(x, folder / "again"),
            "memmap": lambda: _memmap(x, folder / "memmap-again"),
            "datasets, as SAELens": lambda: _datasets(x, folder / "saelens-again"),
        },
        "sequential": {
            "ours": lambda: drain(store.rows(i, i + BATCH) for i in range(0, len(x), BATCH)),
            "memmap": in_order,
            "SAELens": _saelens(folder / "saelens", shuffled=False),
        },
        "tokens": {
            "ours, store in memory": _epoch(store, "tokens", 2**19),
            "ours, pools of a quarter": _epoch(store, "tokens", len(x) // 4),
            "memmap, sequential": in_order,
            "memmap, random rows": lambda: drain(flat[i] for i in rng.permutation(len(x)).reshape(-1, BATCH)),
            "SAELens, mixing buffer": _saelens(folder / "saelens", shuffled=True),
        },
        "contexts": {
            "ours, store in memory": _epoch(store, "contexts", 2**19),
            "ours, pools of a quarter": _epoch(store, "contexts", len(x) // 4),
            "memmap, random contexts": lambda: drain(
                flat.reshape(-1, CONTEXT, D)[i]
                for i in rng.permutation(CONTEXTS).reshape(-1, BATCH // CONTEXT)
            ),
        },
    }  # fmt: skip


def _epoch(store: Store, mode: str, pool_rows: int) -> Callable[[], Any]:
    reader = Reader(store, "train", mode, BATCH, 0, pool_rows=pool_rows)
    return lambda: drain(reader.next() for _ in range(reader.epoch_rows // BATCH))


def _memmap(x: torch.Tensor, path: Path) -> None:
    out = np.memmap(path, np.float32, "w+", shape=tuple(x.shape))
    out[:] = x.numpy()
    out.flush()


def _datasets(x: torch.Tensor, folder: Path) -> None:
    """The calls that SAELens' runner writes its shards with."""
    from datasets import Array2D, Dataset, Features

    shutil.rmtree(folder, ignore_errors=True)
    features = Features({HOOK: Array2D(shape=(CONTEXT, D), dtype="float32")})
    data = Dataset.from_dict({HOOK: x.view(-1, CONTEXT, D)}, features=features)
    data.save_to_disk(folder, num_shards=1)


def _saelens(folder: Path, shuffled: bool) -> Callable[[], Any]:
    """One pass of SAELens' cached reader: 32 contexts at a time, or batches out of its mixing buffer."""
    from sae_lens.training.activations_store import ActivationsStore

    store = ActivationsStore(
        model=None, dataset=None, streaming=False, hook_name=HOOK, hook_head_index=None, context_size=CONTEXT,
        d_in=D, n_batches_in_buffer=CONTEXTS // 4, total_training_tokens=CONTEXTS * CONTEXT,
        store_batch_size_prompts=BATCH // CONTEXT, train_batch_size_tokens=BATCH, prepend_bos=False,
        normalize_activations="none", device=torch.device("cpu"), dtype="float32",
        cached_activations_path=str(folder),
    )  # fmt: skip
    batches = CONTEXTS * CONTEXT // BATCH
    if shuffled:
        return lambda: drain(next(store) for _ in range(batches))
    return lambda: drain(store.get_raw_llm_batch() for _ in range(batches))
