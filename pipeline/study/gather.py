"""The numbers of all blocks as tables that are committed: a row per SAE, a column per headline number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.numbers.definition import Definition
from pipeline.numbers.document import Identity
from pipeline.numbers.table import Columns, read_table, write_table
from pipeline.study.found import Held
from pipeline.study.workspace import Workspace

FOLDER, COMMAND = Path("study"), "study"
TEXT, TRUTH = "text", "truth"
"""The tables: SAEs of a language model's activations, and those of a source whose truth is known."""
SOURCE = "source"
"""What stands for the language model of the latter."""

WHO: Columns = {
    "block": str, "model": str, "variant": str, "label": str, "seed": int, "target": int, "run": str,
    "status": str, "on_target": str,
}  # fmt: skip
"""Which SAE a row is about."""
MEANING: Columns = {
    "table": str, "name": str, "title": str, "better": str, "decimals": int, "order": int, "definition": str,
}  # fmt: skip
KEY = ["model", "label", "seed", "run"]


def met(rows: pd.DataFrame) -> pd.Series:
    """Whether each SAE is whole and at its L0 target."""
    return (rows.status == "ok") & (rows.on_target == "yes")


def gather(found: Iterable[tuple[Workspace, Held]]) -> dict[str, pd.DataFrame]:
    """The tables of what workspaces hold, and `columns`: what the numbers mean.

    A SAE that two blocks share has a row in each: a block's rows are all that its question is answered by.
    """
    rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {TEXT: {}, TRUTH: {}}
    meaning: dict[tuple[str, str], dict[str, Any]] = {}
    for space, held in found:
        for table, identity, values, definitions in _measured(held):
            model = SOURCE if table == TRUTH else space.model
            key = (space.block, model, identity.label, identity.seed, identity.run)
            rows[table].setdefault(key, _who(space, model, identity)).update(values)
            for each in definitions:
                meaning.setdefault((table, str(each["name"])), {"table": table, **each})
    columns = pd.DataFrame(meaning.values(), columns=list(MEANING)).sort_values(["table", "order", "name"])
    tables = {"columns": columns}
    for table, named in rows.items():
        names = columns[columns.table == table]["name"]
        tables[table] = pd.DataFrame(named.values(), columns=[*WHO, *names]).sort_values(["block", *KEY])
    return tables


def _measured(
    held: Held,
) -> Iterator[tuple[str, Identity, dict[str, float | None], list[dict[str, Any]]]]:
    """Of every evaluation and SAE: its table, who it is, its headline numbers and what they mean."""
    for results in held.results.values():
        shown = [each for each in results.definitions.values() if each.headline is not None]
        table = TRUTH if results.own_saes else TEXT
        meaning = [_meaning(each) for each in shown]
        for row in results.rows:
            pairs = zip(meaning, shown, strict=True)
            numbers = {str(m["name"]): row.numbers[each.name].value for m, each in pairs}
            yield table, row.identity, numbers, meaning


def _meaning(definition: Definition) -> dict[str, Any]:
    headline = definition.headline
    assert headline is not None
    return {
        "name": headline.name, "title": headline.title, "better": definition.better,
        "decimals": headline.decimals, "order": headline.order, "definition": definition.definition,
    }  # fmt: skip


def _who(space: Workspace, model: str, identity: Identity) -> dict[str, Any]:
    on_target = "" if identity.on_target is None else "yes" if identity.on_target else "no"
    return {
        "block": space.block, "model": model, "variant": identity.variant, "label": identity.label,
        "seed": identity.seed, "target": identity.target, "run": identity.run, "status": identity.status,
        "on_target": on_target,
    }  # fmt: skip


def write(tables: Mapping[str, pd.DataFrame]) -> None:
    """Write them into the folder `study`."""
    write_table(FOLDER / "columns.tsv", MEANING, tables["columns"])
    for name in (TEXT, TRUTH):
        write_table(FOLDER / f"{name}.tsv", _columns(tables["columns"], name), tables[name])


def read(root: Path = Path()) -> dict[str, pd.DataFrame]:
    """What `write` wrote in the repository at `root`; raises BadInput where it is missing or damaged."""
    columns = read_table(root / FOLDER / "columns.tsv", MEANING, COMMAND)
    tables = {
        name: read_table(root / FOLDER / f"{name}.tsv", _columns(columns, name), COMMAND)
        for name in (TEXT, TRUTH)
    }
    return {"columns": columns, **tables}


def _columns(meaning: pd.DataFrame, table: str) -> Columns:
    return {**WHO, **dict.fromkeys(meaning[meaning.table == table]["name"], float)}
