"""corpus: the profile's text, tokenized, split by document and packed into data/tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.console.errors import BadInput
from pipeline.console.progress import Progress
from pipeline.lm.core.hub import hub_commit, hub_snapshot
from pipeline.lm.core.tokenizer import bos_id, load_tokenizer, special_ids, tokenizer_sha256
from pipeline.lm.section import HubModel, LocalModel, ModelSection, parse_model
from pipeline.numbers.table import Columns, write_table
from pipeline.params import read_params
from pipeline.params.experiment import input_path
from pipeline.stages.common.files import TOKENS, fresh
from pipeline.text.contexts import write_tokens
from pipeline.text.corpus import build, columns
from pipeline.text.section import EmbeddedText, TextSection, parse_text

TOKENIZER_FILES = ("config.json", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.json",
                   "merges.txt")  # fmt: skip
"""What a tokenizer needs of a hub model."""


def run() -> None:
    """Write data/tokens. Raises BadInput for unusable text, too little of it or a missing tokenizer."""
    params = read_params()
    profile = f"profiles.{params.profile}"
    text = parse_text(params.value("profile.text"), f"{profile}.text")
    model = parse_model(params.value("profile.model"), f"{profile}.model")
    tokenizer = _tokenizer(text, model, input_path(params, "model"))
    about: dict[str, Any] = {
        "special_ids": special_ids(tokenizer),
        "bos_id": bos_id(tokenizer, profile),
        "vocab_size": len(tokenizer),
        # before any text is encoded: encoding may leave padding state in the tokenizer
        "tokenizer_hash": tokenizer_sha256(tokenizer),
        "source": _describe(text),
    }
    with Progress("corpus", total=_wanted(text), unit="tokens") as bar:
        corpus = build(text, tokenizer, about["bos_id"], input_path(params, "text"), bar.advance)
    folder = fresh(TOKENS)
    write_tokens(folder, corpus.splits, about, corpus.states)
    names: Columns = {name: int if name == "document" else str for name in columns(corpus.documents)}
    rows = [{name: row.get(name, "") for name in names} for row in corpus.documents]
    write_table(folder / "documents.tsv", names, rows)


def _tokenizer(text: TextSection, model: ModelSection, folder: Path) -> Any:
    """The model's own tokenizer; the embedded model's is made from the text section."""
    if isinstance(model, HubModel):
        commit, _ = hub_commit(model.name, model.revision)
        return load_tokenizer(hub_snapshot(model.name, commit, TOKENIZER_FILES))
    if isinstance(model, LocalModel):
        return load_tokenizer(folder)
    if not isinstance(text, EmbeddedText):
        raise BadInput(
            "params.yaml: the embedded model reads embedded text only; set `text.source: embedded`."
        )
    from pipeline.text.embedded.tokenizer import embedded_tokenizer

    return embedded_tokenizer(text)


def _wanted(text: TextSection) -> int:
    counts = (text.train_contexts, text.validation_contexts, text.test_contexts)
    return sum(count or 0 for count in counts) * text.context_length


def _describe(text: TextSection) -> str:
    if text.source == "hub":
        return " ".join(["hub", text.name, text.config or "-", text.split, text.revision])
    return text.source
