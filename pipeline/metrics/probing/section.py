"""The `probing` section of params.yaml."""

from __future__ import annotations

from pydantic import Field, field_validator

from pipeline.params import Section


class ProbingSection(Section):
    """`probing`: the k of k-sparse probing."""

    k: list[int] = Field([1, 2, 5, 10, 20], min_length=1, description="numbers of latents a probe may use")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples over texts")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")

    @field_validator("k")
    @classmethod
    def _ascending(cls, k: list[int]) -> list[int]:
        if k[0] < 1 or sorted(set(k)) != k:
            raise ValueError("list numbers from 1 up, ascending, each once")
        return k
