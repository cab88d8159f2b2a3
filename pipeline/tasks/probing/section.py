"""The `probing_task` section of params.yaml."""

from __future__ import annotations

from pydantic import Field

from pipeline.params import Section

FEWEST = 10
"""Texts a class needs, so that each split has some."""


class ProbingTaskSection(Section):
    """`probing_task`: which labelled texts are kept, and how they are split."""

    seed: int = Field(0, ge=0, description="seed of the texts, the splits and the negatives")
    per_class: int = Field(150, ge=FEWEST, description="texts per class at most")
    max_tokens: int = Field(
        128, ge=4, description="tokens per text at most, BOS included; the rest is cut off"
    )
    validation: float = Field(
        0.1, gt=0, lt=0.5, description="share of each class's texts, for choosing probes"
    )
    test: float = Field(0.4, gt=0, lt=0.8, description="share of each class's texts, for the reported scores")
