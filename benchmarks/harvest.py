"""Row `harvest`: residual streams to disk, beside the bare truncated forward and SAELens' runner."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.language import CONTEXT, LAYER, D, token_ids, write_model
from benchmarks.timing import interleave
from pipeline.lm.core.load import LanguageModel, load_lm
from pipeline.lm.core.site import Site
from pipeline.store.schema import Header, chunk_contexts
from pipeline.store.writer import Writer

CONTEXTS, BATCH = 256, 32
SITE = Site("resid_post", LAYER)
ROUNDS, SECONDS = 7, 45.0


def rows(variant: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """The one row."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_model(folder / "lm")
        lm = load_lm(folder / "lm", device)
        ids = token_ids(CONTEXTS)
        work = {
            "ours, store included": lambda: ours(lm, ids, folder / "ours"),
            "bare truncated forward": lambda: bare(lm, ids),
            "SAELens CacheActivationsRunner": saelens(folder, ids, device),
        }
        times = interleave(work, ROUNDS, SECONDS, warm=1)
    yield (
        "harvest",
        {"shape": f"d {D}, {LAYER + 1} of 6 blocks, float32", "tokens": ids.numel(), "times": times},
    )


def ours(lm: LanguageModel, ids: torch.Tensor, folder: Path) -> None:
    """What the stage `harvest` does: chunks of batches, written, verified, statistics taken."""
    shutil.rmtree(folder, ignore_errors=True)
    header = Header(
        model_id=lm.model_id, revision=None, weights_sha256=lm.weights_sha256, tokenizer_hash="",
        layer=SITE.layer, hook_name=SITE.hook_name, d=D, context_length=CONTEXT, special_ids=lm.special_ids,
        splits={"train": [0, len(ids)]}, logical_dtype="float32", codec="none",
        chunk_contexts=chunk_contexts(8.0, CONTEXT, D, "float32"),
    )  # fmt: skip
    tokens = ids.int().numpy()
    writer = Writer(folder, header, tokens, tokens * 0)
    for chunk in range(writer.chunks):
        span = writer.span(chunk)
        parts = ids[span.start : span.stop].split(BATCH)
        writer.write(chunk, torch.cat([lm.forward_to(part, SITE).cpu() for part in parts]))
    writer.finish()


@torch.no_grad()
def bare(lm: LanguageModel, ids: torch.Tensor) -> None:
    """transformers' own forward of the first blocks; what comes out is thrown away."""
    base = lm.model.base_model
    blocks = base.layers
    base.layers = blocks[: LAYER + 1]
    try:
        for part in ids.split(BATCH):
            base(input_ids=part.to(lm.device), use_cache=False).last_hidden_state.cpu()
    finally:
        base.layers = blocks


def saelens(folder: Path, ids: torch.Tensor, device: str) -> Any:
    """SAELens' runner on the same model and ids; its Hugging Face wrapper runs all blocks."""
    from datasets import Dataset
    from sae_lens import CacheActivationsRunner, CacheActivationsRunnerConfig

    place = folder / "saelens"
    config = CacheActivationsRunnerConfig(
        dataset_path="none", model_name=str(folder / "lm"), model_class_name="AutoModelForCausalLM",
        model_batch_size=BATCH, hook_name=f"model.layers.{LAYER}", d_in=D, training_tokens=ids.numel(),
        context_size=CONTEXT, new_cached_activations_path=str(place), shuffle=False, dtype="float32",
        device=device, buffer_size_gb=0.02, prepend_bos=True, streaming=False,
    )  # fmt: skip
    data = Dataset.from_dict({"input_ids": ids.tolist()})
    runner = CacheActivationsRunner(config, override_dataset=data)

    def run() -> None:
        shutil.rmtree(place, ignore_errors=True)
        runner.run()

    return run
