"""Activations on disk and in memory: schema, writer, store, reader. See docs/harvest.md."""

from pipeline.store.order import Mode
from pipeline.store.reader import Batch, Reader, hold
from pipeline.store.schema import Attrs
from pipeline.store.store import Store, open_store
from pipeline.store.writer import Writer

__all__ = ["Attrs", "Batch", "Mode", "Reader", "Store", "Writer", "hold", "open_store"]
