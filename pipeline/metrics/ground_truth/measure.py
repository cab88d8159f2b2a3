"""What an SAE got right when the true dictionary and the true codes are known: ours (docs/ground_truth.md).

Everything is counted exactly on held-out tokens; no probe and no projection stands in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.metrics.ground_truth.synthetic import KINDS, Sample, Source
from pipeline.metrics.ground_truth.true_features import (
    Matches,
    Misses,
    delay,
    encode,
    fire,
    flicker,
    flicker_of_each,
    hits,
    match,
    miss,
)
from pipeline.metrics.ground_truth.unseen import best_cosines, told_orders, told_states
from pipeline.numbers.definition import Definition, Headline
from pipeline.numbers.number import Number, missing
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.inference import SAE
from pipeline.stats.intervals import bootstrap

RECOVERED = 0.9
"""Cosine above which a true feature counts as recovered."""
OWNED = 0.5**0.5
"""Cosine above which a latent is a parent's own: at most one of orthogonal features can have it."""
LEARNED = 0.5
"""Cosine above which a child counts as learned: an even mixture of two features has 0.71 with each, the
best of 512 random directions in 96 dimensions about 0.36."""
RESAMPLES = 1000
"""Bootstrap draws over true features, or over parents."""

_OWNED = "mean over parents with a latent of their own (cosine above 0.71) that are seen both ways; ours."
METRICS = [
    Definition(
        "recovery_mmcs", "higher", "cosine", 1,
        "Mean over true features of the largest cosine with a decoder row "
        "(mean maximum cosine similarity, Sharkey et al. 2022).",
        headline=Headline("recovery", "recovery (MMCS)", 10),
    ),
    *(
        Definition(
            f"recovery_mmcs_{kind}", "higher", "cosine", 1, f"recovery_mmcs over {kind} features.", False
        )
        for kind in KINDS
    ),
    Definition(
        "recovery_share", "higher", "share", 1,
        "Share of true features whose largest cosine with a decoder row is above 0.9; ours.",
    ),
    Definition(
        "firing_f1", "higher", "share", 1,
        "F1 of the best-matched latent's firing against the true feature's, mean over true features that "
        "fire; ours.",
        headline=Headline("firing_f1", "firing F1", 30),
    ),
    Definition(
        "exact_absorption", "lower", "share", 1,
        f"parent_miss_with_child minus parent_miss_alone, {_OWNED}",
        headline=Headline("exact_absorption", "exact absorption", 40),
    ),
    Definition(
        "exact_absorption_matched", "lower", "share", 1,
        "exact_absorption within tokens of equal true L0 (Mantel-Haenszel risk difference), so that a "
        f"fixed budget of latents cannot pass for absorption, {_OWNED}",
    ),
    Definition(
        "parent_miss_with_child", "lower", "share", 1,
        f"P(the parent's latent is silent | the parent and at least one child are on), {_OWNED}",
    ),
    Definition(
        "parent_miss_alone", "lower", "share", 1,
        f"P(the parent's latent is silent | the parent is on without a child), {_OWNED}",
    ),
    Definition(
        "child_parent_leak", "lower", "cosine", 1,
        "Cosine of a child's best-matched decoder row with its parent's direction, minus that of the two "
        "true directions, mean over learned children (cosine above 0.5); ours.",
    ),
    Definition("flicker_true", "neither", "share", 1, "flicker of the true firing: the value to meet."),
    Definition(
        "flicker", "neither", "share", 1,
        "P(a latent is off | it was on at the previous token of the same document), pooled over latents; "
        "ours.",
    ),
    Definition("flicker_parent_true", "neither", "share", 1, "flicker of the parents' true firing."),
    Definition("flicker_parent", "neither", "share", 1, "flicker of the latents that are parents' own."),
    Definition(
        "flicker_parent_error", "lower", "share", 1,
        "Difference, in size, of the flicker of a parent's own latent and of the parent's true firing, mean "
        "over parents with a latent of their own (cosine above 0.71) that is ever on; ours.",
        headline=Headline("flicker_parent", "parents' flicker, off the truth", 50),
    ),
    Definition(
        "detection_delay", "lower", "tokens", 1,
        "Tokens from a parent's onset until its own latent is on, mean over onsets of parents with a latent "
        "of their own; a run that is never detected counts with its whole length; ours.",
        headline=Headline("onset_delay", "delay of detection", 60),
    ),
    Definition(
        "state_f1", "higher", "share", 1,
        "Largest F1 of any latent's firing with a hidden state that no token holds, mean over states; ours.",
    ),
    Definition(
        "state_f1_token", "neither", "share", 1,
        "state_f1 of whether any coupled feature of the state is on: what a token alone can tell.",
    ),
    Definition(
        "state_cosine", "higher", "cosine", 1,
        "Largest cosine of a decoder row with the mean direction of a hidden state's coupled features, mean "
        "over states (global recovery of TempBench).",
    ),
    Definition(
        "order_f1", "higher", "share", 1,
        "Largest F1 of any latent's firing with one event after another, mean over pairs of events; ours.",
    ),
    Definition(
        "order_f1_token", "neither", "share", 1,
        "order_f1 of whether the second event is on: what a token alone can tell.",
    ),
    Definition(
        "explained_variance", "higher", "share", 1,
        "1 - sum |x - x^|^2 / sum |x - mean x|^2 over held-out tokens.",
    ),
    Definition(
        "l0", "neither", "latents per token", 1, "Latents above zero per held-out token.",
        headline=Headline("l0", "L0", 0, decimals=2),
    ),
    Definition("l0_true", "neither", "features per token", 1, "True features on per held-out token.", False),
]  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What is true of an SAE: its values; for the table beside them, each feature's match and F1 (F,)."""

    values: dict[str, Number]
    matches: Matches
    f1: Tensor


