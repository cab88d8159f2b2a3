"""The tables and figures as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.report.differences import Chapter
from pipeline.report.headline import ARROW
from pipeline.report.table import Report

TEMPLATE = "page.html.j2"


def page(
    title: str,
    report: Report,
    chapters: Sequence[Chapter],
    caption: Sequence[str],
    notes: Sequence[str],
    figures: Mapping[str, bytes],
) -> str:
    """The page; `figures` are PNG bytes by their captions, embedded. Everything else is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    embedded = {name: base64.b64encode(png).decode("ascii") for name, png in figures.items()}
    return environment.get_template(TEMPLATE).render(
        title=title,
        report=report,
        chapters=chapters,
        caption=caption,
        notes=notes,
        figures=embedded,
        arrow=ARROW,
    )
