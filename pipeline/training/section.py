"""Section `profiles.<profile>.train` of params.yaml: the scale of training, shared by all variants."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.console.errors import BadInput
from pipeline.params import Section


class TrainSection(Section):
    """How long, how wide and how fast every variant of a profile is trained."""

    n: int = Field(gt=0, description="dictionary size: number of latents")
    l0: list[int] = Field(min_length=1, description="sparsity targets: latents active per token at inference")
    tokens: int = Field(gt=0, description="tokens encoded in training, the same for every variant")
    batch: int = Field(gt=1, description="tokens per step")
    lr: float = Field(gt=0, description="peak learning rate, before a method's lr_scale")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the encoder's matmul")
    warmup: float = Field(0.02, ge=0, le=1, description="share of training with rising learning rate")
    decay: float = Field(0.2, ge=0, le=1, description="final share of training with falling learning rate")
    clip: float | None = Field(None, gt=0, description="gradient norm limit; null for none")
    dead_tokens: int = Field(gt=0, description="a latent silent for this many tokens counts as dead")
    validation_tokens: int = Field(
        gt=0, description="validation tokens on which L0 and the guards are measured"
    )
    log_every: int = Field(gt=0, description="steps between rows of training.tsv")
    checkpoint_every: int = Field(gt=0, description="steps between checkpoints")
    world_size: int = Field(
        1, ge=1, description="processes that share the batch; changes the last bits, so 1 is canonical"
    )

    def require_world(self, size: int) -> None:
        """Refuse a launch with another number of processes than the parameter says."""
        if size != self.world_size:
            raise BadInput(
                f"params.yaml: train.world_size = {self.world_size}, but the command runs as {size} "
                "process(es); make the two agree, because the number changes the last bits of the result."
            )

    def require(self, rows: int) -> None:
        """Refuse what cannot train: targets above n, duplicates, fewer training rows than one batch."""
        for target in self.l0:
            if not 0 < target <= self.n:
                raise BadInput(
                    f"params.yaml: the L0 target {target} must lie between 1 and "
                    f"the dictionary size n = {self.n}."
                )
        if len(set(self.l0)) != len(self.l0):
            raise BadInput(f"params.yaml: the L0 targets {self.l0} repeat one value.")
        if self.batch % 2:
            raise BadInput(
                f"params.yaml: batch = {self.batch} must be even, because pairs of tokens are read."
            )
        if self.world_size > self.batch // 2:
            raise BadInput(
                f"params.yaml: train.world_size = {self.world_size} leaves less than a pair of the "
                f"{self.batch} rows of a batch to each process."
            )
        if rows < self.batch:
            raise BadInput(
                f"The store has {rows} training tokens, fewer than one batch of {self.batch}: "
                "harvest more contexts or lower train.batch."
            )
        if self.tokens < self.batch:
            raise BadInput(
                f"params.yaml: train.tokens = {self.tokens} is less than one batch of "
                f"{self.batch}: no step would run."
            )
