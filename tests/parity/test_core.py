"""Core: 24 scalars and two numbers per latent, from the token batches that SAEBench drew."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pipeline.metrics.behavior.evaluate import ablations, evaluate
from pipeline.metrics.behavior.measure import Contexts
from pipeline.metrics.behavior.section import BehaviorSection
from pipeline.metrics.common.resampling import Resampling
from pipeline.metrics.reconstruction import geometry
from pipeline.metrics.reconstruction.density import Density
from pipeline.metrics.reconstruction.measure import Reconstruction, mean_activation
from pipeline.numbers.number import Number
from pipeline.sae.core.folder import load_sae
from pipeline.sae.core.inference import SAE
from tests.parity.conftest import Oracle
from tests.parity.ledger import Ledger, Pair
from tests.parity.world import ARCHITECTURES, SITE, D, World

PLAN = Resampling(100, 0)
NAMES = {"mse": "mse_saebench", "explained_variance": "explained_variance_saebench", "cossim": "cosine"}
"""SAEBench's field to our metric, where the names differ."""


def drawn(folder: Path, architecture: str) -> tuple[dict[str, Any], list[Tensor]]:
    """What SAEBench found for one SAE, and its token batches."""
    found = json.loads((folder / f"{architecture}.json").read_text(encoding="utf-8"))
    return found, [ids for _, ids in sorted(load_file(folder / f"{architecture}.safetensors").items())]


@torch.no_grad()
def behavior(world: World, sae: SAE, batches: list[Tensor]) -> dict[str, Number]:
    """Our metrics of the model with the SAE spliced in."""
    lm, made, first = world.lm, [], 0
    for ids in batches:
        special = torch.isin(ids, torch.tensor(lm.special_ids))
        index = torch.arange(first, first := first + len(ids))
        made.append(Contexts(ids, lm.forward_to(ids, SITE), special, index, torch.zeros_like(ids)))

    def suffix(residual: Tensor) -> Tensor:
        return lm.forward_from(residual, SITE)

    known = ablations(made, suffix, torch.zeros(D))
    (found,) = evaluate([sae], made, suffix, known, BehaviorSection(resamples=100), lambda _: None)
    return dict(found.numbers)


@torch.no_grad()
def reconstruction(world: World, sae: SAE, batches: list[Tensor]) -> tuple[dict[str, Number], Density]:
    """Our metrics of the reconstruction, and every latent's counts."""
    parts, first = [], 0
    for ids in batches:
        valid = ~torch.isin(ids, torch.tensor(world.lm.special_ids))
        context = torch.arange(first, first := first + len(ids))[:, None].expand_as(ids)
        parts.append((world.lm.forward_to(ids, SITE)[valid], context[valid]))
    found = Reconstruction(sae.n, mean_activation((x for x, _ in parts), D))
    for x, context in parts:
        codes = sae.encode(x)
        found.add(x, sae.decode(codes), codes, context)
    return found.values(PLAN) | geometry.values(sae), found.density


def scalars(world: World, sae: SAE, theirs: dict[str, Any], batches: list[Tensor]) -> dict[str, Pair]:
    """SAEBench's field to our value and SAEBench's."""
    first = theirs["reconstruction_batches"]
    ours = behavior(world, sae, batches[:first]) | reconstruction(world, sae, batches[first:])[0]
    return {
        name: (ours[NAMES.get(name, name)].value, value)
        for category, fields in theirs["metrics"].items() if category != "token_stats"
        for name, value in fields.items()
    }  # fmt: skip


def per_latent(world: World, sae: SAE, theirs: dict[str, Any], batches: list[Tensor]) -> dict[str, Pair]:
    """Density of every latent; tokens per context of those that fire (SAEBench: NaN where none)."""
    rows = list(reconstruction(world, sae, batches[theirs["reconstruction_batches"] :])[1].latents())
    alive = [i for i, row in enumerate(rows) if row["fired"]]
    column = "tokens_per_context"
    known = theirs["features"]["consistent_activation_heuristic"]
    return {
        "feature_density": ([row["density"] for row in rows], theirs["features"]["feature_density"]),
        "consistent_activation_heuristic": ([rows[i][column] for i in alive], [known[i] for i in alive]),
        "average_max_encoder_cosine_sim of each latent": (
            geometry.largest_cosines(sae.W_enc.T), theirs["features"]["max_encoder_cosine_sim"]
        ),
        "average_max_decoder_cosine_sim of each latent": (
            geometry.largest_cosines(sae.W_dec), theirs["features"]["max_decoder_cosine_sim"]
        ),
    }  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_core(world: World, oracle: Oracle, ledger: Ledger, architecture: str) -> None:
    theirs, batches = drawn(oracle.finished("core"), architecture)
    sae = load_sae(world.sae_folder(architecture))[0]
    pairs = scalars(world, sae, theirs, batches)
    assert len(pairs) == 24
    ledger.relative("core", pairs)
    ledger.relative("core", per_latent(world, sae, theirs, batches))
    right = reconstruction(world, sae, batches[theirs["reconstruction_batches"] :])[0]
    for name in ("explained_variance", "mse"):
        ledger.differs(architecture, f"core: {name}", pairs[name][1], name, float(right[name].value or 0))


def test_every_core_scalar_can_fail(world: World, oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer tokens, latents switched off and a prior over tokens: no field stays within the tolerance."""
    theirs, batches = drawn(oracle.finished("core"), "standard")
    sae = load_sae(world.sae_folder("standard"))[0]
    assert sae.b_enc is not None
    b_enc, W_enc, W_dec = sae.b_enc.clone(), sae.W_enc.clone(), sae.W_dec.clone()
    b_enc[44:100] = -1e3
    W_enc[0, 0] += 0.1
    W_dec[0] = W_dec[1]
    changed = replace(sae, b_enc=b_enc, W_enc=W_enc, W_dec=W_dec)
    suffix = world.lm.forward_from

    def leaning(residual: Tensor, layer: int) -> Tensor:
        # zeros after the layer give equal logits whatever the tokens: only the suffix can change that
        logits = suffix(residual, layer)
        return logits + torch.linspace(0, 1, logits.shape[-1])

    monkeypatch.setattr(world.lm, "forward_from", leaning)
    fewer = [ids[1:] for ids in batches]
    pairs = scalars(world, changed, theirs, fewer) | per_latent(world, changed, theirs, fewer)
    for pair in pairs.items():
        with pytest.raises(AssertionError, match="largest difference"):
            Ledger().relative("core", dict([pair]))
