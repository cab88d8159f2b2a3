"""The methods of params.yaml as a sweep takes them: what is tuned, from which value it starts, what stays."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.params import Params
from pipeline.params.read import TUNED
from pipeline.tuning.record import hashed

if TYPE_CHECKING:
    from pipeline.sae.method.variant import MethodConfig

CONTROLS = ("controls", "control_values")
"""Keys of a method's section that make rows beside its own, and change no trial of it."""


@dataclass(frozen=True)
class Method:
    """A method in a sweep: its name, the defaults of what is tuned, and what else is no default."""

    variant: str
    defaults: Mapping[str, float]
    others: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """Of the other values: a value that is the default changes no trial."""
        return hashed(dict(self.others))


def method_of(params: Params, variant: str) -> Method:
    """The method `variant`; tuned is what its section calls so, starting from the literature's value."""
    values = params.value(variant)
    fields = config_of(variant).model_fields
    tuned = {name: fields[name].default for name, value in values.items() if value == TUNED}
    others = {
        name: value
        for name, value in values.items()
        if value != TUNED and name not in CONTROLS
        and (name not in fields or fields[name].get_default(call_default_factory=True) != value)
    }  # fmt: skip
    return Method(variant, tuned, others)


def config_of(variant: str) -> type[MethodConfig]:
    """The `Config` of pipeline/sae/{variant}.py."""
    config: type[MethodConfig] = importlib.import_module(f"pipeline.sae.{variant}").Config
    return config
