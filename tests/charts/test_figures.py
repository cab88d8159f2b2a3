"""Pictures: real PNGs, the same bytes on every run, nothing else in them; specifications that are valid."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from typing import Any

import altair as alt
import pytest
import vl_convert

from pipeline.charts.figures import ARRANGED, arranged, embedded, figures, panels
from pipeline.charts.look import FONT
from pipeline.charts.panel import sentence
from tests.charts import made
from tests.common import ROOT


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return figures(made.tables(), made.COLUMNS)


def test_every_chart_is_a_picture_and_nothing_else(pictures: dict[str, bytes]) -> None:
    assert list(pictures) == ["pareto", "training", "letters", "ground_truth", "persistence"]
    for picture in pictures.values():
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert not any(chunk in picture for chunk in (b"tEXt", b"iTXt", b"tIME"))


def test_another_process_draws_the_same_bytes(pictures: dict[str, bytes]) -> None:
    code = (
        "from hashlib import sha256\n"
        "from pipeline.charts.figures import figures\n"
        "from tests.charts import made\n"
        "for png in figures(made.tables(), made.COLUMNS).values(): print(sha256(png).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [sha256(png).hexdigest() for png in pictures.values()]


def test_the_font_of_pictures_is_inside_the_library() -> None:
    """A picture in a font that no machine has would be drawn in whatever is found."""
    text = "<text y='15' font-family='{}'>gated</text>"
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' width='60' height='20'>{text}</svg>"
    drawn = [vl_convert.svg_to_png(svg.format(font)) for font in (FONT.split(",")[0], "No Such Font")]
    assert drawn[0] != drawn[1]


@pytest.fixture(scope="module")
def specifications() -> dict[str, dict[str, Any]]:
    drawn = panels(made.tables(), made.COLUMNS)
    pictured = {f"{name} as a picture": arranged(drawn[name], place) for name, place in ARRANGED.items()}
    paged = {f"{name} in the page": embedded(each[0]) for name, each in drawn.items()}
    return {**pictured, **paged, "sentence": embedded(sentence("Nothing."))}


def test_specifications_are_valid(specifications: dict[str, dict[str, Any]]) -> None:
    """Against Vega-Lite's JSON schema, as Altair ships it: drawing leaves that check out."""
    for spec in specifications.values():
        alt.Chart.from_dict(spec, validate=True)


def test_specifications_name_no_address_and_no_look(specifications: dict[str, dict[str, Any]]) -> None:
    for spec in specifications.values():
        assert "http" not in str(spec)
        assert "config" not in spec
