"""How steady latents are from token to token. Definitions: ours, after the temporal SAE papers.

Tokens t and t + 1 are a pair when both are valid (not special), neighbours in one context and of one
document. A latent is on where its activation is above zero. Everything is counted on active
(token, latent) entries: an entry at t is matched with the same latent's entry at t + 1 by sorted keys.
The control is the same metrics with the valid tokens permuted: names that end in `_shuffled`. What order
adds to it is in persistence.py.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline.metrics.common.resampling import ItemSums, Resampling, ratio
from pipeline.metrics.reconstruction.entries import Entries
from pipeline.metrics.reconstruction.persistence import COLUMNS, SHUFFLED
from pipeline.metrics.reconstruction.switching import WITHOUT_DENSE, switching
from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, missing
from pipeline.stats.intervals import Statistic, Sums

_NO_PAIR_OFF = "no latent that is ever on is off at a token that has a successor"

RARE = 10
"""A latent enters `flicker_per_latent` with at least this many followed on-tokens."""


class Temporal:
    """Counts over the evaluated tokens of one SAE with n latents, of which `dense` (n,) bool are dense.

    `window` is in tokens of a context.
    """

    def __init__(self, n: int, window: int, dense: Tensor | None = None) -> None:
        self.n, self.window = n, window
        self.dense = torch.zeros(n, dtype=torch.bool) if dense is None else dense
        self.sums = ItemSums(COLUMNS)
        self.tokens = self.pairs = self.windows = 0
        self.on, self.on_followed, self.stays_on = (torch.zeros(n, dtype=torch.int64) for _ in range(3))
        self.sum, self.square_sum, self.window_variance = (
            torch.zeros(n, dtype=torch.float64) for _ in range(3)
        )

    def add(self, x: Tensor, entries: Entries, document: Tensor, position: Tensor, context: Tensor) -> None:
        """Add whole contexts: `x` (B, d), its codes, and per token `document`, `position`, `context` (B,).

        Rows are valid tokens in the order of context and position.
        """
        if not len(x):
            return
        document, position, context = document.cpu(), position.cpu(), context.cpu()
        self._switches(x, entries, _followed(document, position, context), context)
        windows = int(position.max()) // self.window + 1
        self._variances(entries, context * windows + position // self.window)

    def _switches(self, x: Tensor, entries: Entries, followed: Tensor, context: Tensor) -> None:
        batch = len(context)
        moved = torch.zeros(batch, dtype=torch.float64)
        moved[:-1] = (x[1:].double() - x[:-1].double()).norm(dim=1).cpu()
        every = torch.ones_like(entries.key, dtype=torch.bool)
        whole = switching(entries, every, followed, moved)
        thin = ~self.dense[entries.latent]
        part = whole if bool(thin.all()) else switching(entries, thin, followed, moved)
        self.sums.add(
            context,
            pairs=followed,
            moving_pairs=followed & (moved > 0),
            on=entries.by_token(every, batch),
            on_following=entries.by_token(followed.roll(1)[entries.token], batch),
            **whole,
            **{f"{name}{WITHOUT_DENSE}": column for name, column in part.items()},
        )
        self.tokens += batch
        self.pairs += int(followed.sum())
        self.on += entries.count(every)
        self.on_followed += entries.count(followed[entries.token])
        self.stays_on += entries.count(entries.matched(followed)[0])

    def _variances(self, entries: Entries, window: Tensor) -> None:
        _, index, size = torch.unique(window, return_inverse=True, return_counts=True)
        sums, squares = entries.grouped(index, len(size))
        self.sum += sums.sum(0)
        self.square_sum += squares.sum(0)
        enough = size > 1  # one token has no variance
        tokens = size[enough, None].double()
        variance = (squares[enough] - sums[enough].square() / tokens).clamp_min(0) / (tokens - 1)
        self.window_variance += variance.sum(0)
        self.windows += int(enough.sum())

    def values(self, plan: Resampling) -> dict[str, Number]:
        """Every metric of `METRICS` (without the shuffled ones)."""
        on, moving = int(self.on.sum()), int(self.sums.total("moving_pairs"))
        followed = int(self.on_followed.sum())
        no_pair = "no latent is on at a token that has a successor"
        return {
            "smoothness": self.sums.number(
                ratio("smoothness", "moving_pairs"),
                moving,
                plan,
                "no pair of neighbours with different activations",
            ),
            "flicker": self.sums.number(_flicker, followed, plan, no_pair),
            "flicker_per_latent": self._flicker_per_latent(),
            "run_length": self.sums.number(_run_length, on, plan, "no latent is ever on"),
            **self._variance_values(),
            **self._transitions(plan, {"on": no_pair, "off": _NO_PAIR_OFF}),
        }

    def _flicker_per_latent(self) -> Number:
        common = self.on_followed >= RARE
        if not common.any():
            return missing(f"no latent is on at {RARE} tokens that have a successor")
        stays = self.stays_on[common].double() / self.on_followed[common].double()
        return Number(float((1 - stays).mean()), int(common.sum()))

    def _variance_values(self) -> dict[str, Number]:
        names = ("activation_variance", "activation_variance_share")
        alive = self.on > 0
        total = (self.square_sum - self.sum.square() / max(self.tokens, 1)).clamp_min(0) / max(
            self.tokens - 1, 1
        )
        if not self.windows or not float(total.sum()) > 0:
            return {name: missing("no latent varies in a window of two or more tokens") for name in names}
        within = self.window_variance / self.windows
        return {
            names[0]: Number(float(within[alive].mean()), self.windows),
            names[1]: Number(float(within.sum() / total.sum()), self.windows),
        }

    def _transitions(self, plan: Resampling, otherwise: dict[str, str]) -> dict[str, Number]:
        """The 2x2 matrix of a latent's next state given its state, pooled over latents that are ever on."""
        alive = int((self.on > 0).sum())
        from_on = int(self.on_followed.sum())
        items = {"on": from_on, "off": self.pairs * alive - from_on}
        values = {}
        for start, share in (("on", _on_after_on), ("off", partial(_on_after_off, alive=alive))):
            for end, statistic in (("on", share), ("off", partial(_complement, share))):
                name = f"transition_{start}_{end}"
                values[name] = self.sums.number(statistic, items[start], plan, otherwise[start])
        return values


