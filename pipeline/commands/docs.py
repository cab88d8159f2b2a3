"""Command `docs`: write into README.md and docs what the marks of their pages stand for.

Nothing but files that git keeps is read, so that a test can hold the pages against them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.console.errors import BadInput
from pipeline.handbook.marks import Mark, filled
from pipeline.handbook.tables import said
from pipeline.numbers.files import read_json
from pipeline.stages.common.files import INTERVALS, REPORT
from pipeline.study import page
from pipeline.study.answers import Answers
from pipeline.study.picture import picture

README = Path("README.md")


def run() -> None:
    """Rewrite the pages that differ from what was measured."""
    for path, text in written():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"Written: {path}", file=sys.stderr)
    if drawn := picture(Answers.read()):
        page.PICTURE.write_bytes(drawn)
        print(f"Written: {page.PICTURE}", file=sys.stderr)


def written(root: Path = Path()) -> Iterator[tuple[Path, str]]:
    """Each page of the repository at `root` with the text it should have; raises BadInput naming the page."""
    report = read_json(root / REPORT, "compare")
    printed, study = read_json(root / INTERVALS, "compare")["cells"], Answers.read(root)

    def content(mark: Mark) -> str | None:
        return page.said(mark, study, printed) or said(mark, report, root)

    for path in (root / README, *sorted((root / "docs").rglob("*.md"))):
        try:
            yield path, filled(path.read_text(encoding="utf-8"), content)
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None
