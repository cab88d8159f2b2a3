"""SAEBench's evaluations timed, SAE by SAE; runs in `.venv-parity` and imports nothing of ours.

`python -m benchmarks.saebench core | absorption | probing FOLDER` runs the oracle of the parity tests on
their world and writes FOLDER/oracle/NAME-times.json: CPU and wall seconds of each SAE in order.
"""

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from tests.parity.oracle import offline

ENTRY = {"core": "multiple_evals", "absorption": "run_eval", "probing": "run_eval"}
"""The function of SAEBench's module that evaluates one SAE."""


def main(name: str, folder: Path) -> None:
    """Run one evaluation of all SAEs, a clock around each."""
    offline.prepare()
    oracle = importlib.import_module(f"tests.parity.oracle.{name}")
    inner, times = getattr(oracle.main, ENTRY[name]), []

    def timed(*args: Any, **kwargs: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        found = inner(*args, **kwargs)
        times.append({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu})
        return found

    setattr(oracle.main, ENTRY[name], timed)
    oracle.run(folder)
    offline.write(folder / "oracle" / f"{name}-times.json", times)


main(sys.argv[1], Path(sys.argv[2]))
