"""saeline: which sparse-autoencoder training method is better, measured honestly.

One stage, one file, one command. Read the rooms in the order an activation travels:
text -> lm -> store -> sae -> training -> metrics -> report; `stages` wires them to DVC and `notebook`
to Python: `pipeline.open_store`, `load_sae`, `measure`, `top_contexts` and `results`, loaded when first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["load_sae", "measure", "open_store", "results", "top_contexts"]


def __getattr__(name: str) -> Any:
    """A name of `__all__`, from pipeline.notebook, which costs seconds to import; `results` costs none."""
    if name == "results":
        return importlib.import_module("pipeline.results")
    if name in __all__:
        return getattr(importlib.import_module("pipeline.notebook"), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
