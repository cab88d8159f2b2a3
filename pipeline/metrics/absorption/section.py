"""The `absorption` section of params.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.params import Section

Rule = Literal["mean_difference", "l1_probe"]


class AbsorptionSection(Section):
    """`absorption`: how first-letter absorption is measured. Defaults are SAEBench 0.6.0's."""

    selection: Rule = Field(
        "mean_difference",
        description="latents of the k-sparse probes: `mean_difference` or SAEBench's `l1_probe`",
    )
    max_k: int = Field(10, ge=1, le=100, description="largest number of latents of a letter's probe")
    f1_jump: float = Field(0.03, ge=0, le=1, description="rise of F1 that makes one latent more a split")
    min_probe_f1: float = Field(
        0.6, ge=0, lt=1, description="letters whose linear probe has no more are dropped"
    )
    min_letters: int = Field(20, ge=1, le=26, description="letters that must be kept for a result")
    ablation_words: int = Field(
        100, ge=26, description="words per SAE at most whose latents are ablated one by one"
    )
    ablation_gap: float = Field(
        1.0, ge=0, description="logits by which an ablated latent's effect must lead the second largest"
    )
    resamples: int = Field(1000, ge=100, description="bootstrap resamples over words")
    seed: int = Field(0, ge=0, description="seed of the controls and of the bootstrap")
