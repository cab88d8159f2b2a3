"""`reconstruction VARIANT`: held-out reconstruction, sparsity, density and temporal consistency.

Reads the test split. Tables: contexts.tsv and temporal.tsv (sums per context, the items of a paired
comparison), latents.tsv, density_histogram.tsv.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.metrics.reconstruction.evaluate import METRICS, TABLES
from pipeline.metrics.reconstruction.evaluate import evaluate as measured
from pipeline.metrics.reconstruction.measure import mean_activation
from pipeline.metrics.reconstruction.section import ReconstructionSection
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.stages.evaluation import Control, Evaluation, Setting, evaluate
from pipeline.stages.files import ACTIVATIONS
from pipeline.store import Batch, open_store
from pipeline.store.blocks import blocks
from pipeline.store.content import content


def run(variant: str) -> None:
    """Measure every SAE of `variant` on the test split."""
    evaluate("reconstruction", variant, ReconstructionSection, prepare)


def prepare(setting: Setting[ReconstructionSection]) -> Evaluation:
    """The test split, read once for all SAEs."""
    section, store = setting.section, open_store(ACTIVATIONS)
    rows = store.split("test")
    stop = rows.start // store.context_length + section.temporal_contexts

    def test() -> Iterator[Batch]:
        return blocks(store, section.batch_contexts, setting.device)

    mean = mean_activation((block.x for block in test()), store.d)

    def untrained(sae: SAE) -> Mapping[str, Number]:
        return measured([sae], test(), mean, stop, section, lambda _: None)[0].numbers

    return Evaluation(
        METRICS,
        lambda saes, advance: measured(saes, test(), mean, stop, section, advance),
        TABLES, "tokens", int(store.valid[rows.start : rows.stop].sum()),
        Control(mean.float()[None], section.seed, untrained, setting.memo(content(store, "test"))),
        (store.d, ACTIVATIONS),
    )  # fmt: skip
