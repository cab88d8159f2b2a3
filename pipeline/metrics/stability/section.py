"""The `stability` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class StabilitySection(Section):
    """Section `stability` of params.yaml."""

    contexts: int = Field(
        128, ge=1, description="test contexts on which latents are seen firing, and their codes correlated"
    )
    batch_contexts: int = Field(16, ge=1, description="contexts encoded at a time")
    resamples: int = Field(1000, ge=1, description="bootstrap draws over latents")
    seed: int = Field(0, ge=0, description="of the bootstrap, the rotation and the shuffled tokens")
