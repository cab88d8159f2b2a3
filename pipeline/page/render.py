"""The page: one file with its style, its scripts and its data inside; nothing is loaded from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The browser itself refuses every request and every `eval`; Vega runs with its expression interpreter."""


def render(view: Mapping[str, Any]) -> str:
    """The HTML of `view`; every text of it is escaped, also inside the JSON that the script reads."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.j2").render(
        **view,
        policy=POLICY,
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=inline((FOLDER / "page.js").read_text(encoding="utf-8")),
        vega=inline(vl_convert.javascript_bundle()),  # type: ignore[call-arg]  # its stub lacks the default
    )


def inline(script: str) -> Markup:
    """A script of ours or the bundle's as the content of a script element, which it cannot end or hide."""
    return Markup(re.sub(r"<(?=/script|!--|script)", r"\\x3c", script, flags=re.IGNORECASE))
