"""study.yaml: questions in the order of what decides most, and the experiments that answer them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.params import Section, read_params

FILE = Path("study.yaml")


class Model(Section):
    """A language model: the profile's own with other parameters. Its texts and tasks are its own."""

    set: dict[str, Any] = Field({}, description="keys of params.yaml to values; `profile.` is the chosen one")
    hours: float = Field(0.0, ge=0, description="CPU-hours to train it, if it does not ship")


Asks = Literal["gain", "time", "part", "base"]
"""What a comparison is for: what a method improves and at what price, against the same without its idea;
whether time does it, against a twin on shuffled neighbours; which part of it; whether on another base too."""


class Comparison(Section):
    """Two rows, the first hoped to be better, and the headline numbers that decide."""

    asks: Asks = Field("gain", description="gain | time | part | base")

    row: str = Field(min_length=1, description="label of a row, for example `temporal`")
    against: str = Field(min_length=1, description="and of what it is held against, `temporal (shuffled)`")
    outcomes: list[str] = Field(min_length=1, description="headline names, docs/evaluations.md")


class Block(Section):
    """One question and the experiments for it."""

    question: str = Field(min_length=1, description="one sentence")
    overturned_by: str = Field(min_length=1, description="what result would overturn the finding")
    models: list[str] = Field(min_length=1, description="names of `models`")
    seeds: list[int] = Field(min_length=1, description="training seeds")
    variants: list[str] = Field(min_length=1, description="methods")
    evaluations: list[str] = Field(min_length=1, description="stages that measure")
    set: dict[str, Any] = Field({}, description="keys of params.yaml to values, as in a model")
    compared: list[Comparison] = Field([], description="what the question is decided by: one family")


class Study(Section):
    """The whole file."""

    version: Literal[1] = Field(1, description="of the file's form")
    profile: str = Field(description="the profile that all of it runs on")
    hours: float = Field(gt=0, description="CPU-hours at most; what does not fit is left out, from the end")
    models: dict[str, Model] = Field(min_length=1, description="by name")
    blocks: dict[str, Block] = Field(min_length=1, description="by name, the most decisive first")

    @model_validator(mode="after")
    def _known_models(self) -> Self:
        for name, block in self.blocks.items():
            if unknown := sorted(set(block.models) - set(self.models)):
                raise ValueError(f"block {name} names the model {unknown[0]!r}, which `models` lacks")
        return self


def read_study(path: Path = FILE) -> Study:
    """The study of the file at `path`; raises BadInput for a missing or wrong one."""
    return Study.parse(read_params(path).tree, path.stem, path.name)
