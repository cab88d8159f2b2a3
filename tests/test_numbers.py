"""No number of our own runs stands in README or docs that a command did not write there.

Such numbers stand between marks (pipeline/handbook/marks.py) and are those of files that git keeps. What is
written by hand may have params, formulas, bounds that a test holds, and numbers quoted from a named source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import times
from pipeline.commands.docs import written
from pipeline.handbook.marks import filled, without
from tests.common import ROOT

TUNING = ROOT / "docs/tuning"
"""Pages that `python -m pipeline tune --all` writes as a whole."""
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if TUNING not in page.parents),
]
BELOW = re.compile(r"^(<!-- )?Written by `(make|python) [^`]+`.*", re.DOTALL | re.MULTILINE)
"""The part of a page, or the whole of it, that a command writes."""

DECIMAL = r"(?<![\w.])-?\d*\.\d+\b(?!\.\d)"
SHARE = r"\d+(?:\.\d+)? ?%"
SCORE = re.compile(
    r"explained variance|\bEV\b|flicker|absor|\bF1\b|accurac|recover|\bscores?\b|\bAUC\b|kappa|Spearman"
    r"|\brho\b|cross-entropy|perplexity|nats|smoothness|\bdead\b|\bleak\b|\brecall\b|\bR²",
    re.IGNORECASE,
)
COST = re.compile(
    r"(?<![\w.])\d[\d,.]*(?: to [\d.]+)? ?"
    r"(?:CPU[- ]seconds|CPU[- ]s\b|seconds|s\b|ms\b|min\b|minutes|MB\b|GB\b)"
)
SOURCE = re.compile(r"\b\d{4}\.\d{5}\b|\(P\)|\bprint(s|ed)?\b|\bpapers?\b|released")
"""Of a sentence: it quotes another's number."""
GIVEN = re.compile(r"<!-- given -->")
"""In a paragraph or row: its numbers are choices or definitions, not results."""
SECTION = re.compile(r"<!-- given: [^>]+ -->")
"""The same for all that follows below its heading, with the reason."""


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Number of the first line and text of each paragraph, list item, table row and line of a block."""
    block: list[str] = []
    fenced, start = False, 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("```"):
            fenced = not fenced
        single = fenced or line.startswith("|")
        if block and (single or not line.strip() or re.match(r"\s*([-*]|\d+\.) |#", line)):
            yield start, " ".join(block)
            block = []
        if single:
            yield number, line
        elif line.strip():
            start = number if not block else start
            block.append(line.strip())


def measured(page: Path) -> Iterator[str]:
    """What looks like a result in the hand-written part of `page`."""
    text, exempt = without(BELOW.sub("", page.read_text(encoding="utf-8"))), False
    for number, paragraph in paragraphs(text):
        exempt = (exempt and not paragraph.startswith("#")) or bool(SECTION.search(paragraph))
        if not exempt and not GIVEN.search(paragraph) and is_result(paragraph):
            yield f"{page.relative_to(ROOT)}:{number}: {paragraph[:150]}"


def is_result(paragraph: str) -> bool:
    """Whether `paragraph` has a score or a cost with a number, or a row of numbers, that quotes nobody."""
    plain = re.sub(r"`[^`]*`|95 %", "", paragraph)
    numbers = re.findall(f"{DECIMAL}|{SHARE}", plain)
    if paragraph.startswith("|"):
        return len(numbers) > 2
    return any(
        not SOURCE.search(sentence) and _says_a_result(sentence)
        for sentence in re.split(r"(?<=[.;:]) ", plain)
    )


def _says_a_result(sentence: str) -> bool:
    score = SCORE.search(sentence) and re.search(f"{DECIMAL}|{SHARE}", sentence)
    return bool(score or COST.search(sentence))


@pytest.mark.parametrize(
    ("paragraph", "result"),
    [
        ("At L0 4 its explained variance is 0.945.", True),
        ("tsae lowers flicker by 12 %.", True),
        ("A variant costs 18 to 40 CPU-seconds.", True),
        ("| standard | .757 | .907 | .800 |", True),
        ("standard   4.01  0.945+-.002  0.998 absorption", True),
        ("Explained variance rises with L0.", False),
        ("Explained variance below 0 ends a run.", False),
        ("The averages decay with 0.99.", False),
        ("The paper prints an explained variance of 0.92.", False),
        ("Full absorption needs a projection share of `0.4`.", False),
        ("| `lr` | 0.004 | base learning rate |", False),
    ],
)
def test_the_rule_tells_results_from_choices(paragraph: str, result: bool) -> None:
    assert is_result(paragraph) == result


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_result_is_written_by_hand(page: Path) -> None:
    assert [*measured(page)] == []


def test_pages_show_what_the_reports_say() -> None:
    """After another run: `python -m pipeline docs`."""
    assert [str(page) for page, text in written(ROOT) if page.read_text(encoding="utf-8") != text] == []


def test_times_are_those_of_the_benchmarks() -> None:
    """After `make bench-run`: `python -m benchmarks page`."""
    (path,) = (ROOT / "docs/benchmarks").glob("*.json")
    found = times.figures(json.loads(path.read_text(encoding="utf-8"))["run"])
    for page in times.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert filled(text, lambda mark: found.get(mark.name)) == text
