"""The `slow_states` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class SlowStatesSection(Section):
    """`slow_states`: how the states that the text was written in are read from single latents."""

    batch_contexts: int = Field(16, ge=1, description="test contexts encoded at a time")
    dense: float = Field(
        0.3, gt=0, le=1, description="share of tokens above which a latent that fires on them counts as dense"
    )
    horizon: int = Field(32, ge=1, description="tokens after a change within which it can be detected")
    controls: int = Field(4, ge=1, description="places without a change, for each change, to start the clock")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples over documents")
    seed: int = Field(0, ge=0, description="seed of the controls and of the bootstrap")
