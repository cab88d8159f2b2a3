"""`reconstruction VARIANT`: held-out reconstruction, sparsity, density and temporal consistency.

Reads the test split, and of the train split a window that tells dead latents. Tables: contexts.tsv and
temporal.tsv (sums per context, the items of a paired comparison), latents.tsv, density_histogram.tsv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.reconstruction.evaluate import BY_CONSTRUCTION, METRICS, TABLES, Split, looked_up
from pipeline.metrics.reconstruction.evaluate import evaluate as measured
from pipeline.metrics.reconstruction.measure import mean_activation
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.evaluation import Control, Evaluation, Setting, evaluate
from pipeline.stages.common.files import ACTIVATIONS
from pipeline.stages.common.lookup import lookup_of, tokens_of
from pipeline.store import Batch, open_store
from pipeline.store.blocks import blocks
from pipeline.store.content import content


def run(variant: str) -> None:
    """Measure every SAE of `variant` on the test split."""
    evaluate("reconstruction", variant, ReconstructionSection, prepare)


def prepare(setting: Setting[ReconstructionSection]) -> Evaluation:
    """The test split, read once for all SAEs."""
    section, store, device = setting.section, open_store(ACTIVATIONS), setting.device
    rows, memo = store.split("test"), setting.memo(content(store, "test"))

    def test() -> Iterator[Batch]:
        return blocks(store, section.batch_contexts, device)

    def window() -> Iterator[Batch]:
        return blocks(store, section.batch_contexts, device, "train", section.dead_tokens)

    mean = mean_activation((block.x for block in test()), store.d)
    stop = rows.start // store.context_length + section.temporal_contexts
    split = Split(test, window, mean, stop)

    def untrained(sae: SAE) -> Mapping[str, Number]:
        return measured([sae], split, section, lambda _: None)[0].numbers

    def lookup() -> dict[str, Any]:
        def tokens(block: Batch) -> Tensor:
            return tokens_of(store, block)

        wanted = torch.from_numpy(store.tokens[rows.start : rows.stop]).long()
        found = looked_up(lookup_of(store, wanted), tokens, split, section)
        return {name: asdict(number) for name, number in found.items()}

    return Evaluation(
        METRICS,
        lambda saes, advance: measured(saes, split, section, advance),
        TABLES, "tokens", int(store.valid[rows.start : rows.stop].sum()),
        Control(mean.float()[None], section.seed, untrained, memo),
        (store.d, ACTIVATIONS),
        BY_CONSTRUCTION | {name: Number(**each) for name, each in memo.get("lookup", lookup).items()},
    )  # fmt: skip
