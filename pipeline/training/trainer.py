"""One SAE in training: one variant at one L0 target, stepped by batches that come from outside.

Several trainers share one pass over the data; each owns its weights, optimizer, controller,
dead-latent counters and random generator, so that their results do not depend on each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipeline.parallel.world import ALONE, World
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.variant import LoopState, Objective, Recipe, Step, Variant, Weights
from pipeline.store import Batch
from pipeline.training import optimizer as optim
from pipeline.training.controller import SparsityController
from pipeline.training.optimizer import Adam

INITIAL_COEFFICIENT = 0.01
"""Where the controller starts: weak enough that reconstruction comes first, in scaled units."""


@dataclass(frozen=True)
class Sums:
    """What is added up over the processes that share a batch, beside the gradients."""

    terms: Tensor  # (terms of the objective,), their means
    mean: Tensor  # (d,) of x - b_dec
    squares: Tensor  # (2,) sums of error^2 and of (x - b_dec)^2
    active: Tensor  # () float64, (token, latent) pairs
    fires: Tensor  # (n,), above 0 where a latent fired


@dataclass
class Trainer:
    """The state of one SAE's training."""

    variant: Variant
    recipe: Recipe
    scale: float  # inputs are multiplied by this: sqrt(d / E|x|^2), or 1 under a preset
    dead_tokens: int
    precision: str
    weights: Weights
    generator: torch.Generator
    controller: SparsityController | None
    fired: Tensor  # (n,) tokens since each latent last fired
    world: World = ALONE  # all processes hold the same state; each sees its part of a batch
    adam: Adam = field(init=False)
    step_index: int = 0
    diverged: str | None = None
    figures: dict[str, float] = field(default_factory=dict)  # of the latest step
    _pre: Tensor | None = field(init=False, default=None)  # (B, n) pre-activations of the latest step
    _half: Tensor | None = field(
        init=False, default=None
    )  # the same in bfloat16, where that is the precision

    def __post_init__(self) -> None:
        self.adam = Adam(self.weights, self.recipe)

    @property
    def coefficient(self) -> float:
        """The sparsity coefficient now; 0 for methods without one."""
        if self.controller is not None:
            return self.controller.coefficient
        return self.recipe.coefficient or 0.0

    def step(self, batch: Batch, logged: bool = True) -> None:
        """One optimizer step on `batch`, this process's rows of it; does nothing once diverged.

        Its `figures` are loss and L0, and all that a row of the log has when it is to be `logged`.
        """
        if self.diverged:
            return
        step = self._prepare(batch)
        objective = self.variant.objective(step)
        terms = torch.stack(list(objective.terms.values()))
        (terms.sum() * step.share).backward()
        optim.unfold_bias(self.weights, step.bias)
        sums = self._add_up(step, objective, terms.detach(), logged)
        loss = float(sums.terms.sum())
        if not math.isfinite(loss):
            self.diverged = f"the loss became {loss} at step {self.step_index}"
            return
        self._update()
        self._after(step, objective, sums, loss)
        if logged:
            self._describe(step, objective, sums)
        self.step_index += 1

    def export(self) -> SAE:
        """The SAE at inference, folded into the model's own units, decoder rows of unit norm."""
        sae = self.variant.export(self.weights).scaled(self.scale)
        return sae if self.recipe.unit_decoder else sae.unit_decoder()

    def _prepare(self, batch: Batch) -> Step:
        w = self.weights
        x = (batch.x * self.scale).view(-1, self.variant.d)
        last = slice(self.variant.joined - 1, None, self.variant.joined)
        with torch.no_grad():
            bias = optim.folded_bias(w)
            pre = self.pre_activations(x, w["W_enc"]).add_(bias)
        return Step(
            x=x,
            pre=pre,
            bias=bias.requires_grad_(),
            weights=w,
            context=batch.context[last],
            document=batch.document[last],
            position=batch.position[last],
            dead=self.fired >= self.dead_tokens,
            coefficient=self.coefficient,
            index=self.step_index,
            steps=self.recipe.steps,
            world=self.world,
            share=len(batch.x) / self.recipe.batch if self.world.size > 1 else 1.0,
        )

    def pre_activations(self, x: Tensor, W_enc: Tensor) -> Tensor:
        """x W_enc (B, n) float32, in memory that every step uses again.

        Memory of this size goes back to the system when it is freed, and its pages are made anew. At
        B 2048, n 4096, one thread, a product into new memory takes 64 ms, into its own 49; in bfloat16 43
        and 26.
        """
        shape = (len(x), W_enc.shape[1])
        if self._pre is None or self._pre.shape != shape:
            self._pre = x.new_empty(shape)
            self._half = x.new_empty(shape, dtype=torch.bfloat16) if self.precision == "bfloat16" else None
        if self._half is None:
            return torch.mm(x, W_enc, out=self._pre)
        return self._pre.copy_(torch.mm(x.bfloat16(), W_enc.bfloat16(), out=self._half))

    def _add_up(self, step: Step, objective: Objective, terms: Tensor, logged: bool) -> Sums:
        """Sum over the processes, all at once, the gradients and what is told about the step."""
        pairs = objective.codes.pairs
        active = torch.tensor(float(len(pairs)), dtype=torch.float64)
        fires = terms.new_zeros(pairs.n).index_fill_(0, pairs.latent, 1)
        mean = squares = terms.new_zeros(0)
        if logged:
            apart = step.x - self.weights["b_dec"].detach()
            squares = torch.stack([objective.error.square().sum(), apart.square().sum()])
            mean = apart.mean(0) * step.share
        sums = Sums(terms * step.share, mean, squares, active, fires)
        grads = [w.grad for w in self.weights.values() if w.grad is not None]
        self.world.add_up([*vars(sums).values(), *grads])
        return sums

    @torch.no_grad()
    def _update(self) -> None:
        recipe, w = self.recipe, self.weights
        if recipe.unit_decoder:
            optim.remove_parallel_gradient(w["W_dec"])
        if recipe.gradient_noise and self.step_index < recipe.warmup:
            optim.add_noise(w, recipe.gradient_noise, self.generator)
        scale = self.variant.update_scale()
        if scale is not None and recipe.scale_gradient:
            optim.scale_latents(w, scale, None)
        optim.clip_gradients(w, recipe.clip)
        before = None
        if scale is not None and not recipe.scale_gradient:
            before = {name: w[name].clone() for name in ("W_enc", "b_enc", "W_dec")}
        self.adam.step(optim.learning_rate(recipe, self.step_index))
        if scale is not None and before is not None:
            optim.scale_latents(w, scale, before)
        if recipe.unit_decoder and w["W_dec"].requires_grad:
            optim.normalise_rows(w["W_dec"])

    @torch.no_grad()
    def _after(self, step: Step, objective: Objective, sums: Sums, loss: float) -> None:
        self.fired += step.tokens * self.variant.joined
        self.fired.masked_fill_(sums.fires > 0, 0)
        self.variant.after_step(step, objective, self.loop_state())
        # a code at inference is a window's, step.tokens * joined / window of which are in the batch
        variant = self.variant
        l0 = float(sums.active) * variant.window / (step.tokens * variant.joined * variant.shared)
        if self.controller is not None:
            self.controller.update(l0, self.step_index)
        self.figures = {"loss": loss, "l0": l0}

    def _describe(self, step: Step, objective: Objective, sums: Sums) -> None:
        """The figures of a row of the log."""
        error, spread = sums.squares
        spread = spread - step.tokens * sums.mean.square().sum()  # about the mean of x
        self.figures = {
            "loss": self.figures["loss"],
            **dict(zip(objective.terms, sums.terms.tolist(), strict=True)),
            "l0": self.figures["l0"],
            "explained_variance": float(1 - error / spread.clamp_min(1e-12)),
            "dead": int(step.dead.sum()),
            "coefficient": step.coefficient,
            "lr": optim.learning_rate(self.recipe, self.step_index),
        }

    def loop_state(self) -> LoopState:
        """What the variant may change after a step."""
        return LoopState(self.weights, self.adam.moments, self.generator, self.fired)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint needs to continue bit for bit, as named tensors."""
        out = {f"weights.{name}": w.detach() for name, w in self.weights.items()}
        out |= {f"state.{name}": value for name, value in self.variant.state.tensors().items()}
        for name, moments in self.adam.moments.items():
            out |= {f"adam.{name}.{key}": value for key, value in vars(moments).items()}
        return out | {"fired": self.fired, "generator": self.generator.get_state()}

    def scalars(self) -> dict[str, Any]:
        """The rest of a checkpoint, JSON-able."""
        controller = None if self.controller is None else vars(self.controller).copy()
        return {"step": self.step_index, "diverged": self.diverged, "controller": controller}

    def restore(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Continue from a checkpoint's `tensors()` and `scalars()`."""
        with torch.no_grad():
            for name, w in self.weights.items():
                w.copy_(tensors[f"weights.{name}"])
        for name, moments in self.adam.moments.items():
            for key, value in vars(moments).items():
                value.copy_(tensors[f"adam.{name}.{key}"])
        state = {k.removeprefix("state."): t for k, t in tensors.items() if k.startswith("state.")}
        self.variant.state.restore({k: t.to(self.fired.device) for k, t in state.items()})
        self.fired.copy_(tensors["fired"])
        self.generator.set_state(tensors["generator"].cpu())
        self.step_index, self.diverged = scalars["step"], scalars["diverged"]
        if self.controller is not None:
            self.controller = SparsityController(**scalars["controller"])


def initial_weights(variant: Variant, sample: Tensor, generator: torch.Generator) -> Weights:
    """Random unit decoder rows, the encoder their transpose, b_dec the mean of `sample`, scaled.

    `sample` has rows of single tokens. W_enc is held as the transpose of an (n, d) block: its sparse gradient
    comes in that layout.
    """
    rows = torch.randn(variant.n, variant.d, generator=generator)
    rows /= rows.norm(dim=1, keepdim=True)
    shared = {
        "W_enc": rows.clone().T,
        "W_dec": rows.clone(),
        "b_enc": torch.zeros(variant.n),
        "b_dec": sample.mean(0).cpu().repeat(variant.joined),
    }
    weights = {name: shared[name] for name in variant.parameter_names()} | variant.parameters(generator)
    frozen = variant.frozen()
    return {name: w.to(sample.device).requires_grad_(name not in frozen) for name, w in weights.items()}
