"""Marks: what a command writes into a page stands between `<!-- NAME -->` and `<!-- /NAME -->`.

A name may be followed by what it is asked for: `<!-- table: truth; rows: atm -->` ends at `<!-- /table -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

MARK = re.compile(r"<!-- (?P<name>[\w-]+)(?P<asked>:[^>]*?)? -->.*?<!-- /(?P=name) -->", re.DOTALL)


@dataclass(frozen=True)
class Mark:
    """One mark: its `name`, the first thing that it is `asked` for, and the options after it."""

    name: str
    asked: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def names(self, option: str) -> list[str]:
        """The names that `option` lists; none: all are meant."""
        return [name.strip() for name in self.options.get(option, "").split(",") if name.strip()]


def filled(text: str, said: Callable[[Mark], str | None]) -> str:
    """`text` with what is `said` in each mark; None leaves what stands there."""

    def replaced(match: re.Match[str]) -> str:
        content = said(_mark(match))
        if content is None:
            return match[0]
        return f"<!-- {match['name']}{match['asked'] or ''} -->{content}<!-- /{match['name']} -->"

    return MARK.sub(replaced, text)


def marks(text: str) -> Iterator[Mark]:
    """The marks of `text`, in order."""
    return (_mark(match) for match in MARK.finditer(text))


def without(text: str) -> str:
    """`text` with nothing between its marks: what was written by hand. Lines keep their numbers."""
    return MARK.sub(lambda match: "\n" * match[0].count("\n"), text)


def _mark(match: re.Match[str]) -> Mark:
    first, *rest = (match["asked"] or ":")[1:].split(";")
    pairs = (part.partition(":") for part in rest)
    return Mark(match["name"], first.strip(), {key.strip(): value.strip() for key, _, value in pairs})
