"""What a split of the activation store holds, as one hash."""

from __future__ import annotations

import hashlib

from pipeline.store.store import Store


def content(store: Store, split: str) -> dict[str, str]:
    """The SHA-256 of a store's attributes and of all that a `split` holds."""
    digest = hashlib.sha256(store.attrs.model_dump_json().encode())
    rows = store.split(split)
    for array in (store.tokens, store.document, store.position):
        digest.update(array[rows.start : rows.stop].tobytes())
    for start in range(rows.start, rows.stop, store.context_length):
        digest.update(store.rows(start, start + store.context_length).numpy().tobytes())
    return {"store": digest.hexdigest()}
