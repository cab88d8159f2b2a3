"""Read params.yaml and hand it out section by section.

A stage takes only the sections it declares in dvc.yaml. Each hand-out raises the audit event
`pipeline.params` with the full key, which is how a test proves that nothing undeclared is read.
YAML 1.2 (ruamel), as DVC itself reads the file: `1e-3` is a number, `no` is a word. libyaml parses it where
ruamel.yaml.clib is installed, in a fifth of the time and to the same tree.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.console.errors import BadInput
from pipeline.params.section import Section

S = TypeVar("S", bound=Section)

TUNED = "tuned"
"""The word that stands in a method's section for the value that was tuned on the chosen profile."""
ABSENT = object()
OF_PROFILE = "profile.tuned"
"""Where those values are: a mapping from a method to its values."""


class Params:
    """The tree of params.yaml. Keys are dotted; a leading `profile.` means the chosen profile."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self._tree = tree

    @property
    def profile(self) -> str:
        """The chosen profile's name; raises BadInput when `profiles` has none of that name."""
        name = str(self.value("profile"))
        profiles = self._tree.get("profiles")
        known = list(profiles) if isinstance(profiles, Mapping) else []
        if name not in known:
            raise BadInput(
                f"params.yaml: profile `{name}` is unknown; choose one of {', '.join(map(str, known))}."
            )
        return name

    @property
    def tree(self) -> Mapping[str, Any]:
        """All of the file; for commands, not for stages, which read what they declare."""
        return self._tree

    def under(self, profile: str) -> Params:
        """The same file with another profile chosen."""
        return Params({**self._tree, "profile": profile})

    def keys(self) -> list[str]:
        """The keys at the top of the file."""
        return list(self._tree)

    def value(self, key: str) -> Any:
        """The plain value under a dotted `key`; raises BadInput when there is none."""
        key = self._full(key)
        found = self._find(key)
        if found is ABSENT:
            raise BadInput(f"params.yaml: `{key}` is missing.")
        return found

    def _find(self, key: str) -> Any:
        """What lies under the full `key`, or ABSENT; the read is announced."""
        sys.audit("pipeline.params", key)
        node: Any = self._tree
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return ABSENT
            node = node[part]
        return node

    def _full(self, key: str) -> str:
        if not key.startswith("profile."):
            return key
        return f"profiles.{self.profile}.{key.removeprefix('profile.')}"

    def get(self, key: str, schema: type[S], tuned: str = OF_PROFILE) -> S:
        """The section under `key`, validated by `schema`; the word `tuned` as in `section`."""
        return schema.parse(self.section(key, tuned), self._full(key))

    def section(self, key: str, tuned: str = OF_PROFILE) -> dict[str, Any]:
        """The plain values under `key`; where one is the word `tuned`, that of `{tuned}.{key}` counts.

        A value that was not tuned is left out, so that the schema's default counts, which is the
        literature's. Raises BadInput where either is no section.
        """
        values = self._mapping(self._full(key), self.value(key))
        asked = [name for name, value in values.items() if value == TUNED]
        found = self._tuned(key, tuned) if asked else {}
        plain = {name: value for name, value in values.items() if value != TUNED}
        return plain | {name: found[name] for name in asked if name in found}

    def _tuned(self, key: str, tuned: str) -> Mapping[str, Any]:
        where = self._full(f"{tuned}.{key}")
        found = self._find(where)
        return {} if found is ABSENT else self._mapping(where, found)

    @staticmethod
    def _mapping(key: str, values: Any) -> Mapping[str, Any]:
        if not isinstance(values, Mapping):
            raise BadInput(f"params.yaml: `{key}` must be a section, not {values!r}.")
        return values


def read_params(path: Path = Path("params.yaml")) -> Params:
    """Read `path`; raises BadInput when it is absent or not a YAML mapping."""
    try:
        tree = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} is not here: run from the repository root.") from None
    except YAMLError as error:
        raise BadInput(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(tree, Mapping):
        raise BadInput(f"{path} must be a mapping of sections.")
    return Params(tree)
