"""saeline: which sparse-autoencoder training method is better, measured honestly.

One stage, one file, one command. Read the rooms in the order an activation travels:
text -> lm -> store -> sae -> training -> metrics -> compare -> page; `stages` wires them to DVC and
`notebook` to Python: `pipeline.open_store`, `load_sae`, `measure`, `top_contexts` and `results`, loaded
when first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["load_sae", "measure", "open_store", "results", "top_contexts"]


def __getattr__(name: str) -> Any:
    """A name of `__all__`; those of pipeline.notebook cost seconds to import, `results` does not."""
    if name not in __all__:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    module = "pipeline.compare.tidy" if name == "results" else "pipeline.notebook"
    return getattr(importlib.import_module(module), name)
