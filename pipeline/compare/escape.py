"""Text inside Markdown."""

from __future__ import annotations


def plain(text: str, keep: str = "") -> str:
    """`text` with the characters escaped that Markdown or HTML would take for markup, but those in `keep`."""
    for character in "\\|*_`~[":
        if character not in keep:
            text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", " ")
