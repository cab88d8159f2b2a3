"""A synthetic source of activations whose dictionary and codes are known: ours (docs/ground_truth.md).

Five kinds of true features over contexts in which time is real:
- parents are on for a while: a two-state Markov chain over the tokens of a context;
- children fire only while their parent is on, which is what invites an SAE to absorb the parent;
- independent features fire token by token with Zipf frequencies;
- coupled features fire only while a hidden state is on, which has no direction of its own;
- events fire token by token; what counts is in which order two of them come.
Each context is one document. An activation is the sum of its firing features' directions times their
magnitudes, which last as long as the feature stays on, and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.metrics.ground_truth.chains import chain, rows_of, starts, under
from pipeline.params.section import Section
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.sparse import bag

KINDS = ("parent", "child", "coupled", "event", "independent")


class SourceSection(Section):
    """Sizes and rates of the synthetic source."""

    d: int = Field(128, ge=2, description="Dimension of the activations.")
    parents: int = Field(24, ge=1, description="Features that persist over tokens.")
    children: int = Field(3, ge=1, description="Children of each parent; they fire only while it is on.")
    states: int = Field(8, ge=0, description="Hidden states without a direction, two coupled features each.")
    orders: int = Field(8, ge=0, description="Pairs of events whose order is a feature without a direction.")
    independents: int = Field(64, ge=1, description="Features that fire token by token.")
    parent_rate: float = Field(0.06, gt=0, lt=1, description="Share of tokens at which a parent is on.")
    parent_stay: list[float] = Field(
        [0.92, 0.92], min_length=2, max_length=2,
        description="Probability that an on parent stays on at the next token: of the first and of the last "
        "parent, the others evenly between.",
    )  # fmt: skip
    child_rate: float = Field(0.3, gt=0, le=1, description="Probability of a child while its parent is on.")
    state_rate: float = Field(0.04, gt=0, lt=1, description="Share of tokens at which a hidden state is on.")
    state_stay: float = Field(0.92, ge=0, lt=1, description="Probability that a hidden state stays on.")
    coupled_rate: float = Field(
        0.5, gt=0, le=1, description="Probability of a coupled feature while its hidden state is on."
    )
    event_rate: float = Field(0.03, gt=0, lt=1, description="Share of tokens at which an event is on.")
    order_window: int = Field(8, ge=1, description="Tokens back in which a pair's first event counts.")
    independent_l0: float = Field(1.5, gt=0, description="Independent features on per token, in sum.")
    zipf: float = Field(
        1.0, ge=0, description="Independent feature of rank r fires in proportion to r^-zipf."
    )
    magnitudes: list[float] = Field(
        [0.5, 1.5], min_length=2, max_length=2, description="Uniform range of a firing feature's magnitude."
    )
    magnitude_stay: float = Field(
        1.0, ge=0, le=1,
        description="Probability that a feature that stays on keeps its magnitude; 0 draws it at each token.",
    )  # fmt: skip
    noise: float = Field(
        0.2, ge=0, description="Root mean square of the noise as a share of the signal's (norms)."
    )
    context_length: int = Field(64, ge=2, description="Tokens per context.")

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of true features of each of `KINDS`."""
        return (
            self.parents, self.parents * self.children, 2 * self.states, 2 * self.orders, self.independents,
        )  # fmt: skip

    @property
    def features(self) -> int:
        """Number F of true features with a direction."""
        return sum(self.counts)

    @property
    def l0(self) -> float:
        """Expected number of true features on per token."""
        return (
            self.parents * self.parent_rate * (1 + self.children * self.child_rate)
            + 2 * self.states * self.state_rate * self.coupled_rate
            + 2 * self.orders * self.event_rate
            + self.independent_l0
        )

    @property
    def noise_sd(self) -> float:
        """Standard deviation of the noise in each dimension.

        The signal's mean square norm is taken as l0 times the magnitudes' mean square, which it is for
        orthogonal directions.
        """
        low, high = self.magnitudes
        power = self.l0 * (low * low + low * high + high * high) / 3
        return self.noise * float((power / self.d) ** 0.5)


@dataclass(frozen=True)
class Source:
    """The true dictionary, grouped by kind in the order of `KINDS`; children grouped by parent."""

    section: SourceSection
    directions: Tensor  # (F, d) float32, unit rows
    parent: Tensor  # (F,) int64: a child's parent, -1 for the other kinds

    @property
    def kinds(self) -> list[str]:
        """(F,): the kind of each feature."""
        counts = self.section.counts
        return [kind for kind, count in zip(KINDS, counts, strict=True) for _ in range(count)]

    def first(self, kind: str) -> int:
        """The number of the first feature of `kind`."""
        return sum(self.section.counts[: KINDS.index(kind)])


@dataclass(frozen=True)
class Sample:
    """N = contexts * context_length tokens of a source, in order, with their true codes."""

    x: Tensor  # (N, d) float32
    truth: Codes  # pairs of (token, feature) and their magnitudes; features ascending within a token
    states: Pairs  # (token, hidden state) that are on
    document: Tensor  # (N,) int64; every context is one document
    position: Tensor  # (N,) int64, position in its context

    @property
    def length(self) -> int:
        """Tokens per context."""
        return int(self.position.max()) + 1


