"""Pin a language model: copy a local one or find the hub's commit, and write down what it is.

A resolved folder holds what a Hugging Face folder holds (for a hub model all but the weights, which
stay in the hub's cache under their commit) and `resolved.json`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from pipeline.console.errors import BadInput
from pipeline.lm.core.architectures import architecture
from pipeline.lm.core.hashes import sha256
from pipeline.lm.core.hub import first_line, hub_commit, hub_snapshot
from pipeline.lm.core.resolved import RESOLVED, Resolved
from pipeline.lm.core.tokenizer import bos_id, load_tokenizer, special_ids, tokenizer_sha256

WEIGHTS = "*.safetensors"
SMALL_FILES = (
    "config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json",
    "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt",
)  # fmt: skip
"""All that a model needs beside its weights; nothing else of a folder (code, pickles, logs) is taken."""


def resolve_local(source: Path, out: Path) -> None:
    """Copy the needed files of the Hugging Face folder `source` to `out` and resolve it.

    The model's id is the folder's name, never its path. Raises BadInput for a folder that holds no
    model, and for pickled weights.
    """
    if not (source / "config.json").is_file():
        raise BadInput(
            f"{source} is not a Hugging Face model folder (it has no config.json); set `inputs.model` to one."
        )
    weights = sorted(source.glob(WEIGHTS))
    if not weights:
        raise BadInput(_no_safetensors(str(source), any(source.glob("*.bin"))))
    out.mkdir(parents=True, exist_ok=True)
    for path in [*weights, *(source / name for name in SMALL_FILES)]:
        if path.is_file():
            shutil.copyfile(path, out / path.name)
    write_resolved(out, "local", source.resolve().name, None)


def resolve_hub(name: str, revision: str, out: Path) -> None:
    """Pin hub model `name` at `revision` (any git reference) to its commit; weights stay in the hub's cache.

    Raises BadInput for a gated model without a token, an unknown name or revision, weights that are
    only pickled, and a hub that cannot be reached.
    """
    commit, files = hub_commit(name, revision)
    if not any(file.endswith(".safetensors") for file in files):
        raise BadInput(_no_safetensors(f"hub model {name}", any(file.endswith(".bin") for file in files)))
    snapshot = hub_snapshot(name, commit, [WEIGHTS, *SMALL_FILES])
    out.mkdir(parents=True, exist_ok=True)
    for file in SMALL_FILES:
        if (snapshot / file).is_file():
            shutil.copyfile(snapshot / file, out / file)
    write_resolved(out, "hub", name, commit, weights=snapshot)


def write_resolved(
    folder: Path,
    source: Literal["embedded", "local", "hub"],
    model_id: str,
    revision: str | None,
    weights: Path | None = None,
) -> Resolved:
    """Hash the weights (in `weights`, else in `folder`) and the tokenizer; write and return resolved.json.

    Raises BadInput for an unknown architecture, and a tokenizer that cannot be read or has no BOS.
    """
    config = _config(folder)
    tokenizer = load_tokenizer(folder)
    architecture(config.model_type, model_id)
    resolved = Resolved(
        source=source,
        model_id=model_id,
        revision=revision,
        weights_sha256=sha256(*sorted((weights or folder).glob(WEIGHTS))),
        tokenizer_sha256=tokenizer_sha256(tokenizer),
        architecture=config.model_type,
        d=config.hidden_size,
        layers=config.num_hidden_layers,
        vocab_size=config.vocab_size,
        bos_id=bos_id(tokenizer, model_id),
        special_ids=special_ids(tokenizer),
    )
    text = json.dumps(resolved.model_dump(), indent=1, sort_keys=True)
    (folder / RESOLVED).write_text(text + "\n", encoding="utf-8")
    return resolved


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{folder}/config.json is none that transformers knows without the model's own code "
            f"({first_line(error)}); choose another model."
        ) from None


def _no_safetensors(where: str, pickled: bool) -> str:
    if pickled:
        return (
            f"{where} has pickled weights (*.bin) only, which can run any code when loaded; convert them to "
            "safetensors (model.save_pretrained does)."
        )
    return f"{where} has no weights (*.safetensors)."
