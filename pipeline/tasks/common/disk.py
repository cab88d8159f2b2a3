"""How a task lies on disk: `{name}.safetensors` with its tensors and `{name}.json` with all the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.numbers.files import absent, damaged

VERSION = 1


def save(folder: Path, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write `tensors` (none: no such file) and `facts`."""
    if tensors:
        save_file({key: each.contiguous() for key, each in tensors.items()}, folder / f"{name}.safetensors")
    text = json.dumps({"version": VERSION, **facts}, sort_keys=True, allow_nan=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def load_facts(folder: Path, name: str, stage: str) -> dict[str, Any]:
    """What `stage` wrote beside the tensors; raises BadInput when missing, damaged or of another version."""
    path = folder / f"{name}.json"
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = facts.pop("version")
    except FileNotFoundError:
        raise absent(path, stage) from None
    except (ValueError, KeyError, AttributeError) as error:
        raise damaged(path, stage, error) from None
    if version != VERSION:
        raise damaged(path, stage, f"version {version!r}, not {VERSION}")
    return facts


def load_tensors(folder: Path, name: str, stage: str, keys: Iterable[str]) -> dict[str, Tensor]:
    """The tensors `keys`; raises BadInput when one is missing or the file is damaged."""
    path = folder / f"{name}.safetensors"
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return {key: tensors[key] for key in keys}
    except FileNotFoundError:
        raise absent(path, stage) from None
    except (SafetensorError, KeyError) as error:
        raise damaged(path, stage, error) from None
