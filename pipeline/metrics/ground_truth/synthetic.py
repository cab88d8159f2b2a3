"""A synthetic source of activations whose dictionary and codes are known: ours (docs/ground_truth.md).

Three kinds of true features over contexts in which time is real:
- parents are on for a while: a two-state Markov chain over the tokens of a context;
- children fire only while their parent is on, which is what invites an SAE to absorb the parent;
- independent features fire token by token with Zipf frequencies.
Each context is one document. An activation is the sum of its firing features' directions times
their magnitudes: no noise, so that whatever an SAE misses it misses by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.params.section import Section
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.sparse import bag

KINDS = ("parent", "child", "independent")


class SourceSection(Section):
    """Sizes and rates of the synthetic source."""

    d: int = Field(128, ge=2, description="Dimension of the activations.")
    parents: int = Field(24, ge=1, description="Features that persist over tokens.")
    children: int = Field(3, ge=1, description="Children of each parent; they fire only while it is on.")
    independents: int = Field(96, ge=1, description="Features that fire token by token.")
    parent_rate: float = Field(0.06, gt=0, lt=1, description="Share of tokens at which a parent is on.")
    parent_stay: float = Field(
        0.92, ge=0, lt=1, description="Probability that an on parent stays on at the next token."
    )
    child_rate: float = Field(0.3, gt=0, le=1, description="Probability of a child while its parent is on.")
    independent_l0: float = Field(2.0, gt=0, description="Independent features on per token, in sum.")
    zipf: float = Field(
        1.0, ge=0, description="Independent feature of rank r fires in proportion to r^-zipf."
    )
    magnitudes: list[float] = Field(
        [0.5, 1.5], min_length=2, max_length=2, description="Uniform range of a firing feature's magnitude."
    )
    context_length: int = Field(64, ge=2, description="Tokens per context.")

    @property
    def features(self) -> int:
        """Number F of true features."""
        return self.parents * (1 + self.children) + self.independents

    @property
    def l0(self) -> float:
        """Expected number of true features on per token."""
        return self.parents * self.parent_rate * (1 + self.children * self.child_rate) + self.independent_l0


@dataclass(frozen=True)
class Source:
    """The true dictionary: parents first, then children grouped by parent, then independent features."""

    section: SourceSection
    directions: Tensor  # (F, d) float32, unit rows
    parent: Tensor  # (F,) int64: a child's parent, -1 for the other kinds

    @property
    def kinds(self) -> list[str]:
        """(F,): the kind of each feature."""
        s = self.section
        counts = (s.parents, s.parents * s.children, s.independents)
        return [kind for kind, count in zip(KINDS, counts, strict=True) for _ in range(count)]


@dataclass(frozen=True)
class Sample:
    """N = contexts * context_length tokens of a source, in order, with their true codes."""

    x: Tensor  # (N, d) float32
    truth: Codes  # pairs of (token, feature) and their magnitudes; features ascending within a token
    document: Tensor  # (N,) int64; every context is one document
    position: Tensor  # (N,) int64, position in its context


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
    count = contexts * section.context_length
    groups = [_parents(section, contexts, random)]
    groups += [_children(section, *groups[0], random), _independents(section, count, random)]
    token, feature = (torch.cat(ids) for ids in zip(*groups, strict=True))
    key = torch.sort(token * section.features + feature).values
    pairs = Pairs.of(key // section.features, key % section.features, count, section.features)
    low, high = section.magnitudes
    magnitude = low + (high - low) * torch.rand(len(pairs), generator=random)
    rows = torch.arange(count)
    return Sample(
        x=bag(magnitude, source.directions, pairs.latent, pairs.offsets),
        truth=Codes(pairs, magnitude),
        document=rows // section.context_length,
        position=rows % section.context_length,
    )


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
    if _start(section) > 1:
        raise BadInput(
            f"params.yaml: ground_truth's parents cannot be on {section.parent_rate:.0%} of the time and "
            f"stay with probability {section.parent_stay}: raise `parent_stay` or lower `parent_rate`."
        )


def _start(section: SourceSection) -> float:
    """P(on | off before) that keeps the share of tokens on at `parent_rate`."""
    rate = section.parent_rate
    return rate * (1 - section.parent_stay) / (1 - rate)


def _parents(section: SourceSection, contexts: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """(token, feature) of the parents' Markov chains, begun in their stationary state."""
    shape, start = (contexts, section.parents), _start(section)
    on = torch.rand(shape, generator=random) < section.parent_rate
    steps = [on]
    for _ in range(section.context_length - 1):
        u = torch.rand(shape, generator=random)
        on = torch.where(on, u < section.parent_stay, u < start)
        steps.append(on)
    context, position, feature = torch.stack(steps, dim=1).nonzero(as_tuple=True)
    return context * section.context_length + position, feature


def _children(
    section: SourceSection, token: Tensor, parent: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(token, feature) of the children, drawn only where their parent is on."""
    fires = torch.rand((token.numel(), section.children), generator=random) < section.child_rate
    entry, child = fires.nonzero(as_tuple=True)
    return token[entry], section.parents + parent[entry] * section.children + child


def _independents(section: SourceSection, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """(token, feature) of the independent features, one feature at a time to bound memory."""
    first = section.parents * (1 + section.children)
    tokens = [
        (torch.rand(count, generator=random) < rate).nonzero()[:, 0]
        for rate in independent_rates(section).tolist()
    ]
    counts = torch.tensor([ids.numel() for ids in tokens])
    features = torch.arange(first, first + section.independents)
    return torch.cat(tokens), torch.repeat_interleave(features, counts)
