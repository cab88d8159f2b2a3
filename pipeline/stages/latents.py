"""Stage `latents@VARIANT`: what some latents of a variant's SAEs respond to, for the page's browser.

The first training seed, every L0 target; controls and paper presets are left to `python -m pipeline
latent`. Writes reports/latents/VARIANT/latents.json, whose size is bounded (docs/latents.md).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pipeline.latents.activations import LatentActivations, activations_of
from pipeline.latents.choose import TEXT, choose
from pipeline.latents.describe import describe
from pipeline.latents.logit_lens import logit_lens
from pipeline.latents.words import Words
from pipeline.lm.core.load import LanguageModel
from pipeline.numbers.document import read_beside, read_results, stage_of
from pipeline.numbers.files import SCHEMAS
from pipeline.params import Params, read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.index import EXTERNAL
from pipeline.sae.core.inference import SAE
from pipeline.stages.common.files import ACTIVATIONS, REPORTS, evaluation_folder, external_folder, fresh
from pipeline.stages.common.language import model_of
from pipeline.stages.common.saes import Trained, require_width, trained_saes
from pipeline.store import Store, open_store
from pipeline.store.blocks import blocks, rows_at

TEXT_TOKENS = 64
"""Tokens of the shared text: the first valid ones of the test split's first context."""
BLOCK = 16
"""Contexts encoded at once."""


class Inspection:
    """What every SAE is looked at with: the store, the language model, the words, the shared text."""

    def __init__(self, device: torch.device, precision: Any) -> None:
        self.device = device
        self.store: Store = open_store(ACTIVATIONS)
        self.lm: LanguageModel = model_of(self.store, device, precision)
        self.words = Words(self.lm.tokenizer)
        rows = self.store.split("test")
        first = torch.from_numpy(self.store.valid[rows.start : rows.start + self.store.context_length])
        self.text: Tensor = first.nonzero()[:TEXT_TOKENS, 0]
        self.blocks = list(blocks(self.store, BLOCK, device))

    def shown_text(self) -> list[int]:
        """The words of the shared text."""
        start = self.store.split("test").start
        return [self.words.number(int(self.store.tokens[start + place])) for place in self.text.tolist()]

    @torch.no_grad()
    def strongest(self, sae: SAE) -> list[int]:
        """The latents of the largest summed activation over the shared text, in that order."""
        text = rows_at(self.store, self.store.split("test").start + self.text.numpy()).to(self.device)
        codes = sae.encode(text.x, text.past)
        total = codes.pairs.sum_by_latent(codes.value)
        order = total.argsort(descending=True, stable=True)[:TEXT]
        return [int(each) for each in order if total[each] > 0]

    def records(self, sae: SAE, latents: list[int], **options: int) -> list[dict[str, Any]]:
        """The record of each of `latents`."""
        seen: LatentActivations = activations_of(sae, self.store, self.blocks, latents)
        logits = logit_lens(self.lm, sae.W_dec[latents])
        return [
            describe(sae, seen, place, logits[place], self.words, self.text, **options)
            for place in range(len(latents))
        ]


def run(variant: str) -> None:
    """Write the records of `variant`; raises BadInput when an evaluation it chooses by is missing."""
    params = read_params()
    compute = params.get("profile.compute", ComputeSection)
    inspection = Inspection(compute.apply(), compute.lm_precision)
    saes = [
        each for each in trained_saes(variant, params.value("seeds")[:1], inspection.device) if _shown(each)
    ]
    require_width(saes, inspection.store.d, ACTIVATIONS)
    latents = _table("reconstruction", variant, "latents.tsv")
    words = _table("absorption", variant, "words.tsv")
    partners = _table("stability", variant, "latents.tsv")
    text = inspection.shown_text()
    found = [_sae(inspection, trained, latents, words, partners) for trained in saes]
    document = {
        "schema": SCHEMAS["latents.json"], "variant": variant, "model": inspection.store.attrs.model_id,
        "layer": inspection.store.attrs.layer, "params": _section(params, saes),
        "words": inspection.words.texts, "text": text, "saes": found,
    }  # fmt: skip
    folder = fresh(REPORTS / "latents" / variant)
    compact = json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))
    (folder / "latents.json").write_text(compact + "\n", encoding="utf-8")


def _sae(
    inspection: Inspection,
    trained: Trained,
    latents: list[dict[str, Any]],
    words: list[dict[str, Any]],
    partners: list[dict[str, Any]],
) -> dict[str, Any]:
    identity = asdict(trained.identity)
    name = f"{identity['variant']} {identity['run']}"
    chosen = choose(_own(latents, identity), _own(words, identity), inspection.strongest(trained.sae), name)
    records = inspection.records(trained.sae, list(chosen))
    stable = _stability(_own(partners, identity))
    return {
        **{key: identity[key] for key in ("label", "seed", "run", "target", "l0", "n")},
        "latents": [
            {**record, "why": chosen[record["latent"]], "stability": stable.get(record["latent"])}
            for record in records
        ],
    }


def _stability(rows: list[dict[str, Any]]) -> dict[int, float]:
    """Of each latent that has a partner in another seed, the mean cosine with its partners."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["matched_cosine"] == row["matched_cosine"]:  # not NaN
            found.setdefault(row["latent"], []).append(row["matched_cosine"])
    return {latent: round(sum(each) / len(each), 3) for latent, each in found.items()}


def _section(params: Params, saes: list[Trained]) -> Any:
    """The method's own parameters, for the page; an SAE trained elsewhere has none here."""
    ours = [each.run.variant for each in saes if each.run.reading != EXTERNAL]
    return params.section(ours[0]) if ours else {}


def _shown(trained: Trained) -> bool:
    """Not a diverged SAE, a control or a paper preset."""
    run = trained.run
    aimed = run.target is not None and run.control is None
    return run.status == "ok" and (aimed or run.reading == EXTERNAL)


def _own(rows: list[dict[str, Any]], identity: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[key] == identity[key] for key in ("label", "seed", "run"))]


def _table(evaluation: str, variant: str, file: str) -> list[dict[str, Any]]:
    """The rows of a table that `evaluation` wrote."""
    folder = evaluation_folder(evaluation, variant)
    results = read_results(folder, stage_of(evaluation, variant, external_folder(variant).is_dir()))
    rows: list[Any] = read_beside(folder, results, file).to_dict("records")
    return rows
