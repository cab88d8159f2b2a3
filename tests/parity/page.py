"""docs/parity.md: prose by hand above the mark, the tables below it from a run in which all passed."""

from __future__ import annotations

from pathlib import Path

from tests.parity.ledger import Ledger

MARK = "<!-- Written by `make parity-page`; what is below is replaced. -->"


def write_page(path: Path, ledger: Ledger) -> None:
    """Replace what follows `MARK` in `path` by the tables of `ledger`."""
    prose, mark, _ = path.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{path} has lost its mark"
    path.write_text("\n".join([prose + mark, "", *_compared(ledger), "", *_beside(ledger)]) + "\n", "utf-8")


def _compared(ledger: Ledger) -> list[str]:
    rows = [
        f"| {row.evaluation} | {row.quantity} | {row.comparisons:,} | {row.largest:.1e} | {row.rule} |"
        if row.rule != "equal"
        else f"| {row.evaluation} | {row.quantity} | {row.comparisons:,} | {int(row.largest)} | equal |"
        for row in ledger.table()
    ]
    total = sum(row.comparisons for row in ledger.table())
    return [
        "## Compared",
        "",
        f"{total:,} comparisons, over {len(rows)} quantities and four SAEs; all within their rule.",
        "",
        "| evaluation | quantity | comparisons | largest difference | rule |",
        "|---|---|---:|---:|---|",
        *rows,
    ]


def _beside(ledger: Ledger) -> list[str]:
    rows = [
        f"| {sae} | {quantity} | {compatible:.4f} | {right} | {value:.4f} |"
        for sae, quantity, compatible, right, value in ledger.beside
    ]
    return [
        "## Where SAEBench's value is not the right one",
        "",
        "On the same inputs. Core: ours under the compatible name equals SAEBench's. Dense probes: SAEBench",
        "takes the best epoch on the test texts, ours the best ridge on a fifth of the training texts.",
        "",
        "| SAE | SAEBench's field | SAEBench | ours, right | value |",
        "|---|---|---:|---|---:|",
        *rows,
    ]
