"""Run one stage and write down what it touched: `python trace_stage.py OUT.json STAGE [ARGUMENT ...]`.

A script, not a module of the tests: it runs in its own process, in the repository to trace. Reads
through libraries that are not Python (safetensors) raise no audit event; the sandbox, which holds
declared files only, is what catches those.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path.cwd().resolve()
read: set[str] = set()
written: set[str] = set()
params: set[str] = set()


def inside(path: Any) -> str | None:
    """`path` relative to the repository, None when it lies elsewhere."""
    if isinstance(path, int) or path is None:
        return None
    full = Path(os.path.realpath(os.fsdecode(path)))
    return full.relative_to(ROOT).as_posix() if full.is_relative_to(ROOT) else None


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Note files opened and params read."""
    if event == "pipeline.params":
        params.add(arguments[0])
    elif event == "open":
        path = inside(arguments[0])
        if path is not None and "__pycache__" not in path:
            (written if arguments[2] & (os.O_WRONLY | os.O_RDWR) else read).add(path)


def main() -> int:
    """Trace the stage; its exit code is this script's."""
    out = Path(sys.argv[1])
    sys.argv = ["pipeline", *sys.argv[2:]]
    sys.path[0] = str(ROOT)
    os.environ["SAELINE_WORKERS"] = "1"  # what a forked process opens is not seen here
    sys.addaudithook(hook)
    code = 0
    try:
        runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
    # torch invents modules whose file is a bare name
    modules = {path for path in map(inside, filter(os.path.isabs, files)) if path is not None}
    notes = {"read": read, "written": written, "params": params, "modules": modules}
    out.write_text(json.dumps({key: sorted(value) for key, value in notes.items()}))
    return code


if __name__ == "__main__":
    raise SystemExit(main())