def measure(sae: SAE, source: Source, sample: Sample) -> Truth:
    """Every metric of `sae` on held-out `sample` of `source`; the SAE works in the units of `sample.x`."""
    codes, unexplained = encode(sae, sample)
    matches = match(sae.W_dec, source.directions)
    truth = sample.truth.pairs
    active = hits(codes.pairs, truth, matches.latent)
    f1 = fire(codes.pairs, truth, matches.latent, active).f1
    owned = matches.cosine[: source.section.parents] > OWNED
    values = _recovery(matches, source)
    values["firing_f1"] = _mean(f1, "no true feature fires")
    values |= _absorption(miss(truth, active, source), owned)
    values["child_parent_leak"] = _leak(sae.W_dec, source, matches)
    own = matches.latent[: owned.numel()]
    values |= _flicker(codes.pairs, sample, source, own[owned])
    values["flicker_parent_error"] = _flicker_error(codes.pairs, sample, own, owned)
    values["detection_delay"] = _delay(truth, active, source, sample, owned)
    values |= _told(sae, codes.pairs, source, sample)
    tokens = sample.x.shape[0]
    values["l0"] = Number(codes.l0(), tokens)
    values["l0_true"] = Number(sample.truth.l0(), tokens)
    values["explained_variance"] = Number(1 - unexplained, tokens)
    return Truth(values, matches, f1)


def _recovery(matches: Matches, source: Source) -> dict[str, Number]:
    values = {"recovery_mmcs": _mean(matches.cosine, "there are no features")}
    kinds = source.kinds
    for kind in KINDS:
        of_kind = torch.tensor([each == kind for each in kinds])
        values[f"recovery_mmcs_{kind}"] = _mean(matches.cosine[of_kind], f"there is no {kind} feature")
    values["recovery_share"] = _mean((matches.cosine > RECOVERED).double(), "there are no features")
    return values


