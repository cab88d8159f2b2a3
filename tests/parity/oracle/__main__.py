"""SAEBench's own evaluations on a world's folder; runs in `.venv-parity` and imports nothing of ours.

`python -m tests.parity.oracle core | absorption | probing | files FOLDER` writes what SAEBench drew and
what it found into FOLDER/oracle. Only loaders, folders and seeds are replaced; no function that computes
anything is.
"""

import importlib
import sys
from pathlib import Path

from tests.parity.oracle import offline

offline.prepare()
importlib.import_module(f"tests.parity.oracle.{sys.argv[1]}").run(Path(sys.argv[2]))
