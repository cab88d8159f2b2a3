"""What a training method is: how pre-activations become codes, and what its objective adds.

The training loop owns the weights, the optimizer and the sparsity coefficient; a `Variant` owns
its config, its extra parameters and its statistics. One file per variant in `pipeline/sae/`; it
defines `Config` (its section of params.yaml) and `Method` (a subclass of Variant) and imports only
shared modules, so that DVC's dependency on that one file is the truth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pipeline.parallel.world import ALONE, World
from pipeline.params import Section
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.sparse import decode, encode_at
from pipeline.sae.method.control import Control, Reading
from pipeline.sae.method.state import State

Weights = dict[str, Tensor]
"""W_enc (d, n), W_dec (n, d), b_enc (n,), b_dec (d,) and a variant's own parameters, float32."""


class MethodConfig(Section):
    """What every method's section of params.yaml has."""

    known: ClassVar[Mapping[str, Control]] = {}  # the controls that the method declares, by name

    lr_scale: float = Field(1.0, gt=0, description="factor on the profile's learning rate, from the sweep")
    controls: list[str] = Field([], description="controls to train beside it: rows that differ in one thing")
    control_values: dict[str, dict[str, Any]] = Field(
        {}, description="values of a control that differ from the method's, from a sweep of its own"
    )

    @model_validator(mode="after")
    def _known_controls(self) -> Self:
        for name in [*self.controls, *self.control_values]:
            if name not in self.known:
                raise ValueError(f"`{name}` is no control of this method ({', '.join(self.known) or 'none'})")
        if len(set(self.controls)) < len(self.controls):
            raise ValueError("`controls` names one of them twice")
        return self

    def under(self, control: str | None, where: str) -> Self:
        """The section as `control` has it; raises BadInput, naming `where`, for a value that does not fit."""
        if control is None:
            return self
        shared = self.model_dump(exclude={"controls", "control_values"})
        changed = {**self.known[control].values, **self.control_values.get(control, {})}
        return self.parse({**shared, **changed}, f"{where} ({control})")


class PenaltyConfig(MethodConfig):
    """A method whose sparsity comes from a penalty."""

    coefficient: float | None = Field(
        None, gt=0, description="fixed sparsity coefficient; null lets the controller meet the L0 target"
    )
    ramp: float = Field(0.4, ge=0, le=1, description="share of training in which L0 falls to its target")


@dataclass(frozen=True)
class Recipe:
    """How the loop trains: the profile's values, which a `paper` preset replaces together."""

    steps: int
    batch: int
    lr: float
    input_scaled: bool = True  # inputs scaled to E|x|^2 = d
    unit_decoder: bool = True  # decoder rows kept at norm 1
    optimizer: str = "adam"  # adam | adamw
    weight_decay: float = 0.0
    clip: float | None = None  # gradient norm
    warmup: int = 0  # steps of linear learning-rate warm-up
    decay: int = 0  # final steps of linear decay to zero
    coefficient: float | None = None  # fixed sparsity coefficient; None: controller
    gradient_noise: float = 0.0  # standard deviation during warm-up
    scale_gradient: bool = False  # a method's per-latent scale acts on gradients instead of updates


@dataclass(frozen=True)
class Step:
    """Everything a variant's objective may read at one training step. `x` is in the loop's scaled units.

    Several processes share a batch: a step then holds one's rows (whole pairs or contexts). A loss term
    that is a mean over rows is right as it stands, because the loop weights it by `share`; the methods
    below are for everything else. With one process all of them are trivial.
    """

    x: Tensor  # (B, d)
    pre: Tensor  # (B, n) = x W_enc + bias, without a graph
    bias: Tensor  # (n,) = b_enc - b_dec W_enc, with its graph
    weights: Mapping[str, Tensor]
    context: Tensor  # (B,) which context a row is from
    document: Tensor  # (B,)
    position: Tensor  # (B,) position in the context
    dead: Tensor  # (n,) bool: not fired for the dead window
    coefficient: float  # sparsity coefficient now
    index: int  # step number, from 0
    steps: int  # steps in the whole run
    world: World = ALONE
    share: float = 1.0  # of the batch's rows that are in `x`

    @property
    def tokens(self) -> int:
        """Rows of the whole batch, those of other processes included."""
        return round(len(self.x) / self.share)

    def total(self, x: Tensor) -> Tensor:
        """`x` summed over the processes, without a graph."""
        return self.world.sum(x)

    def mean(self, x: Tensor) -> Tensor:
        """A mean over these rows made the mean over the whole batch, without a graph."""
        return x if self.world.size == 1 else self.world.sum(x.detach() * self.share)

    def average(self, x: Tensor, count: Tensor) -> Tensor:
        """This process's part of a loss term that is the sum of `x` over the sum of `count`."""
        return x / (self.world.sum(count).clamp_min(1) * self.share)

    def gather(self, x: Tensor) -> Tensor:
        """`x` of all rows of the whole batch, in its order; only this process's rows keep their graph."""
        return x if self.world.size == 1 else torch.cat(self.world.gather(x))

    def whole(self, loss: Tensor) -> Tensor:
        """This process's part of a loss term that every process computes of the gathered batch.

        Each has the gradient of its own rows, so gradients add up as they are; the value counts once.
        """
        if self.world.size == 1:
            return loss
        return (loss - loss.detach() * (1 - 1 / self.world.size)) / self.share

    @property
    def progress(self) -> float:
        """0 at the first step, 1 after the last."""
        return self.index / self.steps

    def encode_at(self, pairs: Pairs) -> Tensor:
        """(E,) pre-activations at `pairs`, differentiable in W_enc, b_enc and b_dec."""
        return encode_at(self.x, self.weights["W_enc"], self.bias, self.pre, pairs)

    def decode(self, value: Tensor, pairs: Pairs) -> Tensor:
        """(B, d) reconstruction without b_dec."""
        return decode(value, self.weights["W_dec"], pairs)


