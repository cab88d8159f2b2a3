"""Every number of every SAE in one place, checked for belonging together.

Two sources of activations stand apart: `text`, the language model's, on which the SAEs of models/sae were
trained, and `truth`, those of evaluations that train SAEs of their own on activations whose features are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.compare.columns import L0, Column, Key, Reference, columns, definitions, references
from pipeline.compare.seeds import Summary, over_seeds, summarise
from pipeline.compare.tidy import tidy
from pipeline.console.errors import BadInput
from pipeline.results.definition import Definition
from pipeline.results.document import Results

MISS = 0.10
"""An SAE further than this share of its L0 target from it is not compared with the others."""

Name = Literal["text", "truth"]
SAE = ["variant", "label", "run", "target", "seed"]


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
    missed: bool  # for any seed, L0 lies more than `MISS` off the target, on validation or test tokens

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
        reached = self.values(self.l0.key) if self.columns else self.numbers
        saes = self.saes.merge(reached[["variant", "run", "seed", "value"]], how="left")
        far = (saes.value - saes.target).abs() > MISS * saes.target
        saes["missed"] = saes.diverged.isna() & saes.target.notna() & (far | saes.on_target.eq(False))
        return [
            Run(
                str(first.variant), label, name, None if np.isnan(first.target) else float(first.target),
                first.reading == "external", len(rows),
                rows.dropna(subset="diverged").set_index("seed").diverged.to_dict(), bool(rows.missed.any()),
            )
            for (label, name), rows in saes.groupby(["label", "run"], sort=False)
            for first in rows[:1].itertuples()
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


def gather(indices: Mapping[tuple[str, int], Sequence[Mapping[str, Any]]], found: Sequence[Results]) -> Scores:
    """Put together what the evaluations `found` on the SAEs of models/sae, listed by (variant, seed).

    Raises BadInput when an SAE of the index is missing, was measured on other weights by one evaluation
    than by another, or when two variants have other versions of a metric.
    """
    defined = definitions(found)
    numbers = tidy(found)
    listed = pd.DataFrame(
        [{"variant": variant, "seed": seed, "run": run["name"], "on_target": run["on_target"],
          "diverged": _diverged(run)}
         for (variant, seed), runs in indices.items() for run in runs],
        columns=["variant", "seed", "run", "on_target", "diverged"],
    )  # fmt: skip
    _complete(listed, found)
    trained = listed.merge(numbers[~numbers.own_saes].drop(columns="on_target"), on=["variant", "seed", "run"])
    _same_weights(trained)
    own = numbers[numbers.own_saes]
    own = own.assign(diverged=own.status.where(own.status == "diverged"))
    ordered = columns(defined)
    sources = {
        name: Source(name, *_sorted(rows), tuple(each for each in ordered if each.stage in set(rows.evaluation)))
        for name, rows in (("text", trained), ("truth", own))
    }
    return Scores(**sources, definitions=defined, references=references(defined))


def _diverged(run: Mapping[str, Any]) -> str | None:
    return str(run.get("reason") or "no reason given") if run.get("status") == "diverged" else None


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
                    f"run `dvc repro {stage}@{variant}`."
                )


def _same_weights(numbers: pd.DataFrame) -> None:
    saes = numbers.dropna(subset="sae_sha256")
    first = saes.groupby(["variant", "seed", "run"]).sae_sha256.transform("first")
    for row in saes[saes.sae_sha256 != first].itertuples():
        raise BadInput(
            f"{row.evaluation} was measured on other weights of {row.variant} than the evaluations before it "
            f"(seed {row.seed}, run {row.run}): run `dvc repro {row.evaluation}@{row.variant}`."
        )


def _sorted(numbers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The SAEs, those of a run together, and their numbers in the same order."""
    place = numbers.groupby(["variant", "run"], sort=False).ngroup()
    sae = numbers.groupby(["variant", "run", "seed"], sort=False).ngroup()
    order = numbers.assign(place=place, sae=sae).sort_values(["place", "sae", "evaluation", "metric"])
    numbers = order.drop(columns=["place", "sae"]).reset_index(drop=True)
    return numbers.drop_duplicates(["variant", "run", "seed"]).reset_index(drop=True), numbers
