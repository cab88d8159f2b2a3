"""The `reconstruction` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section


class ReconstructionSection(Section):
    """The `reconstruction` section: what the reconstruction stage measures on."""

    batch_contexts: int = Field(
        16, ge=1, description="contexts per batch; SAEBench's batch-wise formulas (mse_saebench) depend on it"
    )
    temporal_contexts: int = Field(
        512,
        ge=1,
        description="at most this many test contexts for the temporal metrics; they are held in memory",
    )
    dead_tokens: int = Field(
        50_000, ge=1, description="a latent that is silent on so many tokens of the train split is dead"
    )
    window: int = Field(128, ge=2, description="tokens of a context per window of the activation variance")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples of contexts")
    seed: int = Field(0, ge=0, description="seed of the bootstrap and of the shuffled control")
