"""`behavior VARIANT`: cross-entropy and KL of the language model with each SAE spliced in.

Test contexts and their residual stream come from the activation store, as stored (bfloat16 stores: rounded);
all SAEs of the variant share the clean model's pass. Table: contexts.tsv (sums per context, the items of a
paired comparison).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pipeline.metrics.behavior.evaluate import METRICS, TABLES, ablations, score
from pipeline.metrics.behavior.evaluate import evaluate as measured
from pipeline.metrics.behavior.measure import Contexts, of_sae
from pipeline.metrics.behavior.section import BehaviorSection
from pipeline.metrics.common.controls import LOOKUP
from pipeline.numbers.document import Measured
from pipeline.numbers.number import Number
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.evaluation import Advance, Control, Evaluation, Setting, evaluate
from pipeline.stages.common.files import ACTIVATIONS
from pipeline.stages.common.language import model_of
from pipeline.stages.common.lookup import lookup_of
from pipeline.store import Store, open_store
from pipeline.store.blocks import evenly
from pipeline.store.content import content


@torch.no_grad()
def run(variant: str) -> None:
    """Splice every SAE of `variant` into the language model on test contexts."""
    evaluate("behavior", variant, BehaviorSection, prepare)


def prepare(setting: Setting[BehaviorSection]) -> Evaluation:
    """The language model and the contexts it is measured on."""
    section, store = setting.section, open_store(ACTIVATIONS)
    lm = model_of(store, setting.device, setting.compute.lm_precision)
    rows, length, site = store.split("test"), store.context_length, store.attrs.site
    chosen = evenly(range(rows.start // length, rows.stop // length), section.contexts)
    memo = setting.memo({**content(store, "test"), "lm": lm.weights_sha256})
    mean = torch.tensor(store.attrs.mean, device=setting.device)

    def suffix(residual: Tensor) -> Tensor:
        return lm.forward_from(residual, site)

    def test() -> Iterator[Contexts]:
        return batches(store, chosen, section.batch_contexts, setting.device)

    known: Mapping[str, Sequence[float]] = memo.get("ablations", lambda: ablations(test(), suffix, mean))

    def spliced(saes: Sequence[SAE], advance: Advance) -> list[Measured]:
        return measured(saes, test(), suffix, known, section, advance)

    def untrained(sae: SAE) -> Mapping[str, Number]:
        return score(of_sae(sae), test(), suffix, known, section)

    def looked_up() -> dict[str, Any]:
        every = torch.cat([batch.ids.flatten() for batch in test()]).cpu()
        lookup = lookup_of(store, every[~torch.isin(every, torch.tensor(store.attrs.special_ids))])

        def rows(batch: Contexts) -> Tensor:
            return lookup.reconstruct(batch.ids.flatten().cpu()).view_as(batch.residual).to(setting.device)

        found = score(rows, test(), suffix, known, section, LOOKUP)
        return {name: asdict(number) for name, number in found.items()}

    centre = torch.tensor(store.attrs.mean).float()[None]
    return Evaluation(
        METRICS, spliced, TABLES, "contexts", len(chosen), Control(centre, section.seed, untrained, memo),
        (store.d, ACTIVATIONS),
        {name: Number(**each) for name, each in memo.get("lookup", looked_up).items()},
    )  # fmt: skip


def batches(store: Store, chosen: list[int], size: int, device: torch.device) -> Iterator[Contexts]:
    """The `chosen` contexts, `size` at a time."""
    length = store.context_length
    columns = store.tokens, store.valid, store.document
    tokens, valid, document = (torch.from_numpy(each).view(-1, length) for each in columns)
    for start in range(0, len(chosen), size):
        index = chosen[start : start + size]
        residual = torch.stack([store.rows(each * length, (each + 1) * length) for each in index])
        yield Contexts(
            ids=tokens[index].long().to(device),
            residual=residual.to(device),
            special=~valid[index].to(device),
            index=torch.tensor(index),
            document=document[index].to(device),
        )
