"""The `ground_truth` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.metrics.ground_truth.synthetic import SourceSection
from pipeline.params import Section


class GroundTruthSection(Section):
    """Section `ground_truth` of params.yaml: the source, and how every variant is trained on it."""

    seeds: list[int] = Field([0, 1], min_length=1, description="each draws a source, its tokens and weights")
    n: int = Field(256, gt=0, description="dictionary size; the default source has 192 true features")
    l0: list[int] = Field(
        [5, 6], min_length=1, description="L0 targets; the default source has 5.0 true features per token"
    )
    tokens: int = Field(160_000, gt=0, description="tokens encoded in training")
    batch: int = Field(256, gt=1, description="tokens per step")
    lr: float = Field(0.01, gt=0, description="peak learning rate, before a method's lr_scale")
    dead_tokens: int = Field(20_000, gt=0, description="a latent silent for this many tokens counts as dead")
    train_contexts: int = Field(2048, gt=0, description="contexts to train on")
    validation_contexts: int = Field(64, gt=0, description="contexts on which L0 and the guards are measured")
    test_contexts: int = Field(512, gt=0, description="contexts that are measured")
    source: SourceSection = Field(
        SourceSection.model_validate({}), description="sizes and rates of the synthetic source"
    )