def permutation(count: int, seed: int) -> Tensor:
    """(count,) int64: the row order of the shuffled control."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def _followed(document: Tensor, position: Tensor, context: Tensor) -> Tensor:
    """(B,) bool: whether the next row is the next token of the same document and context."""
    followed = torch.zeros(len(context), dtype=torch.bool)
    same = (document[1:] == document[:-1]) & (context[1:] == context[:-1])
    followed[:-1] = same & (position[1:] == position[:-1] + 1)
    return followed


def _flicker(sums: Sums) -> np.ndarray:
    return 1 - sums["stays_on"] / sums["on_followed"]


def _on_after_on(sums: Sums) -> np.ndarray:
    return sums["stays_on"] / sums["on_followed"]


def _on_after_off(sums: Sums, alive: int) -> np.ndarray:
    return (sums["on_following"] - sums["stays_on"]) / (sums["pairs"] * alive - sums["on_followed"])


def _complement(share: Statistic, sums: Sums) -> np.ndarray:
    return 1 - share(sums)


def _run_length(sums: Sums) -> np.ndarray:
    # every on-token whose predecessor was not on begins a run
    return sums["on"] / (sums["on"] - sums["stays_on"])


_ORDERED = [
    Definition(
        "smoothness", "lower", "ratio", 1,
        "mean over pairs of |f_t - f_(t-1)| / |x_t - x_(t-1)|, Euclidean norms, pairs with equal x left out",
    ),
    Definition(
        "flicker", "lower", "share", 1,
        "of all (latent, token) with the latent on and the token followed by another of its document: the "
        "share with the latent off at that next token",
    ),
    Definition(
        "flicker_per_latent", "lower", "share", 1,
        f"mean over latents of each one's flicker, latents with at least {RARE} followed on-tokens", False,
    ),
    Definition(
        "run_length", "higher", "tokens", 1,
        "mean length of maximal runs of neighbouring tokens with a latent on; a context's or document's end "
        "ends a run",
    ),
    Definition(
        "activation_variance", "neither", "squared model units", 1,
        "sample variance of a latent's activation within a window of a context, mean over windows and over "
        "latents that are ever on", False,
    ),
    Definition(
        "activation_variance_share", "lower", "share", 1,
        "variance within windows over variance over all tokens, both summed over latents; near 1 when "
        "activity does not depend on the context", False,
    ),
    *(
        Definition(
            f"transition_{start}_{end}", "neither", "share", 1,
            f"a latent's chance to be {end} at the next token when it is {start}, pooled over pairs and "
            "latents that are ever on", False,
        )
        for start in ("on", "off") for end in ("on", "off")
    ),
]  # fmt: skip

METRICS = [
    *_ORDERED,
    *(
        replace(
            metric, name=f"{metric.name}{SHUFFLED}", better="neither",
            definition=f"control: {metric.name} with the valid tokens permuted",
        )
        for metric in _ORDERED
    ),
]  # fmt: skip
"""What both orders give, in the order of the tables."""


def control(values: dict[str, Number]) -> dict[str, Number]:
    """The values of the shuffled order under their own names."""
    return {f"{name}{SHUFFLED}": value for name, value in values.items()}
