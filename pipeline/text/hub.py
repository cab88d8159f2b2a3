"""Text and labelled texts from the Hugging Face hub, streamed, pinned by commit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.console.errors import BadInput
from pipeline.text.choose import at_most
from pipeline.text.labelled import LabelledSet
from pipeline.text.section import HubText, LabelledDataset

POOL = 20
"""A labelled set is chosen among its first POOL * per_class rows after a streamed shuffle."""


def hub_texts(section: HubText) -> Iterator[str]:
    """The dataset's texts in its own order; raises BadInput when it cannot be had or lacks the column."""
    for row in _stream(section):
        yield _cell(row, section.text_column, section.name)


def hub_sets(specifications: list[LabelledDataset], per_class: int, seed: int) -> list[LabelledSet]:
    """One labelled set per specification, at most `per_class` texts per label."""
    return [_labelled(each, per_class, seed) for each in specifications]


def _labelled(spec: LabelledDataset, per_class: int, seed: int) -> LabelledSet:
    # many labelled datasets are sorted by label: shuffle before taking the first rows
    stream = _stream(spec).shuffle(seed=seed, buffer_size=10_000)
    rows = list(islice(stream, POOL * per_class))
    texts = [_cell(row, spec.text_column, spec.name) for row in rows]
    labels = [_cell(row, spec.label_column, spec.name) for row in rows]
    kept = at_most(per_class, labels, seed)
    return LabelledSet(_name(spec), [texts[i] for i in kept], [labels[i] for i in kept])


def _name(spec: LabelledDataset) -> str:
    last = spec.name.rsplit("/", 1)[-1]
    return f"{last}-{spec.label_column}" if spec.label_column != "label" else last


def _stream(spec: HubText | LabelledDataset) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(spec.name, spec.config, revision=spec.revision, split=spec.split, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise BadInput(
            f"Dataset {spec.name} (config {spec.config}, split {spec.split}, revision {spec.revision}) "
            f"cannot be loaded ({lines[0].rstrip('.')}): check these names and the network."
        ) from None


def _cell(row: dict[str, Any], column: str, name: str) -> str:
    if column not in row:
        raise BadInput(
            f"Dataset {name} has no column `{column}` (it has {', '.join(sorted(row))}): name one."
        )
    return str(row[column])
