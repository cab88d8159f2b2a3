"""What is to be trained: a variant or one of its controls, with a section and a seed; and its recipe."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.console.errors import BadInput
from pipeline.sae.method.control import Reading
from pipeline.sae.method.variant import MethodConfig, Recipe, Variant
from pipeline.training.section import TrainSection


def method(name: str) -> tuple[type[MethodConfig], type[Variant]]:
    """The `Config` and `Method` of pipeline/sae/{name}.py; raises BadInput when there is no such file."""
    unknown = BadInput(f"variant `{name}` is unknown: there is no pipeline/sae/{name}.py.")
    if not name.isidentifier():
        raise unknown
    try:
        module = importlib.import_module(f"pipeline.sae.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"pipeline.sae.{name}":
            raise
        raise unknown from None
    if not hasattr(module, "Method"):
        raise BadInput(f"`{name}` is no variant: pipeline/sae/{name} defines no Method.")
    return module.Config, module.Method


@dataclass(frozen=True)
class Job:
    """A variant to train, with its section and a seed; with a `control`, that control of it."""

    variant: str
    config: MethodConfig
    seed: int
    control: str | None = None

    @classmethod
    def of(cls, variant: str, values: Mapping[str, Any], seed: int, control: str | None = None) -> Job:
        """With the section's plain values; raises BadInput where they do not fit the variant."""
        return cls(variant, method(variant)[0].parse(values, variant), seed, control)

    @property
    def controls(self) -> list[str | None]:
        """The method itself, None, and the controls that its section asks for."""
        return [None, *self.config.controls]

    @cached_property
    def settings(self) -> MethodConfig:
        """The section as the control has it."""
        return self.config.under(self.control, self.variant)

    @property
    def reading(self) -> Reading:
        """How batches are read."""
        own = method(self.variant)[1].reading
        return own if self.control is None else self.config.known[self.control].reading or own

    def variants(self, section: TrainSection, d: int) -> list[Variant]:
        """The method at every L0 target; a paper's preset has none and is one."""
        paper = getattr(self.settings, "preset", "ours") == "paper"
        targets = [None] if paper else section.l0
        return [method(self.variant)[1](self.settings, d, section.n, target) for target in targets]

    def recipe(self, section: TrainSection) -> Recipe:
        """How the loop trains it."""
        steps = section.tokens // section.batch
        return self.variants(section, 1)[0].recipe(
            Recipe(
                steps=steps,
                batch=section.batch,
                lr=section.lr * self.settings.lr_scale,
                clip=section.clip,
                warmup=round(section.warmup * steps),
                decay=round(section.decay * steps),
            )
        )

    def tokens(self, section: TrainSection) -> int:
        """How many tokens one SAE encodes in training."""
        recipe = self.recipe(section)
        return recipe.steps * recipe.batch

    def threads(self, section: TrainSection, threads: int) -> int:
        """Torch threads of each SAE's training, of `threads` for all targets; changes the last bits."""
        return max(1, threads // len(self.apart(section)))

    def apart(self, section: TrainSection) -> list[TrainSection]:
        """`section` once for each SAE: pieces of work that do not depend on each other."""
        targets = section.l0[: len(self.variants(section, 1))]
        return [section.model_copy(update={"l0": [target]}) for target in targets]
