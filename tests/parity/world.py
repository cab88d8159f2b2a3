"""What both sides are given: a small Gemma-2 model with its tokenizer, four SAEs, texts. Seeded, offline.

Words carry their first letter in their embedding, so that letter probes pass; a few latents stand for
letters and many for single words, so that absorption is partly there. The model is trained for a few
seconds on text whose next word depends on the last one, so that cross-entropy has something to lose.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site
from pipeline.lm.resolve import write_resolved
from pipeline.sae.core.folder import save_sae
from pipeline.sae.core.inference import SAE
from pipeline.tasks.letters.words import LETTERS

NAME = "tiny-gemma-2"
LAYER, D, N = 1, 64, 256
SITE = Site("resid_post", LAYER)
HOOK = SITE.hook_name
CONTEXT = 64
PER_LETTER = 32
"""Words per letter."""

TEMPLATE, POSITION = "{word} has the first letter:", -6
SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>"]
PUNCTUATION = ["\n", ":"]
ASKING = [" has", " the", " first", " letter"]
PATTERN = r"\n| ?[A-Za-z]+|[^A-Za-z\s]"
"""Tokens are words with the blank before them, as in most tokenizers; a word is one token anywhere."""

ARCHITECTURES = ("topk", "standard", "jumprelu", "gated")
DEAD, DENSE = slice(40, 44), slice(44, 47)
"""Latents that never fire and that fire often, so that shares of them are neither all nor none."""

SETS = {"topics": ["art", "law", "sea", "tea"], "tones": ["glad", "sad"]}
"""Labelled sets and their classes."""
TRAIN_TEXTS, TEST_TEXTS = 60, 40


@dataclass(frozen=True)
class World:
    """The folder that both sides read, and this side's view of it."""

    folder: Path
    lm: LanguageModel

    def sae_folder(self, architecture: str) -> Path:
        """Where one SAE lies, in SAELens' layout."""
        return self.folder / "saes" / architecture


def build(folder: Path) -> World:
    """Make everything in `folder`: lm/, saes/, documents/, labelled.json, world.json."""
    torch.set_num_threads(1)
    words = _words()
    ids = {token: i for i, token in enumerate([*SPECIALS, *PUNCTUATION, *ASKING, *_answers(), *words])}
    documents = _documents(words, Random("documents"))
    tokenizer = _tokenizer(ids)
    model = _model(ids, words)
    _train(model, tokenizer, documents)
    model.save_pretrained(folder / "lm")
    tokenizer.save_pretrained(folder / "lm")
    write_resolved(folder / "lm", "local", NAME, None)
    world = World(folder, load_lm(folder / "lm", "cpu"))
    _write_texts(folder, documents, words)
    x = _sample(world.lm, tokenizer, documents, words)
    for sae in _saes(x, _letter_rows(x[-len(words) :], words)):
        metadata = {"model_name": NAME, "hook_name": HOOK, "layer": LAYER, "context_size": CONTEXT,
                    "prepend_bos": True}  # fmt: skip
        save_sae(world.sae_folder(sae.architecture), sae, metadata)
    facts = {"name": NAME, "layer": LAYER, "hook": HOOK, "context": CONTEXT, "template": TEMPLATE,
             "position": POSITION, "architectures": ARCHITECTURES}  # fmt: skip
    (folder / "world.json").write_text(json.dumps(facts), encoding="utf-8")
    return world


def _answers() -> list[str]:
    return [f" {letter.upper()}" for letter in LETTERS]


def _words() -> list[str]:
    """`PER_LETTER` invented words per letter, each with its blank."""
    rng, found = Random("words"), []
    for letter in LETTERS:
        endings: set[str] = set()
        while len(endings) < PER_LETTER:
            endings.add("".join(rng.choice("aeiou") + rng.choice("bdlmnrst") for _ in range(2)))
        found += [f" {letter}{ending}" for ending in sorted(endings)]
    return found


def _documents(words: list[str], rng: Random) -> list[str]:
    """Texts in which a word is followed by one of three words of its own, four times in five."""
    followers = {word: rng.sample(words, 3) for word in words}
    documents = []
    for _ in range(300):
        text = [rng.choice(words)]
        for _ in range(rng.randint(30, 120)):
            text.append(rng.choice(followers[text[-1]]) if rng.random() < 0.8 else rng.choice(words))
        documents.append("".join(text))
    return documents


def _tokenizer(ids: dict[str, int]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True)
    backend.decoder = decoders.Fuse()
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", ids["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>",
        padding_side="right", clean_up_tokenization_spaces=False,
    )  # fmt: skip


