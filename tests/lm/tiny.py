"""Tiny random models of every architecture, saved as the Hugging Face folders that users have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

VOCABULARY = 40
BOS, EOS, PAD = 0, 1, 2


def config(kind: str) -> Any:
    import transformers as hf

    common: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": BOS, "eos_token_id": EOS,
                              "pad_token_id": PAD}  # fmt: skip
    sized: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2,
                             "intermediate_size": 24, "max_position_embeddings": 64}  # fmt: skip
    if kind == "gemma2":
        # a window of 4 and layers that alternate: contexts of 8 and more use both masks
        return hf.Gemma2Config(**common, **sized, num_key_value_heads=1, head_dim=8, sliding_window=4,
                               query_pre_attn_scalar=8, attn_logit_softcapping=2.0,
                               final_logit_softcapping=1.0)  # fmt: skip
    if kind == "llama":
        return hf.LlamaConfig(**common, **sized, num_key_value_heads=1)
    if kind == "gpt_neox":
        return hf.GPTNeoXConfig(**common, **sized)
    return hf.GPT2Config(**common, n_embd=16, n_layer=3, n_head=2, n_positions=64)


def model(kind: str) -> Any:
    """A random model whose blocks all matter: weights well above the usual initialization."""
    import transformers as hf

    torch.manual_seed(0)
    built = hf.AutoModelForCausalLM.from_config(config(kind), attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return built


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<bos>": BOS, "<eos>": EOS, "<pad>": PAD, "<unk>": 3}
    words |= {f"w{index}": index for index in range(4, VOCABULARY)}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


def save(kind: str, folder: Path, **how: Any) -> Path:
    """The tiny model and its tokenizer, saved at `folder`."""
    model(kind).save_pretrained(folder, **how)
    tokenizer().save_pretrained(folder)
    return folder


def contexts(count: int, length: int, seed: int = 0) -> torch.Tensor:
    """Random ids (count, length) that begin with BOS."""
    ids = torch.randint(4, VOCABULARY, (count, length), generator=torch.Generator().manual_seed(seed))
    ids[:, 0] = BOS
    return ids
