"""A model's tokenizer: loaded, hashed, and its special tokens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline.console.errors import BadInput
from pipeline.lm.core.hub import first_line

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""The files that a vocabulary can come from."""


def load_tokenizer(folder: Path) -> Any:
    """The fast tokenizer of a Hugging Face `folder`; raises BadInput when there is none."""
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in VOCABULARIES):
        # transformers would make an empty tokenizer of the model's class
        raise BadInput(f"{folder} holds no tokenizer; add its tokenizer.json.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{folder} holds no tokenizer that transformers can load ({first_line(error)}); "
            "add its tokenizer.json."
        ) from None
    if not tokenizer.is_fast:
        raise BadInput(f"{folder} holds a slow tokenizer; convert it to a tokenizer.json.")
    return tokenizer


def tokenizer_sha256(tokenizer: Any) -> str:
    """Hash of a fast tokenizer's canonical JSON (vocabulary, merges, added tokens, ...) and special ids.

    Ours: equal for a tokenizer and its saved and reloaded copy, whatever files hold it. Padding and
    truncation are left out, because encoding a batch changes them.
    """
    core = {**json.loads(tokenizer.backend_tokenizer.to_str()), "padding": None, "truncation": None}
    text = json.dumps([core, special_ids(tokenizer)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def special_ids(tokenizer: Any) -> list[int]:
    """The ids of BOS, EOS and PAD that the tokenizer has, sorted."""
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return sorted({int(each) for each in ids if each is not None})


def bos_id(tokenizer: Any, model_id: str) -> int:
    """The id that begins a context: BOS, or EOS where a model has no BOS of its own."""
    token = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if token is None:
        raise BadInput(f"the tokenizer of {model_id} has neither a BOS nor an EOS token; add one to it.")
    return int(token)
