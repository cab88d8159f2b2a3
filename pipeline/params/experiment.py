"""What an experiment consists of: its methods, its seeds, SAEs trained elsewhere, files of the user.

One function per key, because a stage reads only the keys that it declares; `Experiment.read` for the
stages that gather everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from pipeline.console.errors import BadInput
from pipeline.params.read import Params
from pipeline.params.section import Section

UNUSED = "none"
"""The file name that stands for "not used" in `inputs`."""


class Inputs(Section):
    """Files of the user; `data/none` where there is none."""

    model: str = Field(description="a Hugging Face model folder")
    text: str = Field(description="a text file or a folder of them")
    labels: str = Field(description="a CSV file or a folder of them: columns text, label")


@dataclass(frozen=True)
class Experiment:
    """The rows of the comparison."""

    profile: str
    variants: list[str]
    seeds: list[int]
    external: list[str]

    @property
    def names(self) -> list[str]:
        """All of them, those trained elsewhere last."""
        return [*self.variants, *self.external]

    @classmethod
    def read(cls, params: Params) -> Self:
        """From params.yaml; raises BadInput for the first fault."""
        return cls(params.profile, variants(params), seeds(params), external(params, variants(params)))


def variants(params: Params) -> list[str]:
    """The training methods."""
    return _distinct(params, "variants", str)


def seeds(params: Params) -> list[int]:
    """The training seeds."""
    return _distinct(params, "seeds", int)


def external(params: Params, taken: list[str]) -> list[str]:
    """Names of the SAEs trained elsewhere, none of them among the variants `taken`."""
    values = params.value("external")
    if not isinstance(values, Mapping):
        raise BadInput(f"params.yaml: `external` must be a section ({{}} for none), not {values!r}.")
    for name in values:
        if name in taken:
            raise BadInput(
                f"params.yaml: `external` and `variants` both name {name!r}; rename the external one."
            )
    return [str(name) for name in values]


def input_path(params: Params, name: Literal["model", "text", "labels"]) -> Path:
    """The file or folder under `inputs`, which may be the one that stands for none (UNUSED)."""
    value = params.value(f"inputs.{name}")
    if not isinstance(value, str):
        raise BadInput(f"params.yaml: `inputs.{name}` must be a path, not {value!r}; `data/none` for none.")
    return Path(value)


def _distinct(params: Params, key: str, kind: type) -> list[Any]:
    values = params.value(key)
    if not isinstance(values, list) or not values or any(type(value) is not kind for value in values):
        raise BadInput(
            f"params.yaml: `{key}` must be a list of at least one {kind.__name__}, not {values!r}."
        )
    if len(set(values)) < len(values):
        raise BadInput(f"params.yaml: `{key}` names one of its items twice: {values!r}.")
    return list(values)
