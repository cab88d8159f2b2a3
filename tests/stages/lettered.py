"""A tiny language model whose words carry their first letter, saved as models/lm of the current folder."""

from __future__ import annotations

import string
from typing import Any

import torch

from pipeline.lm.resolve import write_resolved
from pipeline.stages.common.files import LM
from tests.stages.evaluated import write_params

LETTERS = "abcdefgh"
WORDS = [first + second + "o" for first in LETTERS for second in "abcdefghi"]
SPECIAL = ["<bos>", "<eos>", "<pad>", "<unk>"]
TOKENS = [*SPECIAL, "has", "the", "first", "letter", ":", "\n", ",", *string.ascii_uppercase]
D = 24


def tokenizer(words: list[str]) -> Any:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate([*TOKENS, *words])}
    core = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|\w+|[^\w\s]"), behavior="removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def write_lm(words: list[str], spells: bool = False) -> None:
    """models/lm: two Llama blocks; a word's embedding is three times its letter's direction, and noise.

    A model that `spells` answers a word with its letter, through blocks that do nothing.
    """
    import transformers as hf

    torch.manual_seed(0)
    built = hf.LlamaForCausalLM(
        hf.LlamaConfig(
            vocab_size=len(TOKENS) + len(words),
            hidden_size=D,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            intermediate_size=16,
            max_position_embeddings=128,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )
    with torch.no_grad():
        table = built.model.embed_tokens.weight
        table.copy_(0.5 * torch.randn(table.shape))
        for place, word in enumerate(words):
            table[len(TOKENS) + place, LETTERS.index(word[0])] += 3
        if spells:
            head = built.lm_head.weight
            head.zero_()
            for place, letter in enumerate(LETTERS.upper()):
                head[TOKENS.index(letter), place] = 5
            for block in built.model.layers:
                block.self_attn.o_proj.weight.zero_()
                block.mlp.down_proj.weight.zero_()
    built.save_pretrained(LM)
    tokenizer(words).save_pretrained(LM)
    write_resolved(LM, "local", "tiny", None)


def write_task_params(labels: str = "data/none", **sections: dict[str, Any]) -> None:
    """params.yaml of the task stages, small."""
    text = {"source": "local", "context_length": 16, "seed": 0}
    small = {"compute": {"threads": 1}, "text": text, "harvest": {"site": "resid_post.0"}}
    known: dict[str, dict[str, Any]] = {
        "profiles": {"small": small},
        "inputs": {"labels": labels},
        "letter_task": {"seed": 0, "in_context": 3},
        "probing_task": {"seed": 0, "per_class": 20, "test": 0.3, "validation": 0.2},
        "absorption": {"min_letters": 5, "resamples": 100},
        "probing": {"k": [1, 2], "resamples": 100},
    }
    write_params(**(known | sections))
