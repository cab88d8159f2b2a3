"""python -m tests.parity.oracle core | absorption | probing | files FOLDER."""

import importlib
import sys
from pathlib import Path

from tests.parity.oracle import offline

offline.prepare()
importlib.import_module(f"tests.parity.oracle.{sys.argv[1]}").run(Path(sys.argv[2]))
