"""Labelled sets for sparse probing, whatever the source of the text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.console.errors import BadInput
from pipeline.text.section import EmbeddedText, HubText, TextSection


@dataclass(frozen=True)
class LabelledSet:
    """Texts and their labels, one label per text."""

    name: str
    texts: list[str]
    labels: list[str]


def labelled_sets(section: TextSection, labels_path: Path, per_class: int, seed: int) -> list[LabelledSet]:
    """The labelled sets of a text source, at most `per_class` texts per label, in a fixed order.

    embedded: fresh documents, one set per slow state (language, domain, ...), none of them in the
    corpus. local: the CSV files (columns text, label) at `labels_path`. hub: `section.labelled`.
    Raises BadInput when a set has fewer than two labels or cannot be read.
    """
    if isinstance(section, EmbeddedText):
        from pipeline.text.embedded.labelled import embedded_sets

        sets = embedded_sets(section, per_class, seed)
    elif isinstance(section, HubText):
        from pipeline.text.hub import hub_sets

        sets = hub_sets(section.labelled, per_class, seed)
    else:
        from pipeline.text.local import csv_sets

        sets = csv_sets(labels_path, per_class, seed)
    for each in sets:
        check_labels(each)
    return sets


def check_labels(labelled: LabelledSet) -> None:
    """Raise BadInput when there is nothing to tell apart."""
    labels = sorted(set(labelled.labels))
    if len(labels) < 2:
        raise BadInput(
            f"Labelled set `{labelled.name}` has {len(labels)} label(s) ({', '.join(labels) or 'no texts'}): "
            "a probe needs at least two; add texts with another label or leave the set out."
        )
