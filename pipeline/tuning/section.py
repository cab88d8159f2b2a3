"""The section `tune` of params.yaml: what `python -m pipeline tune` tries, one budget for all methods."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline.params import Section

Values = Annotated[list[float], Field(min_length=1)]

NEIGHBOURS = 2
"""Rates tried around the best one, at half and at twice its value."""


class TuneSection(Section):
    """Seed, budget, grids and rules of the search. Stated before it runs, and the same for all methods."""

    seed: int = Field(7, ge=0, description="of every trial; none that a result uses")
    trials: int = Field(12, ge=1, description="settings that any one method may try")
    lr_scale: Values = Field([0.5, 2.0, 8.0], description="tried first; then half and twice the best")
    values: dict[str, dict[str, Values]] = Field({}, description="what is tried of a method's own values")
    terms: dict[str, str] = Field(
        {},
        description="which value weighs a method's temporal term: chosen by persistence",
    )
    switches: dict[str, list[str]] = Field(
        {}, description="switches of a method that `ablate` turns on and off, one by one and all"
    )
    switch_seeds: list[int] = Field(
        [7, 8, 9], min_length=1, description="of `ablate`: rates with the first; none that a result uses"
    )
    cost: float = Field(
        0.01, ge=0, description="explained variance that a term may cost against its own weight 0"
    )
    same_variance: float = Field(0.001, ge=0, description="explained variances this close count as equal")
    same_persistence: float = Field(0.005, ge=0, description="the same for persistence by energy")

    @model_validator(mode="after")
    def _within_budget(self) -> Self:
        for variant, grids in self.values.items():
            most = len(self.lr_scale) + 2 * NEIGHBOURS + sum(map(len, grids.values()))
            if most > self.trials:
                raise ValueError(f"{variant} may need {most} trials, not the {self.trials} of each method")
        for variant, term in self.terms.items():
            if 0.0 not in self.values.get(variant, {}).get(term, []):
                raise ValueError(f"the term {variant}.{term} must be tried at weight 0, its control")
        return self
