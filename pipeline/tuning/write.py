"""Write tuned values into params.yaml, whose comments and layout stay."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter

from pipeline.tuning.search import Setting


def write_values(path: Path, place: str, values: Mapping[str, Setting]) -> None:
    """Put the values of each method under the dotted key `place` of the file at `path`."""
    yaml = _round_trip()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    node = tree
    for part in place.split("."):
        node = node[part]
    for variant, setting in values.items():
        node[variant] = _in_one_line(setting)
    text = StringIO()
    yaml.dump(tree, text)
    path.write_text(text.getvalue(), encoding="utf-8")


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 2**16  # no line is broken
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _WithNull
    return yaml


class _WithNull(RoundTripRepresenter):
    """null stays `null`, where ruamel.yaml would leave nothing."""

    def represent_none(self, data: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_WithNull.add_representer(type(None), _WithNull.represent_none)


def _in_one_line(setting: Setting) -> CommentedMap:
    line = CommentedMap({name: float(f"{value:.6g}") for name, value in setting})
    line.fa.set_flow_style()
    return line
