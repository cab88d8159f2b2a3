"""README and docs: what stands between their marks, made from what a run left in git."""
