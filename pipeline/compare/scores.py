"""Every number of every SAE in one place, checked for belonging together.

Two sources of activations stand apart: `text`, the language model's, on which the SAEs of models/sae were
trained, and `truth`, that of evaluations which train SAEs of their own, on activations of known features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.compare.columns import L0, Column, Key, Reference, definitions, headlines, references
from pipeline.compare.seeds import Summary, over_seeds, summarise
from pipeline.compare.tidy import SAE, tidy
from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Definition
from pipeline.numbers.document import Results, stage_of
from pipeline.sae.core.index import EXTERNAL, TOLERANCE
from pipeline.sae.core.index import Run as Trained

Name = Literal["text", "truth"]


def each_row(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of `table` as named tuples."""
    return table.itertuples()


@dataclass(frozen=True)
class Run:
    """One row of a table: the SAEs of one label and run, all seeds."""

    variant: str
    label: str
    name: str
    target: float | None
    external: bool  # trained elsewhere
    seeds: int
    diverged: Mapping[int, str]  # seed: reason
    missed: bool  # for any seed, L0 lies more than `TOLERANCE` off the target, on validation or test tokens

    @property
    def control(self) -> bool:
        """Whether it is a variant's control, which its label says in brackets."""
        return self.label != self.variant


@dataclass(frozen=True)
class Source:
    """The SAEs of one source of activations and what is measured on them.

    `saes`: a row per SAE in the table's order. `numbers`: a row per SAE and metric, in that order, then by
    name; the columns of pipeline/compare/tidy.py.
    """

    name: Name
    saes: pd.DataFrame
    numbers: pd.DataFrame
    columns: tuple[Column, ...]

    @property
    def l0(self) -> Column:
        """How sparse the SAEs are."""
        return next(column for column in self.columns if column.name == L0)

    @property
    def scores(self) -> tuple[Column, ...]:
        """All columns but L0."""
        return tuple(column for column in self.columns if column.name != L0)

    @cached_property
    def over_seeds(self) -> pd.DataFrame:
        """A row per run and metric."""
        return over_seeds(self.numbers)

    @cached_property
    def _summaries(self) -> dict[tuple[str, str, str, str], Summary]:
        return summarise(self.over_seeds)

    def summary(self, run: Run, key: Key) -> Summary:
        """The number under `key` over the seeds of `run`."""
        absent = Summary(of=run.seeds, reasons=(f"the {key[0]} stage gives no {key[1]}",))
        return self._summaries.get((run.label, run.name, *key), absent)

    def values(self, key: Key) -> pd.DataFrame:
        """The numbers under `key`, a row per SAE in the order of `saes`."""
        return self.numbers[(self.numbers.evaluation == key[0]) & (self.numbers.metric == key[1])]

    @cached_property
    def runs(self) -> list[Run]:
        """The rows in the table's order."""
        if self.saes.empty:
            return []
        reached = self.values(self.l0.key)
        saes = self.saes.merge(
            reached[["variant", "run", "seed", "value"]], how="left", on=["variant", "run", "seed"]
        )
        far = (saes.value - saes.target).abs() > TOLERANCE * saes.target
        saes["missed"] = saes.diverged.isna() & saes.target.notna() & (far | saes.on_target.eq(False))
        return [
            Run(
                first.variant, first.label, first.run, None if np.isnan(first.target) else first.target,
                first.reading == EXTERNAL, len(rows), _diverged(rows), bool(rows.missed.any()),
            )
            for _, rows in saes.groupby(["label", "run"], sort=False)
            for first in each_row(rows[:1])
        ]  # fmt: skip

    @property
    def targets(self) -> list[float]:
        """The L0 targets, rising."""
        return sorted(self.saes.target.dropna().unique())


@dataclass(frozen=True)
class Scores:
    """All SAEs, their numbers, and what these mean."""

    text: Source
    truth: Source
    definitions: Mapping[Key, Definition]
    references: Sequence[Reference] = field(default_factory=list)

    def __iter__(self) -> Iterator[Source]:
        return iter((self.text, self.truth))


def gather(indices: Mapping[tuple[str, int], Sequence[Trained]], found: Sequence[Results]) -> Scores:
    """Put together what the evaluations `found` on the SAEs of models/sae, listed by (variant, seed).

    Raises BadInput when an SAE of the index is missing, was measured on other weights by one evaluation
    than by another, or when two variants have other versions of a metric.
    """
    defined = definitions(found)
    numbers = tidy(found)
    listed = pd.DataFrame(
        [(variant, seed, run.name) for (variant, seed), runs in indices.items() for run in runs],
        columns=["variant", "seed", "run"],
    )
    # the seeds of a run together, where it first appears
    listed = listed.loc[
        listed.groupby(["variant", "run"], sort=False).ngroup().sort_values(kind="stable").index
    ]
    _complete(listed, found)
    trained = listed.merge(numbers[~numbers.own_saes], on=["variant", "seed", "run"])
    _same_weights(trained)
    every = headlines(defined)
    text, truth = _source("text", trained, every), _source("truth", numbers[numbers.own_saes], every)
    return Scores(text, truth, defined, references(defined))


def _source(name: Name, numbers: pd.DataFrame, every: Sequence[Column]) -> Source:
    """The SAEs in order of first appearance, and their numbers in the same order, then by name."""
    sae = numbers.groupby(["variant", "run", "seed"], sort=False).ngroup()
    order = numbers.assign(sae=sae).sort_values(["sae", "evaluation", "metric"])
    numbers = order.drop(columns="sae").reset_index(drop=True)
    saes = numbers[list(SAE)].drop_duplicates(["variant", "run", "seed"]).reset_index(drop=True)
    stages = set(numbers.evaluation)
    columns = tuple(column for column in every if column.stage in stages)
    if stages and L0 not in [column.name for column in columns]:
        raise BadInput(
            f"Of {', '.join(sorted(stages))}, no evaluation gives the L0 of the SAEs: run `dvc repro`."
        )
    return Source(name, saes, numbers, columns)


def _diverged(saes: pd.DataFrame) -> dict[int, str]:
    return {sae.seed: sae.diverged for sae in each_row(saes) if pd.notna(sae.diverged)}


def _complete(listed: pd.DataFrame, found: Sequence[Results]) -> None:
    for results in found:
        if results.own_saes:
            continue
        measured = {(row.identity.seed, row.identity.run) for row in results.rows}
        stage, variant = results.evaluation, results.variant
        for seed, run in listed[listed.variant == variant][["seed", "run"]].itertuples(index=False):
            if (seed, run) not in measured:
                raise BadInput(
                    f"The results of {stage} for {variant} have no row for seed {seed}, run {run}: "
                    f"run `dvc repro {results.stage}`."
                )


def _same_weights(numbers: pd.DataFrame) -> None:
    saes = numbers.dropna(subset="sae_sha256")
    first = saes.groupby(["variant", "seed", "run"]).sae_sha256.transform("first")
    for row in each_row(saes[saes.sae_sha256 != first]):
        stage = stage_of(row.evaluation, row.variant, row.reading == EXTERNAL)
        raise BadInput(
            f"{row.evaluation} was measured on other weights of {row.variant} than the evaluations before it "
            f"(seed {row.seed}, run {row.run}): run `dvc repro {stage}`."
        )
