"""Several processes: forked ones with work of their own (processes.py), or torchrun's on one task."""
