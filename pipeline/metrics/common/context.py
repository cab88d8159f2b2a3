"""SAEs that read a token in its context, where an evaluation keeps tokens without theirs."""

from __future__ import annotations

from pipeline.sae.core.inference import SAE


def no_context(sae: SAE, what: str) -> str:
    """Why `sae` has no number; `what` the evaluation keeps, up to its verb."""
    return f"its codes read {sae.tokens_read}, and {what} single tokens without those before them"
