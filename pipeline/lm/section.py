"""The sections `profiles.*.model`: one schema per source, chosen by the key `source`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from pipeline.console.errors import BadInput
from pipeline.params import Section


class EmbeddedModel(Section):
    """A tiny Gemma-2-architecture model of ours; measured choices in docs/model.md."""

    source: Literal["embedded"]
    retrain: bool = Field(
        default=False, description="train it here, instead of the weights that ship with the package"
    )
    seed: int = Field(ge=0, description="seed of the weights and of the training text's stream")
    layers: int = Field(default=4, ge=1, description="decoder blocks")
    d: int = Field(default=128, ge=8, description="residual stream's width")
    heads: int = Field(default=4, ge=1, description="query heads")
    kv_heads: int = Field(default=2, ge=1, description="key and value heads; divides heads")
    head_dim: int = Field(default=32, ge=2, multiple_of=2, description="dimensions per head")
    mlp: int = Field(default=512, ge=8, description="hidden width of the gated MLP")
    window: int = Field(default=64, ge=1, description="tokens of sliding-window attention, every other block")
    embedding_std: float = Field(
        default=0.02, gt=0, description="standard deviation of initial token embeddings"
    )
    embedding_lr: float = Field(default=0.1, ge=0, description="the embeddings' learning rate, times lr")
    head_std: float = Field(
        default=0.05, gt=0, description="standard deviation of the initial output weights"
    )
    steps: int = Field(default=10000, ge=1, description="optimizer steps")
    batch: int = Field(default=8, ge=1, description="contexts per step")
    lr: float = Field(default=4e-3, gt=0, description="AdamW's peak learning rate")
    warmup: int = Field(default=40, ge=0, description="steps of linear warm-up")
    weight_decay: float = Field(default=0.05, ge=0, description="AdamW's, on matrices only")
    precision: Literal["bfloat16", "float32"] = Field(
        default="bfloat16", description="autocast of matrix products; master weights are float32"
    )
    drill_share_early: float = Field(
        default=0.3, ge=0, lt=1, description="share of tokens that drill spelling, in the early steps"
    )
    early_steps: int = Field(default=3000, ge=0, description="steps with more drills, at first")
    drill_share: float = Field(default=0.1, ge=0, lt=1, description="share of drills from then on")
    site_layer: int = Field(
        default=2, ge=0, description="block that the auxiliary objectives and the first-letter probe read"
    )
    future_weight: float = Field(
        default=1.0, ge=0, description="weight of predicting the bag of future tokens from the site"
    )
    token_share: float = Field(
        default=0.55, gt=0, le=1, description="variance at the site that the token may explain unpunished"
    )
    participation: float = Field(
        default=25.0, ge=1, description="participation ratio at the site below which it is punished"
    )
    gate: float = Field(default=0.9, ge=0, le=1, description="least first-letter accuracy on held-out words")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.site_layer >= self.layers:
            raise ValueError(
                f"site_layer {self.site_layer} does not exist in a model of {self.layers} blocks"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} does not divide heads {self.heads}")
        return self


class LocalModel(Section):
    """A Hugging Face folder on disk, named by `inputs.model`."""

    source: Literal["local"]


class HubModel(Section):
    """A model of the Hugging Face hub, pinned by commit."""

    source: Literal["hub"]
    name: str = Field(min_length=1, description="hub id, for example `EleutherAI/pythia-70m`")
    revision: str = Field(min_length=1, description="commit hash")


ModelSection: TypeAlias = EmbeddedModel | LocalModel | HubModel

_SOURCES: dict[str, type[EmbeddedModel] | type[LocalModel] | type[HubModel]] = {
    "embedded": EmbeddedModel,
    "local": LocalModel,
    "hub": HubModel,
}


def parse_model(values: Any, where: str) -> ModelSection:
    """Validate `profiles.*.model` by its `source`; raises BadInput naming `where`."""
    source = values.get("source") if isinstance(values, Mapping) else None
    if source not in _SOURCES:
        raise BadInput(f"params.yaml: `{where}.source` is {source!r}; choose one of {', '.join(_SOURCES)}.")
    return _SOURCES[source].parse(values, where)
