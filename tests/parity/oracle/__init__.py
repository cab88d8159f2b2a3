"""SAEBench's own evaluations on a world's folder; runs in `.venv-parity` and imports nothing of ours.

`python -m tests.parity.oracle core FOLDER` writes what SAEBench drew and what it found into
FOLDER/oracle. Only loaders, folders and seeds are replaced; no function that computes anything is.
"""
