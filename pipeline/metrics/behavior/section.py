"""The `behavior` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class BehaviorSection(Section):
    """The `behavior` section: what the behavior stage measures on."""

    contexts: int = Field(48, ge=1, description="test contexts at most, evenly spaced over the split")
    batch_contexts: int = Field(8, ge=1, description="contexts per forward pass; bounds memory (logits)")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples of contexts")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")
