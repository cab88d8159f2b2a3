"""Whether another seed finds the same latents (docs/stability.md)."""
