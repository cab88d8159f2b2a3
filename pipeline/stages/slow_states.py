"""`slow_states VARIANT`: states planted in the text, read from single latents on the test split.

Text without labels (all but the embedded) gives missing numbers. Tables: documents.tsv (the items of a
paired comparison), states.tsv, delays.tsv, hierarchies.tsv.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import torch

from pipeline.console.errors import BadInput
from pipeline.metrics.slow_states.evaluate import Evaluator
from pipeline.metrics.slow_states.labels import Labels, State
from pipeline.metrics.slow_states.metrics import METRICS, TABLES, UNLABELLED
from pipeline.metrics.slow_states.section import SlowStatesSection
from pipeline.numbers.document import Measured, nothing
from pipeline.numbers.number import Number
from pipeline.sae.core.codes import Codes
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.evaluation import Control, Evaluation, Setting, evaluate, one_by_one
from pipeline.stages.common.files import ACTIVATIONS, TOKENS
from pipeline.store import Store, open_store
from pipeline.store.blocks import blocks
from pipeline.store.content import content
from pipeline.text.states import States, read_states


def run(variant: str) -> None:
    """Measure every SAE of `variant` on the test split."""
    evaluate("slow_states", variant, SlowStatesSection, prepare)


def prepare(setting: Setting[SlowStatesSection]) -> Evaluation:
    """The labels of the test split, and what reads them without an SAE."""
    states = read_states(TOKENS, "test")
    if states is None:
        return Evaluation(METRICS, one_by_one(lambda _: nothing(METRICS, UNLABELLED)), TABLES)
    section, store = setting.section, open_store(ACTIVATIONS)
    evaluator = Evaluator(labelled(store, states), section)
    known = {**content(store, "test"), "states": hashlib.sha256(states.values.tobytes()).hexdigest()}
    memo = setting.memo(known)

    def codes(sae: SAE) -> Iterator[Codes]:
        return (
            sae.encode(each.x, each.past) for each in blocks(store, section.batch_contexts, setting.device)
        )

    def dense() -> dict[str, object]:
        x = torch.cat([each.x for each in blocks(store, section.batch_contexts, torch.device("cpu"))])
        return {name: asdict(number) for name, number in evaluator.baselines(x.double().numpy()).items()}

    beside = {name: Number(**values) for name, values in memo.get("baselines", dense).items()}

    def of(sae: SAE) -> Measured:
        return evaluator.of(codes(sae), sae.n)

    centre = torch.tensor(store.attrs.mean).float()[None]
    return Evaluation(
        METRICS, one_by_one(of), TABLES,
        control=Control(centre, section.seed, lambda sae: of(sae).numbers, memo),
        width=(store.d, ACTIVATIONS), beside=beside,
    )  # fmt: skip


def labelled(store: Store, states: States) -> Labels:
    """The valid test tokens with their labels; raises BadInput when they are of another text."""
    rows = store.split("test")
    if states.values.shape[0] * states.values.shape[1] != len(rows):
        raise BadInput(f"{TOKENS} is not the text of {ACTIVATIONS}: run `dvc repro harvest`.")
    valid = np.flatnonzero(store.valid[rows.start : rows.stop])
    columns = states.values.reshape(-1, len(states.fields))[valid].astype(np.int64)
    fields = [
        State(field.name, field.values, column, field.kind == "slow", field.parent)
        for field, column in zip(states.fields, columns.T.copy(), strict=True)
    ]
    place = rows.start + valid
    document, token = (each[place].astype(np.int64) for each in (store.document, store.tokens))
    return Labels.of(fields, document, place // store.context_length, token)