@dataclass(frozen=True)
class Objective:
    """What a variant returns: loss terms (mean over tokens) and the codes as inference would give them."""

    terms: dict[str, Tensor]  # "reconstruction" plus whatever the method adds; their sum is the loss
    codes: Codes  # detached, unmasked: L0, dead latents and the controller look at these
    error: Tensor  # (B, d) = x - x^, detached


@dataclass
class Moments:
    """Adam's state of one weight."""

    steps: Tensor  # () float32
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class LoopState:
    """What `after_step` may change in place beside the variant's own state."""

    weights: Weights
    moments: Mapping[str, Moments]  # per weight name
    generator: torch.Generator
    fired: Tensor  # (n,) int64: tokens since each latent last fired


class Variant(ABC):
    """A training method for one SAE (one L0 target). Subclasses override what differs.

    `d` and `n` are the sizes of what is trained, the width of a step's rows and the number of latents.
    """

    reading: ClassVar[Reading] = "tokens"
    window: int = 1  # tokens that are drawn together, where the reading is windows
    joined: int = 1  # tokens side by side in a row of a step: 1, or the whole window
    shared: int = 1  # tokens among which the latents of one code at inference are counted: 1, or the window
    controlled: bool = True  # sparsity through a penalty coefficient
    keeps: ClassVar[type[State]] = State  # the type of `state`

    def __init__(self, config: MethodConfig, d: int, n: int, l0: int | None) -> None:
        self.config, self.d, self.n, self.l0 = config, d, n, l0
        self.state = self.keeps()

    def recipe(self, base: Recipe) -> Recipe:
        """The loop's settings for this method; a fixed coefficient switches the controller off."""
        return replace(base, coefficient=getattr(self.config, "coefficient", None))

    def parameters(self, generator: torch.Generator) -> Weights:
        """Extra trainable parameters, besides W_enc, W_dec, b_enc and b_dec; random ones by `generator`."""
        return {}

    def parameter_names(self) -> tuple[str, ...]:
        """The shared parameters that this method trains."""
        return ("W_enc", "W_dec", "b_enc", "b_dec")

    def frozen(self) -> frozenset[str]:
        """Those of them that stay as they were drawn."""
        return frozenset()

    @abstractmethod
    def objective(self, step: Step) -> Objective:
        """The loss terms of one batch."""

    def update_scale(self) -> Tensor | None:
        """(n,) factor on the update of each latent's weights, or None."""
        return None

    def after_step(self, step: Step, objective: Objective, loop: LoopState) -> None:
        """Statistics, thresholds, resampling: after the optimizer moved the weights."""
        return None

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """The SAE as it is at inference, in the loop's scaled units."""
        return SAE(
            architecture="standard",
            W_enc=weights["W_enc"].detach(),
            W_dec=weights["W_dec"].detach(),
            b_enc=weights["b_enc"].detach(),
            b_dec=weights["b_dec"].detach(),
        )

    def training_view(self, weights: Mapping[str, Tensor]) -> SAE | None:
        """The SAE as training sees it, where that differs from inference; None where it does not."""
        return None

    def statistics(self) -> dict[str, Tensor]:
        """Per-latent statistics kept beside the weights, (n,) each."""
        return {}


@dataclass(frozen=True)
class Scored:
    """A reconstruction and its error inside an objective."""

    error: Tensor  # (B, d), with its graph
    loss: Tensor  # scalar: sum over d, mean over tokens, of error^2
    codes: Codes = field(repr=False)


def reconstruct(step: Step, value: Tensor, pairs: Pairs) -> Scored:
    """Decode `value` (E,) and take the reconstruction loss: sum over d, mean over tokens, of (x - x^)^2."""
    error = step.x - step.decode(value, pairs) - step.weights["b_dec"]
    return Scored(error, error.square().sum() / len(step.x), Codes(pairs, value.detach()))


def relu_pairs(step: Step) -> Pairs:
    """The active pairs of a ReLU encoder."""
    return Pairs.where(step.pre > 0)
