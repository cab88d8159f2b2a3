"""Command `docs`: write into README.md and docs what the marks of their pages stand for.

Nothing but files that git keeps is read, so that a test can hold the pages against them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.console.errors import BadInput
from pipeline.handbook.marks import filled
from pipeline.handbook.tables import said
from pipeline.numbers.files import read_json
from pipeline.stages.common.files import REPORT

README = Path("README.md")


def run() -> None:
    """Rewrite the pages that differ from what was measured."""
    for page, text in written():
        if page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            print(f"Written: {page}", file=sys.stderr)


def written(root: Path = Path()) -> Iterator[tuple[Path, str]]:
    """Each page of the repository at `root` with the text it should have; raises BadInput naming the page."""
    report = read_json(root / REPORT, "compare")
    for page in (root / README, *sorted((root / "docs").rglob("*.md"))):
        try:
            yield page, filled(page.read_text(encoding="utf-8"), lambda mark: said(mark, report, root))
        except BadInput as error:
            raise BadInput(f"{page}: {error}") from None
