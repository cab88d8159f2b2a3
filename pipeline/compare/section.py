"""The section `compare` of params.yaml: what is asked before a number is seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.params import Section


class Comparison(Section):
    """One row against another, named before the run."""

    variant: str = Field(description="the row that is judged, by its label")
    against: str = Field(description="the row that it is judged against: its control, twin or base")
    outcomes: list[str] = Field(min_length=1, description="headline names")


class CompareSection(Section):
    """Comparisons named in advance, and what counts as equal."""

    family: list[Comparison] = Field(
        description="judged before all other pairs, one family per outcome over all L0 targets"
    )
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(
        description="headline name: a difference smaller than it counts as equal; none: never shown equal"
    )
