"""contrastive: T-SAE, "Temporal Sparse Autoencoders" (Bhalla et al. 2025, 2511.05541).

Matryoshka batchtopk with two groups: the first fifth of the dictionary is high-level, the rest
low-level, and a contrastive term holds the high-level codes z of neighbouring tokens together:

L = .2 |x - x^_high|^2 + .8 |x - x^|^2 + AuxK
    + weight * mean over anchors t of (CE_row(t) + CE_column(t)) / 2,  logits z_t . z_t'

Row t of the logits is anchor t against the positives t' of all anchors, its own among them; columns
the other way round: symmetric InfoNCE with the batch's other pairs as negatives, temperature 1.

On `base: l1` the codes are ReLU codes under L1 instead (ours).

Ours: the positive is the previous token, the nearer of the paper's two choices (docs/sae.md has the
other one measured); both tokens of a pair reconstruct, because both are encoded.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.method.base import Based, BasedConfig
from pipeline.sae.method.control import Control, shuffled
from pipeline.sae.method.inner_products import products
from pipeline.sae.method.prefixes import prefix_errors
from pipeline.sae.method.sequence import follows
from pipeline.sae.method.variant import Objective, Step


class Config(BasedConfig):
    """Section `contrastive` of params.yaml."""

    known = shuffled("pairs") | {
        "l1_base": Control("whether the idea survives on an L1 base", values={"base": "l1"})
    }

    base: Literal["l1", "batchtopk"] = Field("batchtopk", description="where sparsity comes from")

    weight: float = Field(0.1, ge=0, description="of the contrastive term, in scaled units, from the sweep")
    high: float = Field(0.2, gt=0, lt=1, description="share of the dictionary that is high-level")
    prefix_weights: list[float] = Field(
        [0.2, 0.8], min_length=2, max_length=2,
        description="weights of the reconstructions by the high-level latents and by all",
    )  # fmt: skip


class Method(Based):
    """Nested dictionaries, the inner one held similar over neighbouring tokens."""

    reading = "pairs"
    config: Config

    @property
    def high(self) -> int:
        """How many latents are high-level."""
        return max(1, round(self.config.high * self.n))

    def objective(self, step: Step) -> Objective:
        """The weighted reconstructions of both prefixes, InfoNCE on the high-level codes, and AuxK."""
        pairs = self.base.select(step)
        f = step.encode_at(pairs)
        errors = prefix_errors(step, f, pairs, [self.high, self.n])
        losses = errors.square().sum((0, 2)) / len(step.x)
        terms = {
            "reconstruction": losses @ losses.new_tensor(self.config.prefix_weights),
            "contrastive": self.config.weight * info_nce(step, f, pairs, self.high),
        }
        error = errors[:, -1]
        terms |= self.base.terms(step, f, error)
        return Objective(terms, Codes(pairs, f.detach()), error.detach())


def info_nce(step: Step, f: Tensor, pairs: Pairs, high: int) -> Tensor:
    """Symmetric InfoNCE of the codes of the first `high` latents, mean over anchors; zero without a pair.

    An anchor is a row that follows its predecessor, which is its positive. Processes that share a batch
    compare all of its pairs, each with gradients to its own.
    """
    cur = follows(step)
    after = torch.cat([cur[1:], cur.new_zeros(1)])
    z = pairs.keep(pairs.latent < high)
    value = f[pairs.latent < high]
    logits = products(_rows(step, value, z, cur, high), _rows(step, value, z, after, high))
    if len(logits) == 0:
        return f.sum() * 0
    own = torch.arange(len(logits), device=logits.device)
    return step.whole((cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2)


def _rows(step: Step, value: Tensor, pairs: Pairs, which: Tensor, n: int) -> tuple[Tensor, Pairs]:
    """The codes of the rows for which `which` (B,) is true, of all processes."""
    inside = which[pairs.token]
    counts = step.gather(pairs.offsets.diff()[which])
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return step.gather(value[inside]), Pairs(step.gather(pairs.latent[inside]), offsets, n)