def _absorption(misses: Misses, owned: Tensor) -> dict[str, Number]:
    rates = {
        "parent_miss_with_child": misses.with_child,
        "parent_miss_alone": misses.alone,
        "exact_absorption": misses.difference,
        "exact_absorption_matched": misses.matched,
    }
    reason = "no parent with a latent of its own is seen both with a child and alone"
    both = owned & ~misses.difference.isnan()  # the two rates and their difference over the same parents
    return {name: _mean(rate[both], reason) for name, rate in rates.items()}


def _leak(W_dec: Tensor, source: Source, matches: Matches) -> Number:
    child = ((source.parent >= 0) & (matches.cosine > LEARNED)).nonzero()[:, 0]
    rows = W_dec[matches.latent[child]]
    rows = rows / rows.norm(dim=1, keepdim=True)
    leak = ((rows - source.directions[child]) * source.directions[source.parent[child]]).sum(1)
    return _mean(leak, "no child is learned (cosine above 0.5)")


def _flicker(codes: Pairs, sample: Sample, source: Source, own: Tensor) -> dict[str, Number]:
    """Flicker of all codes and of the latents `own` that are parents' own, each beside the truth's."""
    truth = sample.truth.pairs
    measured = {
        "flicker_true": truth,
        "flicker": codes,
        "flicker_parent_true": truth.keep(truth.latent < source.section.parents),
        "flicker_parent": codes.keep(torch.isin(codes.latent, own)),
    }
    values = {}
    for name, pairs in measured.items():
        on, off = flicker(pairs, sample.document)
        values[name] = _ratio(off, on, "nothing is on before another token")
    return values


def _flicker_error(codes: Pairs, sample: Sample, own: Tensor, owned: Tensor) -> Number:
    """How far off its truth the flicker of each parent's latent `own` (P,) is, over the `owned`."""
    true = flicker_of_each(sample.truth.pairs, sample.document)[: own.numel()]
    found = flicker_of_each(codes, sample.document)[own]
    return _mean((found - true).abs()[owned], "no parent's own latent is on before another token")


def _delay(truth: Pairs, active: Tensor, source: Source, sample: Sample, owned: Tensor) -> Number:
    onsets, waited = delay(truth, active, source, sample.document)
    return _ratio(waited[owned], onsets[owned].double(), "no parent with a latent of its own has an onset")


def _told(sae: SAE, codes: Pairs, source: Source, sample: Sample) -> dict[str, Number]:
    """Of features without a direction; each beside what a token alone tells."""
    states, orders = told_states(codes, source, sample), told_orders(codes, source, sample)
    no_state, no_order = "no hidden state is ever on", "no pair of events comes in order"
    cosines = best_cosines(sae.W_dec, source) if source.section.states else torch.zeros(0)
    return {
        "state_f1": _mean(states.best, no_state),
        "state_f1_token": _mean(states.token, no_state),
        "state_cosine": _mean(cosines, "the source has no hidden states"),
        "order_f1": _mean(orders.best, no_order),
        "order_f1_token": _mean(orders.token, no_order),
    }


def _mean(values: Tensor, reason: str) -> Number:
    """The mean of those that are not NaN, with a bootstrap interval over them, or `reason` without any."""
    known = values[~values.isnan()].double()
    return _ratio(known, torch.ones_like(known), reason)


def _ratio(part: Tensor, whole: Tensor, reason: str) -> Number:
    """Sum of `part` (I,) over sum of `whole`, bootstrapped over the I; `reason` if `whole` is zero."""
    total = float(whole.sum())
    if not total:
        return missing(reason)
    sums = {"part": part.double().numpy(), "whole": whole.double().numpy()}
    interval = bootstrap(sums, lambda drawn: drawn["part"] / drawn["whole"], RESAMPLES, seed=0)
    low, high = (interval.low, interval.high) if interval else (None, None)
    return Number(float(part.sum()) / total, int(total), low=low, high=high)
