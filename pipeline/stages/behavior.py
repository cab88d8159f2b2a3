"""`behavior VARIANT`: cross-entropy and KL of the language model with each SAE spliced in.

Test contexts and their residual stream come from the activation store, as stored (bfloat16 stores: rounded);
the clean model, its ablations and every SAE of the variant share one pass. Writes
reports/behavior/VARIANT: results.json and contexts.tsv (sums per context, the items of a paired comparison).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from pipeline.console.errors import BadInput
from pipeline.console.progress import Progress
from pipeline.lm.load import LanguageModel, load_lm
from pipeline.metrics.behavior.measure import (
    COLUMNS,
    METRICS,
    Behavior,
    BehaviorSection,
    Contexts,
    References,
    Spliced,
    evenly,
    spliced,
)
from pipeline.metrics.common.controls import (
    RANDOM,
    SHUFFLED,
    moved,
    permuted,
    random_metric,
    random_sae,
    shuffled_metric,
)
from pipeline.metrics.common.number import missing, results, row
from pipeline.metrics.common.tally import Resampling
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.files import ACTIVATIONS, LM, evaluation_folder, fresh, write_json, write_tsv
from pipeline.stages.saes import Trained, require_width, trained_saes
from pipeline.store import Store, open_store

DEFINED = [*METRICS, shuffled_metric("ce_score", "share"), random_metric("ce_score", "share")]
SAE_COLUMNS = ("label", "seed", "run")


@torch.no_grad()
def run(variant: str) -> None:
    """Splice every SAE of `variant` into the language model on test contexts."""
    params = read_params()
    section = params.get("behavior", BehaviorSection)
    compute = params.get("profile.compute", ComputeSection)
    device = compute.apply()
    store = open_store(ACTIVATIONS)
    saes = list(trained_saes(variant, params.value("seeds"), device))
    require_width(saes, store.d, ACTIVATIONS)
    lm = load_lm(LM, device, compute.lm_precision)
    require_same_model(lm, store)
    measured = [(trained, Behavior()) for trained in saes if trained.run.status == "ok"]
    controls = make_controls(measured, store, section.seed, device)
    measure(measured, controls, lm, store, section, device, variant)
    write(variant, saes, measured, controls, Resampling(section.resamples, section.seed))


def make_controls(
    measured: list[tuple[Trained, Behavior]], store: Store, seed: int, device: torch.device
) -> dict[str | tuple[int, int], Spliced]:
    """One per SAE with its decoder permuted, by folder, and one untrained per (n, L0)."""
    centre = torch.tensor(store.attrs.mean).float()[None]
    controls: dict[str | tuple[int, int], Spliced] = {}
    for trained, _ in measured:
        controls[str(trained.folder)] = Spliced(permuted(trained.sae, seed))
        n, k = trained.sae.n, trained.control_k
        if (n, k) not in controls:
            controls[n, k] = Spliced(moved(random_sae(centre, n, k, seed), device))
    return controls


def require_same_model(lm: LanguageModel, store: Store) -> None:
    """Raise BadInput unless the store was harvested from this very model."""
    if lm.weights_sha256 != store.attrs.weights_sha256:
        raise BadInput(
            f"{ACTIVATIONS} was harvested from {store.attrs.model_id} with other weights than {LM} "
            f"({lm.model_id}): run `dvc repro harvest`."
        )


def measure(
    measured: list[tuple[Trained, Behavior]],
    controls: dict[str | tuple[int, int], Spliced],
    lm: LanguageModel,
    store: Store,
    section: BehaviorSection,
    device: torch.device,
    variant: str,
) -> None:
    """One pass over the contexts for the clean model, the ablations and every SAE."""
    if not measured:
        return
    site = store.attrs.site
    references = References(
        lambda residual: lm.forward_from(residual, site), torch.tensor(store.attrs.mean, device=device)
    )
    rows = store.split("test")
    chosen = evenly(rows.start // store.context_length, rows.stop // store.context_length, section.contexts)
    with Progress(f"behavior {variant}", len(chosen), "contexts") as bar:
        for batch in batches(store, chosen, section.batch_contexts, device):
            clean, shared = references.measure(batch)
            for trained, behavior in measured:
                behavior.add(batch.index, {**shared, **spliced(clean, trained.sae, batch)})
            for control in controls.values():
                control.add(clean, shared, batch)
            bar.advance(len(batch.index))


def batches(store: Store, chosen: list[int], size: int, device: torch.device) -> Iterator[Contexts]:
    """The `chosen` contexts, `size` at a time."""
    length = store.context_length
    tokens, valid = (
        torch.from_numpy(store.tokens).view(-1, length),
        torch.from_numpy(store.valid).view(-1, length),
    )
    for start in range(0, len(chosen), size):
        index = chosen[start : start + size]
        residual = torch.stack([store.rows(each * length, (each + 1) * length) for each in index])
        yield Contexts(
            ids=tokens[index].long().to(device),
            residual=residual.to(device),
            special=~valid[index].to(device),
            index=torch.tensor(index),
        )


def write(
    variant: str,
    saes: list[Trained],
    measured: list[tuple[Trained, Behavior]],
    controls: dict[str | tuple[int, int], Spliced],
    plan: Resampling,
) -> None:
    """Write results.json and the table of contexts."""
    folder = fresh(evaluation_folder("behavior", variant))
    beside = {which: control.value(plan) for which, control in controls.items()}
    values = {
        trained.folder: behavior.values(plan)
        | {
            f"ce_score{SHUFFLED}": beside[str(trained.folder)],
            f"ce_score{RANDOM}": beside[trained.sae.n, trained.control_k],
        }
        for trained, behavior in measured
    }
    rows = []
    for trained in saes:
        reason = missing(trained.run.reason or "the training diverged")
        found = values.get(trained.folder, {metric.name: reason for metric in DEFINED})
        rows.append(row(trained.identity, found))
    write_json(folder / "results.json", results("behavior", variant, DEFINED, rows))
    write_tsv(
        folder / "contexts.tsv",
        [*SAE_COLUMNS, "context", *COLUMNS],
        (
            entry
            for trained, behavior in measured
            for entry in behavior.tally.rows(**{name: trained.identity[name] for name in SAE_COLUMNS})
        ),
    )