def make_source(section: SourceSection, seed: int) -> Source:
    """The dictionary of `seed`: F independent random unit directions.

    Their cosines have root mean square d^-1/2, 0.09 at the default d: nearly orthogonal. Raises BadInput
    for rates that no probability can meet.
    """
    _check(section)
    directions = torch.randn(section.features, section.d, generator=generator(seed, 0))
    parent = torch.full((section.features,), -1, dtype=torch.int64)
    first, stop = section.parents, section.parents * (1 + section.children)
    parent[first:stop] = torch.arange(stop - first) // section.children
    return Source(section, directions / directions.norm(dim=1, keepdim=True), parent)


def draw(source: Source, contexts: int, seed: int, stream: int) -> Sample:
    """`contexts` contexts of `source`; each `stream` >= 1 of a seed is an independent draw."""
    section, random = source.section, generator(seed, stream)
    length = section.context_length
    count = contexts * length
    parents = rows_of(chain(section.parent_rate, stays(section), contexts, length, random))
    state_stay = torch.full((section.states,), section.state_stay, dtype=torch.float64)
    states = rows_of(chain(section.state_rate, state_stay, contexts, length, random))
    groups = [
        parents,
        under(*parents, section.children, section.child_rate, random),
        under(*states, 2, section.coupled_rate, random),
        _token_by_token(torch.full((2 * section.orders,), section.event_rate), count, random),
        _token_by_token(independent_rates(section), count, random),
    ]
    firsts = [source.first(kind) for kind in KINDS]
    token = torch.cat([group[0] for group in groups])
    feature = torch.cat([first + group[1] for first, group in zip(firsts, groups, strict=True)])
    pairs = _pairs(token, feature, count, section.features)
    magnitude = _magnitudes(pairs, section, random)
    x = bag(magnitude, source.directions, pairs.latent, pairs.offsets)
    x = x + section.noise_sd * torch.randn(x.shape, generator=random)
    rows = torch.arange(count)
    return Sample(
        x, Codes(pairs, magnitude), _pairs(*states, count, section.states), rows // length, rows % length
    )


def stays(section: SourceSection) -> Tensor:
    """(parents,) float64: the probability that each parent stays on."""
    low, high = section.parent_stay
    return torch.linspace(low, high, section.parents, dtype=torch.float64)


def independent_rates(section: SourceSection) -> Tensor:
    """(independents,) float64: firing rates falling as rank^-zipf, with sum `independent_l0`."""
    weights = torch.arange(1, section.independents + 1, dtype=torch.float64) ** -section.zipf
    return weights * (section.independent_l0 / weights.sum())


def generator(seed: int, stream: int) -> torch.Generator:
    """A generator for one use of a seed: streams of one seed are unrelated (SeedSequence mixes both)."""
    mixed = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))


def _check(section: SourceSection) -> None:
    if not 0 < section.magnitudes[0] <= section.magnitudes[1]:
        raise BadInput(
            f"params.yaml: ground_truth's `magnitudes` is {section.magnitudes}: give 0 < low <= high."
        )
    if float(independent_rates(section).max()) >= 1:
        raise BadInput(
            f"params.yaml: ground_truth's `independent_l0` {section.independent_l0} asks the most frequent "
            f"feature to fire more than once per token: lower it, or lower `zipf`."
        )
    if not all(0 <= stay < 1 for stay in section.parent_stay):
        raise BadInput(
            f"params.yaml: ground_truth's `parent_stay` is {section.parent_stay}: give probabilities below 1."
        )
    for name, rate, stay in (
        ("parent", section.parent_rate, min(section.parent_stay)),
        ("state", section.state_rate, section.state_stay),
    ):
        if starts(rate, stay) > 1:
            raise BadInput(
                f"params.yaml: ground_truth's {name}s cannot be on {rate:.0%} of the time and stay with "
                f"probability {stay:g}: raise `{name}_stay` or lower `{name}_rate`."
            )


def _token_by_token(rates: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """(token, feature) of features that fire at `rates` (K,), one feature at a time to bound memory."""
    tokens = [(torch.rand(count, generator=random) < rate).nonzero()[:, 0] for rate in rates.tolist()]
    counts = torch.tensor([ids.numel() for ids in tokens], dtype=torch.int64)
    return torch.cat([*tokens, counts[:0]]), torch.repeat_interleave(torch.arange(len(rates)), counts)


def _pairs(token: Tensor, feature: Tensor, count: int, features: int) -> Pairs:
    """Tokens in order, features ascending within a token."""
    key = torch.sort(token * features + feature).values
    width = max(features, 1)
    return Pairs.of(key // width, key % width, count, features)


def _magnitudes(pairs: Pairs, section: SourceSection, random: torch.Generator) -> Tensor:
    """(E,): one uniform draw for as long as a feature stays on in its context, or until it is drawn anew."""
    order, _ = pairs.by_latent
    token, feature = pairs.token[order], pairs.latent[order]
    kept = torch.rand(len(pairs), generator=random) < section.magnitude_stay
    goes_on = (feature.diff() == 0) & (token.diff() == 1) & (token[1:] % section.context_length != 0)
    begins = torch.ones(len(pairs), dtype=torch.bool)
    begins[1:] = ~(goes_on & kept[1:])
    low, high = section.magnitudes
    drawn = low + (high - low) * torch.rand(len(pairs), generator=random)
    run = begins.cumsum(0) - 1
    magnitude = torch.empty_like(drawn)
    magnitude[order] = drawn[run]
    return magnitude
