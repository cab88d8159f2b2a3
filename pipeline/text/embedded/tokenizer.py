"""The embedded source's tokenizer: word level, from the vocabulary alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.section import EmbeddedText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PATTERN = r"\n|\w+|[^\w\s]"
"""Tokens are line feeds, runs of word characters and single punctuation marks; blanks separate."""


def embedded_tokenizer(section: EmbeddedText) -> PreTrainedTokenizerFast:
    """Word-level tokenizer with <pad> <bos> <eos> <unk>; BOS is put before a text by default."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    ids = vocabulary(section).ids
    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", ids["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>",
        padding_side="right", clean_up_tokenization_spaces=False,
    )  # fmt: skip
