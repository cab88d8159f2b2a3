"""Packages that the others import and no benchmark calls: replaced by empty modules.

wandb and nnsight bring dozens of packages of their own; logging is off and nothing is traced here.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

NAMES = ("wandb", "nnsight")


class _Absent(ModuleType):
    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in() -> None:
    """Let their imports succeed; nothing in them does anything."""
    for name in NAMES:
        module = _Absent(name)
        module.__spec__ = ModuleSpec(name, None)
        sys.modules.setdefault(name, module)
