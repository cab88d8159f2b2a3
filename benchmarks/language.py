"""A small Gemma-2 with random weights and its tokenizer, as a folder: nothing to run or fetch before."""

from __future__ import annotations

from pathlib import Path

import torch

VOCABULARY, D, LAYERS, LAYER, CONTEXT = 2048, 256, 6, 3, 128
SPECIALS = ["<pad>", "<bos>", "<eos>", "<unk>"]


def write_model(folder: Path) -> None:
    """Write the model and what `load_lm` wants beside it."""
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers

    from pipeline.lm.resolve import write_resolved

    torch.manual_seed(0)
    config = hf.Gemma2Config(
        vocab_size=VOCABULARY, hidden_size=D, intermediate_size=4 * D, num_hidden_layers=LAYERS,
        num_attention_heads=8, num_key_value_heads=4, head_dim=32, query_pre_attn_scalar=32,
        sliding_window=64, max_position_embeddings=CONTEXT, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    hf.Gemma2ForCausalLM(config).save_pretrained(folder)
    words = {token: i for i, token in enumerate([*SPECIALS, *map(str, range(VOCABULARY - len(SPECIALS)))])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    ).save_pretrained(folder)
    write_resolved(folder, "local", "benchmark-model", None)


def token_ids(contexts: int) -> torch.Tensor:
    """(contexts, T) random ids, each context begun by BOS."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(len(SPECIALS), VOCABULARY, (contexts, CONTEXT), generator=generator)
    ids[:, 0] = 1
    return ids
