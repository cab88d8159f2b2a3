"""The claims as a page: claims.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.claims.ledger import Entry
from pipeline.claims.measured import Measurement
from pipeline.claims.verdict import Here
from pipeline.compare.escape import plain

HEAD = "| method | printed L0 | metric | where | printed | known fault | measured here | verdict |"


def page(found: Sequence[Entry], here: Here) -> str:
    """A table per paper; faults and reasons that many rows share stand once, numbered, below."""
    notes: list[str] = []
    blocks = ["# The source papers' numbers", *_opening(found, here)]
    for paper in dict.fromkeys(entry.system.paper for entry in found):
        rows = [entry for entry in found if entry.system.paper == paper]
        blocks.append(f"## {paper}: {rows[0].paper.title}\n{rows[0].paper.reference}. {_setting(rows)}")
        lines = [_line(entry, notes) for entry in rows]
        blocks.append("\n".join([HEAD, "|---|--:|---|---|--:|---|---|---|", *lines]))
    blocks += ["## Notes", "\n".join(f"{n}. {_plain(text)}" for n, text in enumerate(notes, 1))]
    return "\n\n".join(blocks) + "\n"


def _opening(found: Sequence[Entry], here: Here) -> list[str]:
    outcomes = Counter(entry.verdict.outcome for entry in found)
    counted = ", ".join(
        f"{outcomes[name]} {name}" for name in ("reproduced", "not reproduced", "not comparable")
    )
    return [
        f"Measured on profile `{here.profile}`: {_plain(here.model)}, layer {here.layer}, "
        f"dictionary size {here.n}, {here.tokens:,} training tokens. {len(found)} numbers: {counted}.",
        "A printed number and a measured one stand in one row for orientation; only a row with a verdict "
        "compares them. Measured: mean over seeds (lowest to highest seed), at the reached L0. `≈` before a "
        "metric's name: not the source's definition. How to read this page: docs/claims.md.",
    ]


def _setting(rows: Sequence[Entry]) -> str:
    """Where the rows' SAEs were trained, each setting once."""
    said = dict.fromkeys(
        f"{_or(entry.setting.model)}, layer {_or(entry.setting.layer)}, "
        f"dictionary size {_or(entry.setting.n)}"
        for entry in rows
    )
    return _plain("Measured there on: " + "; ".join(said) + ".")


def _or(value: object) -> str:
    return "not stated" if value is None else str(value)


def _line(entry: Entry, notes: list[str]) -> str:
    l0 = "" if entry.system.l0 is None else f"{entry.system.l0:g}"
    cells = [
        _plain(entry.system.method),
        l0,
        _plain(entry.metric.title),
        _plain(entry.claim.place),
        _plain(entry.claim.printed),
        _note(f"{entry.fault} ({entry.source})", notes),
        "; ".join(_by_metric(entry)) or f"none {_note(entry.absent, notes)}",
        f"{entry.verdict.outcome}: {_note(entry.verdict.why, notes)}",
    ]
    return "| " + " | ".join(cells) + " |"


def _by_metric(entry: Entry) -> list[str]:
    parts = []
    for name in entry.metric.ours:
        values = [each for each in entry.measured if each.metric == name]
        if values:
            sign = "" if entry.metric.same else "≈ "
            parts.append(f"{sign}{name.partition('/')[2]} " + ", ".join(_value(each) for each in values))
    return [_plain(part) for part in parts]


def _value(measured: Measurement) -> str:
    at = f"{measured.run} " if measured.target is None else ""
    at += "at L0 " + (f"{measured.l0:.3g}" if measured.l0 is not None else "unknown")
    if measured.mean is None or measured.low is None or measured.high is None:
        return f"missing {at} ({measured.reason})"
    spread = "one seed" if measured.seeds < 2 else f"{measured.low:.3g} to {measured.high:.3g}"
    return f"{measured.mean:.3g} ({spread}) {at}"


def _note(text: str, notes: list[str]) -> str:
    if text not in notes:
        notes.append(text)
    return f"[{notes.index(text) + 1}]"


def _plain(text: str) -> str:
    return plain(text, keep="`")
