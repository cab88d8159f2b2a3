"""Every term of every variant is there, and not zero, in at least half of a default run."""

from __future__ import annotations

import pytest

from tests.training import toy

TERMS = {
    "standard": {"reconstruction", "sparsity"},
    "topk": {"reconstruction"},
    "batchtopk": {"reconstruction"},
    "jumprelu": {"reconstruction", "sparsity"},
    "gated": {"reconstruction", "sparsity", "auxiliary"},
    "matryoshka": {"reconstruction"},
    "atm": {"reconstruction", "sparsity"},
    "temporal": {"reconstruction", "sparsity", "temporal"},
    "tsae": {"reconstruction", "sparsity", "temporal"},
    "contrastive": {"reconstruction", "contrastive"},
    "txc": {"reconstruction"},
    "tfa": {"reconstruction"},
}
OF_DEAD_LATENTS = {
    name: "auxk" for name in ("topk", "batchtopk", "matryoshka", "contrastive", "txc", "tfa")
} | {"jumprelu": "pre_activation"}
NOT_TERMS = {"step", "tokens", "loss", "l0", "explained_variance", "dead", "coefficient", "lr"}


@pytest.mark.parametrize("variant", toy.VARIANTS)
def test_terms_are_active(variant: str) -> None:
    [one] = toy.trained(variant, tokens=80 * 64, log_every=1, dead_tokens=10**6)
    assert len(one.log) == 80
    assert {name for row in one.log for name in row} - NOT_TERMS == TERMS[variant]
    for name in TERMS[variant]:
        active = sum(abs(row[name]) > 0 for row in one.log)
        assert active >= 40, name
    for row in one.log:
        assert row["loss"] == pytest.approx(sum(row[name] for name in TERMS[variant]), rel=1e-5)


@pytest.mark.parametrize("variant", OF_DEAD_LATENTS)
def test_terms_of_dead_latents(variant: str) -> None:
    """They stand in the objective exactly when a latent is dead, and revive some."""
    one, reader = toy.trainer(variant, {"pre_activation_weight": 0.5} if variant == "jumprelu" else {},
                              steps=120, dead_tokens=3 * 64)  # fmt: skip
    toy.kill(one, range(12))
    if variant != "jumprelu":
        one.weights["b_enc"].data[:12] = -3.0  # AuxK moves only what it can light up
    seen = []
    for index in range(120):
        one.step(reader.next())
        figures = one.figures
        term = OF_DEAD_LATENTS[variant]
        assert (term in figures) <= (figures["dead"] > 0)
        seen.append(abs(figures.get(term, 0.0)) > 0)
        if index < 3:
            assert not seen[-1]
    assert sum(seen) >= 60


@pytest.mark.parametrize("variant", ["atm", "temporal"])
def test_mechanisms_without_a_term_are_active(variant: str) -> None:
    """atm masks and temporal scales in at least half of the steps."""
    one, reader = toy.trainer(variant, steps=80)
    active = 0
    for _ in range(80):
        one.step(reader.next())
        if variant == "atm":
            active += bool((one.variant.statistics()["mask"] == 0).any())
        else:
            scale = one.variant.update_scale()
            active += scale is not None and bool((scale != 1).any())
    assert active >= 40
