"""SAEs of the outside world, one file per library, each read into `core.inference.SAE`."""
