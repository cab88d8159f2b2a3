"""results.json: what an evaluation measured on each SAE of one variant, with the meaning of every number.

The tables beside it are declared in it with their columns' types, so that a reader needs the folder only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Definition
from pipeline.numbers.files import damaged, read_json, write_json
from pipeline.numbers.number import Number, all_missing
from pipeline.numbers.table import NAMES, Columns, read_table, write_table

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 2
NAME = "results.json"
WHICH: Columns = {"label": str, "seed": int, "run": str}
"""The first columns of every table: which SAE a row belongs to."""


@dataclass(frozen=True)
class Identity:
    """Which SAE a row is about."""

    variant: str
    label: str
    seed: int
    reading: str
    target: float | None  # the L0 asked for
    run: str
    status: str  # ok or diverged
    reason: str | None  # why it diverged
    l0: float | None  # on the validation split
    on_target: bool | None
    sae_sha256: str | None
    model: str
    layer: int | None
    n: int
    d: int


@dataclass(frozen=True)
class Row:
    """One SAE and its numbers by the names of their definitions."""

    identity: Identity
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class Measured:
    """What was measured on one SAE: numbers by name, and its rows of each table."""

    numbers: Mapping[str, Number]
    tables: Mapping[str, Iterable[Mapping[str, Any]]] = field(default_factory=dict)


def nothing(definitions: Iterable[Definition], reason: str) -> Measured:
    """Every number missing, for one reason."""
    return Measured(all_missing([each.name for each in definitions], reason))


@dataclass(frozen=True)
class Results:
    """The results of one evaluation of one variant. Raises ValueError for a number without a definition."""

    evaluation: str
    variant: str
    definitions: Mapping[str, Definition]
    rows: tuple[Row, ...]
    tables: Mapping[str, Columns] = field(default_factory=dict)  # files beside results.json
    own_saes: bool = False  # measured on SAEs that the evaluation trained itself, not those of models/sae
    section: Mapping[str, Any] = field(default_factory=dict)  # its parameters

    @property
    def stage(self) -> str:
        """The stage of dvc.yaml that wrote it."""
        elsewhere = any(row.identity.reading == "external" for row in self.rows)
        return stage_of(self.evaluation, self.variant, elsewhere)

    def __post_init__(self) -> None:
        for row in self.rows:
            if unknown := set(row.numbers) - set(self.definitions):
                raise ValueError(f"{self.evaluation}: no definition for {sorted(unknown)}")


def stage_of(evaluation: str, variant: str, elsewhere: bool = False) -> str:
    """The stage of dvc.yaml that evaluates `variant`, an SAE trained `elsewhere` or a method trained here."""
    return f"{evaluation}{'_external' if elsewhere else ''}@{variant}"


def train_stage(variant: str, seed: int) -> str:
    """The stage of dvc.yaml that trains the SAEs of a method and seed."""
    return f"train@{variant}-{seed}"


def write_results(folder: Path, results: Results) -> None:
    """Write results.json into `folder`."""
    write_json(
        folder / NAME,
        {
            "schema": SCHEMA,
            "evaluation": results.evaluation,
            "variant": results.variant,
            "own_saes": results.own_saes,
            "section": results.section,
            "metrics": {name: _given(each) for name, each in results.definitions.items()},
            "tables": {
                name: [{"name": column, "type": NAMES[kind]} for column, kind in columns.items()]
                for name, columns in results.tables.items()
            },
            "rows": [_row(row) for row in results.rows],
        },
    )


def write_measured(
    folder: Path, evaluation: str, variant: str, definitions: Iterable[Definition],
    tables: Mapping[str, Columns], found: Sequence[tuple[Identity, Measured]], section: Mapping[str, Any],
    own_saes: bool = False,
) -> None:  # fmt: skip
    """Write results.json and `tables` into `folder`, each of whose rows begins with the columns of `WHICH`.

    `section`: the parameters that were measured with.
    """
    declared = {file: {**WHICH, **columns} for file, columns in tables.items()}
    rows = tuple(Row(identity, measured.numbers) for identity, measured in found)
    defined = {each.name: each for each in definitions}
    write_results(folder, Results(evaluation, variant, defined, rows, declared, own_saes, section))
    for file, columns in declared.items():
        write_table(folder / file, columns, chain.from_iterable(_labelled(file, *each) for each in found))


def _labelled(file: str, identity: Identity, measured: Measured) -> Iterator[Mapping[str, Any]]:
    which = {column: getattr(identity, column) for column in WHICH}
    return ({**which, **row} for row in measured.tables.get(file, ()))


def read_results(folder: Path, stage: str) -> Results:
    """What `stage` wrote into `folder`; raises BadInput when it is missing, damaged or of another schema."""
    path = folder / NAME
    content = read_json(path, stage)
    try:
        if content["schema"] != SCHEMA:
            raise BadInput(f"{path} has schema {content['schema']!r}, not {SCHEMA}: run `dvc repro {stage}`.")
        return Results(
            content["evaluation"],
            content["variant"],
            {name: Definition.parsed(each) for name, each in content["metrics"].items()},
            tuple(_parsed(row) for row in content["rows"]),
            {name: _columns(columns) for name, columns in content["tables"].items()},
            content["own_saes"],
            content["section"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, stage, f"{type(error).__name__}: {error}") from None


def read_beside(folder: Path, results: Results, table: str) -> DataFrame:
    """The `table` that lies beside `results` in `folder`."""
    if table not in results.tables:
        raise BadInput(f"{folder} declares no table {table}: run `dvc repro -f {results.stage}`.")
    return read_table(folder / table, results.tables[table], results.stage)


def _given(definition: Definition) -> dict[str, Any]:
    """`definition` without the places where it is not shown."""
    return {name: value for name, value in asdict(definition).items() if value is not None}


def _row(row: Row) -> dict[str, Any]:
    numbers = {name: asdict(number) for name, number in sorted(row.numbers.items())}
    return {**asdict(row.identity), "metrics": numbers}


def _parsed(row: Mapping[str, Any]) -> Row:
    identity = Identity(**{each.name: row[each.name] for each in fields(Identity)})
    return Row(identity, {name: Number(**value) for name, value in row["metrics"].items()})


def _columns(columns: list[Mapping[str, str]]) -> Columns:
    kinds = {name: kind for kind, name in NAMES.items()}
    return {column["name"]: kinds[column["type"]] for column in columns}
