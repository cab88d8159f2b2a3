"""One latent at the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

BARS = " ▁▂▃▄▅▆▇█"


def show(title: str, record: dict[str, Any], words: list[str], text: list[int]) -> None:
    """Print a record of pipeline/latents; tokens are text, never markup, shaded by activation."""
    console = Console(highlight=False)
    flicker = "unknown" if record["flicker"] is None else f"{record['flicker']:.3f}"
    console.print(Text(f"{title}, latent {record['latent']}", style="bold"))
    console.print(f"density {record['density']:.4g}   peak {record['peak']:.4g}   flicker {flicker}")
    console.print(Text(f"activations 0 to peak  {bars(record['histogram'])}"))
    console.print(_lists(record, words))
    for context in record["contexts"]:
        line = Text(f"{context['value']:9.3f}  ", style="dim")
        console.print(line + shaded([words[each] for each in context["words"]], context["shades"]))
    if not record["contexts"]:
        console.print("It never fires on the test split.")
    console.print(Text("\non the shared text", style="dim"))
    console.print(shaded([words[each] for each in text], record["text"]))


def bars(counts: list[int]) -> str:
    """The histogram as one line of blocks; any count above zero is seen."""
    top = max(counts, default=0)
    return "".join(BARS[-(-count * (len(BARS) - 1) // top) if top else 0] for count in counts)


def shaded(words: list[str], shades: list[int]) -> Text:
    """`words` with a background that is stronger the stronger the activation."""
    line = Text()
    for word, shade in zip(words, shades, strict=True):
        level = round(shade * 1.6)
        style = f"black on rgb(255,{230 - level},{170 - level})" if shade else ""
        line.append(word, style=style).append(" ")
    return line


def _lists(record: dict[str, Any], words: list[str]) -> Table:
    table = Table(
        "promotes", "", "suppresses", "", "decoder neighbours", "cosine", box=None, header_style="dim"
    )
    rows = max(len(record[name]) for name in ("promoted", "suppressed", "neighbours"))
    for place in range(rows):
        cells: list[Text] = []
        for name in ("promoted", "suppressed", "neighbours"):
            entry = record[name][place] if place < len(record[name]) else None
            shown = "" if entry is None else str(entry[0]) if name == "neighbours" else words[entry[0]]
            cells += [Text(shown), Text("" if entry is None else f"{entry[1]:.3f}")]
        table.add_row(*cells)
    return table
