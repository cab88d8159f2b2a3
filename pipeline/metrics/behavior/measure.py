"""What the language model loses when its residual stream is replaced by an SAE's reconstruction.

Definitions of SAEBench 0.6.0 (core), restarted from the layer: the clean residual comes from the store
and only the rest of the model runs. Two columns: SAEBench's, under its field names (`ce_loss_*`,
`kl_div_*`), replaces every position; ours, under plain names, keeps special tokens as they are, because
SAEs never train on them. Scored positions are the same in both: source tokens that are not special.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import ItemSums, Resampling, ratio
from pipeline.numbers.definition import Definition, Headline, Items
from pipeline.numbers.number import Number, missing
from pipeline.sae.core.inference import SAE
from pipeline.stats.intervals import Statistic, Sums
from pipeline.store.past import since

Suffix = Callable[[Tensor], Tensor]
"""The rest of the model: from the residual stream (B, T, d) after the layer to logits (B, T, V)."""

CONTEXTS = "contexts.tsv"
"""The table of the sums."""

REFERENCES = ("zero", "zero_all", "mean")
SPLICES = ("sae", "sae_all")
COLUMNS = (
    "ce_tokens", "kl_tokens", "ce_clean",
    *(f"{quantity}_{condition}" for quantity in ("ce", "kl") for condition in (*REFERENCES, *SPLICES)),
)  # fmt: skip
"""What is summed per context, in nats; `_all` replaces every position, the others keep special tokens."""


@dataclass(frozen=True)
class Contexts:
    """A batch of B whole contexts of T tokens, special ones among them."""

    ids: Tensor  # (B, T)
    residual: Tensor  # (B, T, d)
    special: Tensor  # (B, T) bool
    index: Tensor  # (B,)
    document: Tensor  # (B, T)

    @cached_property
    def past(self) -> Tensor:
        """(B * T,): how many rows above each are the tokens before it; special ones are not among them."""
        begins = torch.ones_like(self.special)
        same = self.document[:, 1:] == self.document[:, :-1]
        begins[:, 1:] = ~same | self.special[:, 1:] | self.special[:, :-1]
        return since(begins.flatten())


class Clean:
    """The unchanged model on a batch: what every replacement is compared with."""

    def __init__(self, suffix: Suffix, batch: Contexts) -> None:
        self._suffix, self._batch = suffix, batch
        self._scored = ~batch.special
        logits = suffix(batch.residual)
        self._log_p = torch.stack([row.float().log_softmax(-1) for row in logits])
        ce = torch.stack([self._cross_entropy(row, self._log_p[row]) for row in range(len(batch.ids))])
        tokens = self._scored.double()
        self.sums = {"ce_tokens": tokens[:, :-1].sum(1), "kl_tokens": tokens.sum(1), "ce_clean": ce}

    def replaced(self, name: str, new: Tensor, keep_special: bool) -> dict[str, Tensor]:
        """(B,) sums `ce_{name}` and `kl_{name}` with `new`, broadcast to (B, T, d), as the residual."""
        batch = self._batch
        where = self._scored[..., None] if keep_special else torch.ones_like(self._scored)[..., None]
        logits = self._suffix(torch.where(where, new, batch.residual))
        sums = []
        for row in range(len(logits)):  # a context at a time: (T, V) is large enough
            log_q = logits[row].float().log_softmax(-1)
            sums.append(torch.stack([self._cross_entropy(row, log_q), self._divergence(row, log_q)]))
        ce, kl = torch.stack(sums).unbind(1)
        return {f"ce_{name}": ce, f"kl_{name}": kl}

    def _cross_entropy(self, row: int, log_q: Tensor) -> Tensor:
        """Sum of -log q(next token) over positions 0..T-2 whose source token is scored."""
        nats = -log_q[:-1].gather(1, self._batch.ids[row, 1:, None]).squeeze(1)
        return nats.double()[self._scored[row, :-1]].sum()

    def _divergence(self, row: int, log_q: Tensor) -> Tensor:
        """Sum of KL(p || q) over all scored positions; finite by log-softmax, negative only by rounding."""
        log_p = self._log_p[row]
        nats = (log_p.exp() * (log_p - log_q)).double().sum(1).clamp_min(0)
        return nats[self._scored[row]].sum()


def ablated(clean: Clean, mean: Tensor) -> dict[str, Tensor]:
    """(B,) sums of the model ablated by zeros and by the `mean` (d,): what depends on no SAE."""
    zero = torch.zeros_like(mean)
    return {
        **clean.replaced("zero", zero, keep_special=True),
        **clean.replaced("zero_all", zero, keep_special=False),
        **clean.replaced("mean", mean, keep_special=True),
    }


Reconstruct = Callable[[Contexts], Tensor]
"""From a batch to what stands in the place of its residual stream, (B, T, d)."""


def of_sae(sae: SAE) -> Reconstruct:
    """The reconstructions of `sae`."""

    def reconstruct(batch: Contexts) -> Tensor:
        return sae.reconstruct(batch.residual.reshape(-1, sae.d), batch.past).view_as(batch.residual)

    return reconstruct


def spliced(clean: Clean, new: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """(B,) sums with the reconstructions `new` (B, T, d): `sae` keeps special tokens, `sae_all` none."""
    return {
        column: sums
        for name in names
        for column, sums in clean.replaced(name, new, keep_special=name == "sae").items()
    }


def values(sums: ItemSums, plan: Resampling) -> dict[str, Number]:
    """Every metric of `METRICS`, with bootstrap intervals over contexts; `sums` of all `COLUMNS`."""
    return {name: number(sums, name, plan) for name in STATISTICS}


def number(sums: ItemSums, name: str, plan: Resampling) -> Number:
    """The metric `name` with its interval over contexts, from the columns it needs."""
    tokens = int(sums.total(f"{name[:2]}_tokens"))
    if not tokens:
        return missing("no token to score was evaluated")
    return sums.number(STATISTICS[name], tokens, plan, NO_SCALE)


NO_SCALE = "the ablation changes nothing or the loss is not finite, so there is no scale"


def _recovered(prefix: str, ablated: str, sae: str, floor: str | None = None) -> Statistic:
    """(ablated - sae) / (ablated - floor); undefined where the ablation is not above the floor."""

    def statistic(sums: Sums) -> np.ndarray:
        base = sums[f"{prefix}_{floor}"] if floor else 0.0
        scale = sums[f"{prefix}_{ablated}"] - base
        return np.where(scale > 0, (sums[f"{prefix}_{ablated}"] - sums[f"{prefix}_{sae}"]) / scale, np.nan)

    return statistic


STATISTICS: dict[str, Statistic] = {
    "ce_score": _recovered("ce", "zero", "sae", "clean"),
    "ce_score_mean": _recovered("ce", "mean", "sae", "clean"),
    "ce_clean": ratio("ce_clean", "ce_tokens"),
    "ce_sae": ratio("ce_sae", "ce_tokens"),
    "ce_zero_ablation": ratio("ce_zero", "ce_tokens"),
    "ce_mean_ablation": ratio("ce_mean", "ce_tokens"),
    "kl_sae": ratio("kl_sae", "kl_tokens"),
    "kl_ablation": ratio("kl_zero", "kl_tokens"),
    "kl_score": _recovered("kl", "zero", "sae"),
    "ce_loss_score": _recovered("ce", "zero_all", "sae_all", "clean"),
    "ce_loss_without_sae": ratio("ce_clean", "ce_tokens"),
    "ce_loss_with_sae": ratio("ce_sae_all", "ce_tokens"),
    "ce_loss_with_ablation": ratio("ce_zero_all", "ce_tokens"),
    "kl_div_score": _recovered("kl", "zero_all", "sae_all"),
    "kl_div_with_sae": ratio("kl_sae_all", "kl_tokens"),
    "kl_div_with_ablation": ratio("kl_zero_all", "kl_tokens"),
}
"""How each metric comes from the pooled sums."""

METRICS = [
    Definition(
        "ce_score", "higher", "share", 1,
        "(ce_zero_ablation - ce_sae) / (ce_zero_ablation - ce_clean): 1 is the clean model, 0 zero ablation; "
        "special tokens kept throughout",
    ),
    Definition(
        "ce_score_mean", "higher", "share", 1,
        "ce_score against ce_mean_ablation, the harder baseline: the mean is free",
    ),
    Definition(
        "ce_clean", "neither", "nats per token", 1, "next-token cross-entropy, model unchanged", False
    ),
    Definition("ce_sae", "lower", "nats per token", 1, "next-token cross-entropy, SAE at non-special tokens"),
    Definition("ce_zero_ablation", "neither", "nats per token", 1, "with zeros at non-special tokens", False),
    Definition(
        "ce_mean_ablation", "neither", "nats per token", 1,
        "with the mean training activation at non-special tokens", False,
    ),
    Definition(
        "kl_sae", "lower", "nats per token", 1,
        "KL(clean || with reconstructions at non-special tokens), mean over non-special positions",
        headline=Headline(
            "kl", "KL, nats", 20,
            items=Items(CONTEXTS, "context", "contexts", {"kl_sae": 1}, {"kl_tokens": 1}),
        ),
    ),
    Definition(
        "kl_ablation", "neither", "nats per token", 1, "KL(clean || zeros at non-special tokens)", False
    ),
    Definition("kl_score", "higher", "share", 1, "(kl_ablation - kl_sae) / kl_ablation"),
    Definition(
        "ce_loss_score", "higher", "share", 1,
        "SAEBench 0.6.0: as ce_score, but SAE and ablation replace every position, BOS included",
    ),
    Definition("ce_loss_without_sae", "neither", "nats per token", 1, "SAEBench 0.6.0: equals ce_clean"),
    Definition(
        "ce_loss_with_sae", "lower", "nats per token", 1,
        "SAEBench 0.6.0: cross-entropy with reconstructions at every position",
    ),
    Definition(
        "ce_loss_with_ablation", "neither", "nats per token", 1,
        "SAEBench 0.6.0: cross-entropy with zeros at every position", False,
    ),
    Definition(
        "kl_div_score", "higher", "share", 1,
        "SAEBench 0.6.0: (kl_div_with_ablation - kl_div_with_sae) / kl_div_with_ablation", False,
    ),
    Definition(
        "kl_div_with_sae", "lower", "nats per token", 1,
        "SAEBench 0.6.0: KL(clean || reconstructions at every position)", False,
    ),
    Definition(
        "kl_div_with_ablation", "neither", "nats per token", 1,
        "SAEBench 0.6.0: KL(clean || zeros at every position)", False,
    ),
]  # fmt: skip
"""What `values` gives, in the order of the tables."""
