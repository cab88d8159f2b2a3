"""Controls: the same method with one thing different, so that a row beside it shows what that thing does.

A method's file declares its own as `Config.known`; `controls: [shuffled]` in its section of params.yaml
trains them, and each is a row of every table, `method (control)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Reading = Literal[
    "tokens", "pairs", "windows", "contexts", "shuffled pairs", "shuffled windows", "shuffled contexts"
]
"""How batches are read (pipeline/store/reader.py)."""


@dataclass(frozen=True)
class Control:
    """What differs from the method, and what the row is for."""

    why: str  # one line
    reading: Reading | None = None  # another way to read batches; None: the method's own
    values: Mapping[str, Any] = field(default_factory=dict)  # keys of the section that change


BATCHES: dict[str, Control] = {
    "pairs": Control("what batches of neighbouring tokens do by themselves, without a term", "pairs"),
    "contexts": Control("what batches of whole contexts do by themselves, without a term", "contexts"),
}
"""Of a method that reads single tokens."""


def shuffled(reading: Literal["pairs", "windows", "contexts"]) -> dict[str, Control]:
    """The twin of a method that reads neighbours: random tokens that it is told are neighbours.

    What the method gains over its twin is what the order of the text gives; what the twin gains too is
    regularisation. (ours; asked for by the shuffled-sequence controls of arXiv 2605.18229 and TempBench.)
    """
    why = "whether the term uses time: its neighbours are drawn at random, it is told they are neighbours"
    twins: dict[str, Reading] = {
        "pairs": "shuffled pairs", "windows": "shuffled windows", "contexts": "shuffled contexts"
    }  # fmt: skip
    return {"shuffled": Control(why, twins[reading])}
