"""The `toy` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class ToySection(Section):
    """The `toy` section."""

    above: float = Field(0.5, ge=0, description="a row's norm that counts as long")
    seed: int = Field(0, ge=0, description="seed of the untrained control")
