"""resolved.json: which language model a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.console.errors import BadInput

RESOLVED = "resolved.json"


class Resolved(BaseModel):
    """The content of resolved.json: which model this is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1  # of this form
    source: Literal["embedded", "local", "hub"]
    model_id: str
    revision: str | None  # commit of a hub model
    weights_sha256: str  # over the safetensors files, in the order of their names
    tokenizer_sha256: str  # over the tokenizer's canonical JSON
    architecture: str  # transformers' model_type
    d: int
    layers: int
    vocab_size: int
    bos_id: int
    special_ids: list[int]  # BOS, EOS, PAD, sorted


def read_resolved(folder: Path) -> Resolved:
    """resolved.json of `folder`; raises BadInput when it is absent or not what `write_resolved` wrote."""
    try:
        return Resolved.model_validate_json((folder / RESOLVED).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(f"{folder} holds no resolved language model; run `dvc repro model`.") from None
    except ValidationError:
        raise BadInput(f"{folder / RESOLVED} is damaged; run `dvc repro -f model`.") from None
