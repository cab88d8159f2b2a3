"""The sections `profiles.*.text`: one schema per source, chosen by the key `source`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from pipeline.console.errors import BadInput
from pipeline.params import Section


class EmbeddedText(Section):
    """Seeded, labelled English-like text with spelling drills; measured choices in docs/corpus.md."""

    source: Literal["embedded"]
    context_length: int = Field(ge=16, description="tokens per context, BOS included")
    train_contexts: int = Field(ge=1, description="contexts")
    validation_contexts: int = Field(ge=1, description="contexts")
    test_contexts: int = Field(ge=1, description="contexts")
    seed: int = Field(ge=0, description="seed of the vocabulary and of every document")
    pseudo_words: int = Field(default=500, ge=0, le=5000, description="invented words beside the real ones")
    min_words_per_letter: int = Field(default=12, ge=2, le=200, description="words, each of the 26 letters")
    zipf_exponent: float = Field(default=1.4, ge=0, le=4, description="word frequency ~ (rank + offset)^-exp")
    zipf_offset: float = Field(default=2.0, ge=0, le=100, description="ranks")
    drill_share: float = Field(default=0.23, ge=0, lt=1, description="share of documents that drill spelling")
    dense_share: float = Field(
        default=0.83, ge=0, le=1, description="share of drills that are dense word-letter pairs"
    )
    collocation: float = Field(
        default=0.7, ge=0, le=1, description="probability that a favourite word follows"
    )
    alliteration: float = Field(
        default=0.15, ge=0, le=1, description="probability of keeping the first letter"
    )
    topic_noise: float = Field(
        default=0.5, ge=0, le=1, description="share of content words of a random topic"
    )
    sentiment_rate: float = Field(default=0.5, ge=0, le=1, description="evaluative words per noun phrase")
    sentiment_noise: float = Field(default=0.06, ge=0, le=1, description="share with the opposite polarity")
    biography_noise: float = Field(
        default=0.30, ge=0, le=1, description="share of trade words of a random trade"
    )
    gender_noise: float = Field(
        default=0.5, ge=0, le=1, description="share of names, pronouns of a random gender"
    )
    language_noise: float = Field(
        default=0.6, ge=0, le=1, description="share of function words of a random language"
    )


class LocalText(Section):
    """A text file or a folder of .txt files, named by `inputs.text`. Nulls: all of it, split 85/5/10."""

    source: Literal["local"]
    context_length: int = Field(ge=16, description="tokens per context, BOS included")
    train_contexts: int | None = Field(
        default=None, ge=1, description="contexts; null: all that the text gives"
    )
    validation_contexts: int | None = Field(default=None, ge=1, description="contexts; null as above")
    test_contexts: int | None = Field(default=None, ge=1, description="contexts; null as above")
    seed: int = Field(ge=0, description="seed of the split by document")
    document_words: int = Field(
        default=200, ge=1, description="paragraphs of one file are grouped up to this many words"
    )

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        counts = [self.train_contexts, self.validation_contexts, self.test_contexts]
        if any(count is None for count in counts) and any(count is not None for count in counts):
            raise ValueError("give all three of train_contexts, validation_contexts, test_contexts, or none")
        return self


class LabelledDataset(Section):
    """One labelled text dataset of the hub, pinned by commit."""

    name: str = Field(min_length=1, description="hub id, for example `fancyzhx/ag_news`")
    config: str | None = Field(default=None, description="configuration of the dataset, when it has several")
    revision: str = Field(min_length=7, description="commit hash")
    split: str = Field(default="train", description="split of the dataset")
    text_column: str = Field(default="text", description="column with the text")
    label_column: str = Field(default="label", description="column with the label")


class HubText(Section):
    """A text dataset of the hub, streamed, pinned by commit."""

    source: Literal["hub"]
    name: str = Field(min_length=1, description="hub id, for example `monology/pile-uncopyrighted`")
    config: str | None = Field(default=None, description="configuration of the dataset, when it has several")
    revision: str = Field(min_length=1, description="commit hash")
    split: str = Field(default="train", description="split of the dataset")
    text_column: str = Field(default="text", description="column with the text")
    context_length: int = Field(ge=16, description="tokens per context, BOS included")
    train_contexts: int = Field(ge=1, description="contexts")
    validation_contexts: int = Field(ge=1, description="contexts")
    test_contexts: int = Field(ge=1, description="contexts")
    seed: int = Field(default=0, ge=0, description="seed of the labelled sets' choice of texts")
    labelled: list[LabelledDataset] = Field(default=[], description="datasets for sparse probing")


TextSection: TypeAlias = EmbeddedText | LocalText | HubText

_SOURCES: dict[str, type[EmbeddedText] | type[LocalText] | type[HubText]] = {
    "embedded": EmbeddedText,
    "local": LocalText,
    "hub": HubText,
}


def parse_text(values: Any, where: str) -> TextSection:
    """Validate `profiles.*.text` by its `source`; raises BadInput naming `where`."""
    source = values.get("source") if isinstance(values, Mapping) else None
    if source not in _SOURCES:
        raise BadInput(f"params.yaml: `{where}.source` is {source!r}; choose one of {', '.join(_SOURCES)}.")
    return _SOURCES[source].parse(values, where)