def _model(ids: dict[str, int], words: list[str]) -> Any:
    import transformers as hf

    torch.manual_seed(0)
    config = hf.Gemma2Config(
        vocab_size=len(ids), hidden_size=D, intermediate_size=2 * D, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16,
        sliding_window=32, max_position_embeddings=256, bos_token_id=ids["<bos>"],
        eos_token_id=ids["<eos>"], pad_token_id=ids["<pad>"], attn_implementation="eager",
    )  # fmt: skip
    model = hf.Gemma2ForCausalLM(config)
    letters = torch.randn(26, D)
    strength = 1.8 + 2.0 * torch.rand(len(words))
    with torch.no_grad():
        table = model.model.embed_tokens.weight
        table.copy_(0.08 * torch.randn(table.shape))
        for word, much in zip(words, strength, strict=True):
            table[ids[word]] += 0.08 * much * letters[LETTERS.index(word[1])]
    return model


def _train(model: Any, tokenizer: Any, documents: list[str]) -> None:
    stream = [i for ids in tokenizer(documents)["input_ids"] for i in ids]
    rows = torch.tensor(stream[: len(stream) // CONTEXT * CONTEXT]).view(-1, CONTEXT)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    model.train()
    for _ in range(150):
        batch = rows[torch.randint(len(rows), (16,), generator=generator)]
        logits = model(input_ids=batch, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def _write_texts(folder: Path, documents: list[str], words: list[str]) -> None:
    place = folder / "documents"
    place.mkdir()
    lines = [json.dumps({"text": document}) for document in documents]
    (place / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "labelled.json").write_text(json.dumps(_labelled(words, Random("labelled"))), encoding="utf-8")


def _labelled(words: list[str], rng: Random) -> dict[str, dict[str, dict[str, list[str]]]]:
    """set -> split -> class -> texts; a class prefers words of its own, weakly enough to be missed."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for name, classes in SETS.items():
        liked = {each: rng.sample(words, 40) for each in classes}

        def text(each: str, liked: dict[str, list[str]] = liked) -> str:
            count = rng.randint(6, 50)  # some texts are cut off at the context's end, some padded
            return "".join(rng.choice(liked[each] if rng.random() < 0.25 else words) for _ in range(count))

        found[name] = {
            split: {each: [text(each) for _ in range(count)] for each in classes}
            for split, count in (("train", TRAIN_TEXTS), ("test", TEST_TEXTS))
        }
    return found


def _sample(lm: LanguageModel, tokenizer: Any, documents: list[str], words: list[str]) -> Tensor:
    """(M, d) residuals: tokens of documents, then one prompt per word."""
    ids = [tokenizer(text)["input_ids"][:CONTEXT] for text in documents[:120]]
    rows = [lm.forward_to(torch.tensor([each]), SITE)[0, 1:] for each in ids]
    rng = Random("sample")
    asked = TEMPLATE.removeprefix("{word}")
    prompts = []
    for word in words:
        examples = rng.sample(words, 10)
        lines = [f"{each}{asked} {each[1].upper()}" for each in examples]
        prompts.append("\n" + "\n".join([*lines, word + asked]))
    at_words = lm.forward_to(torch.tensor(tokenizer(prompts)["input_ids"]), SITE)[:, POSITION]
    return torch.cat([*rows, at_words])


def _letter_rows(at_words: Tensor, words: list[str]) -> Tensor:
    """(26, d): each letter's mean residual less the mean of all."""
    letter = torch.tensor([LETTERS.index(word[1]) for word in words])
    means = torch.stack([at_words[letter == i].mean(0) for i in range(26)])
    return means - at_words.mean(0)


def _saes(x: Tensor, letter_rows: Tensor) -> list[SAE]:
    """A ReLU SAE started from letters and samples and trained for seconds; the others have its weights."""
    torch.manual_seed(1)
    unit = torch.nn.functional.normalize
    samples = x[torch.randperm(len(x))[: N - 26]] - x.mean(0)
    W_dec = unit(torch.cat([letter_rows, samples]), dim=1).requires_grad_()
    W_enc = W_dec.detach().T.clone().requires_grad_()
    b_enc = torch.full((N,), -0.3 * float(samples.norm(dim=1).mean())).requires_grad_()
    b_dec = x.mean(0).clone().requires_grad_()
    optimizer = torch.optim.Adam([W_dec, W_enc, b_enc, b_dec], lr=2e-3)
    for _ in range(300):
        batch = x[torch.randint(len(x), (512,))]
        codes = torch.relu((batch - b_dec) @ W_enc + b_enc)
        error = (codes @ unit(W_dec, dim=1) + b_dec - batch).square().sum(1).mean()
        loss = error + 0.3 * codes.sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows = unit(W_dec, dim=1).detach()
    shared: dict[str, Any] = {"W_enc": W_enc.detach(), "W_dec": rows, "b_dec": b_dec.detach()}
    bias = b_enc.detach()
    bias[DEAD] = -1e3
    bias[DENSE] += 0.3 * float(samples.norm(dim=1).mean())
    return [
        SAE("topk", **shared, b_enc=bias, k=12),
        SAE("standard", **shared, b_enc=bias),
        SAE("jumprelu", **shared, b_enc=bias, threshold=0.5 * torch.rand(N)),
        SAE("gated", **shared, r_mag=0.1 * torch.randn(N), b_mag=bias + 0.2, b_gate=bias),
    ]
