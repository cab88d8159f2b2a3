"""The sections `profiles.*.text`: one schema per source, chosen by the key `source`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from pipeline.console.errors import BadInput
from pipeline.params import Section


class EmbeddedText(Section):
    """Seeded text with slow states and labels, and spelling drills; measured choices in docs/corpus.md."""

    source: Literal["embedded"]
    context_length: int = Field(ge=16, description="tokens per context, BOS included")
    train_contexts: int = Field(ge=1, description="contexts")
    validation_contexts: int = Field(ge=1, description="contexts")
    test_contexts: int = Field(ge=1, description="contexts")
    seed: int = Field(ge=0, description="seed of the vocabulary and of every document")
    words: int = Field(default=2900, ge=100, le=20000, description="words; invented, one token each")
    min_words_per_letter: int = Field(default=15, ge=2, le=200, description="words, each of the 26 letters")
    languages: int = Field(default=6, ge=2, le=50, description="values of the state `language`")
    domains: int = Field(default=12, ge=2, le=50, description="values of the state `domain`")
    sub_domains: int = Field(default=3, ge=2, le=10, description="sub-domains in each domain")
    registers: int = Field(default=4, ge=2, le=10, description="values of the state `register`")
    speakers: int = Field(default=12, ge=2, le=50, description="values of the state `speaker`")
    tenses: int = Field(default=4, ge=2, le=10, description="values of the state `tense`; forms of a verb")
    domain_tokens: int = Field(default=160, ge=1, description="median duration of a domain, tokens")
    sub_domain_tokens: int = Field(default=60, ge=1, description="median duration, tokens")
    register_tokens: int = Field(default=110, ge=1, description="median duration, tokens")
    speaker_tokens: int = Field(default=50, ge=1, description="median duration, tokens")
    tense_tokens: int = Field(default=80, ge=1, description="median duration, tokens")
    contrast: float = Field(
        default=1.0,
        ge=0,
        le=4,
        description="how far frequent words lean to a state's value; 0: not",
    )
    home: float = Field(
        default=1.0, ge=0, le=1.5, description="how often a noun is at home where it is used; 1: six in ten"
    )
    drill_share: float = Field(
        default=0.02,
        ge=0,
        lt=1,
        description="share of tokens that drill spelling",
    )

    @model_validator(mode="after")
    def _enough_words(self) -> Self:
        if self.words < 26 * self.min_words_per_letter:
            raise ValueError(f"words {self.words} are too few for {self.min_words_per_letter} of each letter")
        return self


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
