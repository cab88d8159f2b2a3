"""What no SAE changes, kept in `.scratch/` so that the stages of all variants compute it once.

A result is found again only from equal inputs and equal code, so that a stage writes the same bytes with and
without it. Files are written beside and renamed: stages that run at once do no harm to each other, but two
that start together both compute what neither finds yet.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.console.scratch import SCRATCH
from pipeline.stages.common.scratch import fingerprint


class Memo:
    """Results of one stage (`name`) that depend on `inputs` and on the contents of `files` alone."""

    def __init__(self, name: str, inputs: Mapping[str, Any], files: Iterable[Path]) -> None:
        self._folder = SCRATCH / "memo" / name / fingerprint(inputs, files)[:16]

    def get(self, key: str, compute: Callable[[], Any]) -> Any:
        """The JSON value that `compute` gave for `key`, now or in an earlier stage."""
        path = self._folder / f"{key}.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            value = compute()
        self._keep(path, json.dumps(value))
        return value

    def _keep(self, path: Path, text: str) -> None:
        """Write `path`, and delete what other inputs left behind."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for sibling in self._folder.parent.iterdir():
            if sibling != self._folder:
                shutil.rmtree(sibling, ignore_errors=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        try:
            partial.write_text(text + "\n", encoding="utf-8")
            os.replace(partial, path)
        except FileNotFoundError:
            pass  # a stage with other inputs cleared the folder: the next one computes it again
