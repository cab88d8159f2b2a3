"""tfa: Temporal Feature Analysis, "Priors in Time" (Lubana et al. 2025, 2511.01836).

A code has two parts in one dictionary (core/attention.py has the formulas): a predictable one, the direction
that attention over the document's earlier tokens suggests, as long as the token itself asks for; and a
novel one, TopK of what that leaves. L = |x - x^|^2 + AuxK.

In the source the predictable codes are dense and not counted. Here every active code counts. `predictable:
topk` (ours) keeps the largest of them, `share` of the L0 target, and the novel part gets the rest: so the row
stands at the L0 of any other. `dense` is the source's; by its own count it misses the target. `none` is topk.

Ours: an encoder of its own with b_enc and unit decoder rows, as in topk (source: tied, free rows, codes times
1/(4 d)), and AuxK; values and outputs begin as the identity, so that the first guess is what earlier tokens
had, and the attention learns at `attention_rate` of the rate. From random values, or at the full rate, the
predictable part stayed at a few hundredths of the variance (docs/sae.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline.sae.core.attention import Attention, parts
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.method.auxk import auxk
from pipeline.sae.method.control import Control, shuffled
from pipeline.sae.method.row_topk import topk_objective
from pipeline.sae.method.sequence import pasts
from pipeline.sae.method.variant import MethodConfig, Objective, Step, Variant, Weights


class Config(MethodConfig):
    """Section `tfa` of params.yaml."""

    known = shuffled("contexts") | {
        "no_context": Control(
            "what the codes are without the predictable part: topk on batches of contexts",
            values={"predictable": "none"},
        ),
        "dense": Control(
            "the source's predictable part, whose codes are all counted", values={"predictable": "dense"}
        ),
    }

    predictable: Literal["topk", "dense", "none"] = Field("topk", description="codes of the predictable part")
    share: float = Field(0.25, gt=0, lt=1, description="of the L0 target, for a topk predictable part")
    heads: int = Field(4, ge=1, description="of the attention")
    key: int = Field(32, ge=1, description="dimensions of a head's keys; the source's 9216/64/4 is 36")
    width: float = Field(
        1.0, gt=0, le=1, description="of the values over all heads, as a share of n; the source's is 1"
    )
    attention_rate: float = Field(1 / 32, gt=0, description="learning rate of the attention, as a share")
    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")


class Method(Variant):
    """A predictable part from earlier tokens and a novel part."""

    reading = "contexts"
    controlled = False
    config: Config

    @property
    def off(self) -> bool:
        """Whether it has no predictable part."""
        return self.config.predictable == "none"

    @property
    def kept(self) -> int | None:
        """Codes of the predictable part; None for a dense one."""
        assert self.l0 is not None
        return None if self.config.predictable == "dense" else max(1, round(self.config.share * self.l0))

    def parameters(self, generator: torch.Generator) -> Weights:
        """The attention's, each divided by `attention_rate`.

        Adam moves an entry by the learning rate whatever its size, so this is a rate of its own.
        """
        if self.off:
            return {}
        return {name: w / self.config.attention_rate for name, w in self._start(generator).items()}

    def _start(self, generator: torch.Generator) -> Weights:
        """Random queries and keys of norm 1/sqrt(key), as in the source; values and outputs hand codes on."""
        keys, values = self.config.heads * self.config.key, self._values()
        drawn = {name: torch.randn(self.n, keys, generator=generator) for name in ("W_q", "W_k")}
        unit = {name: w / w.norm(dim=0) * self.config.key**-0.5 for name, w in drawn.items()}
        zero = {
            "b_q": torch.zeros(keys),
            "b_v": torch.zeros(values),
            "b_o": torch.zeros(self.n),
        }
        return unit | zero | {"W_v": torch.eye(self.n, values), "W_o": torch.eye(values, self.n)}

    def _values(self) -> int:
        """Value dimensions of all heads."""
        return self.config.heads * max(1, int(self.config.width * self.n) // self.config.heads)

    def attention(self, weights: Mapping[str, Tensor]) -> Attention:
        """Of the loop's weights."""
        names = ("W_q", "b_q", "W_k", "W_v", "b_v", "W_o", "b_o")
        own = {name: weights[name] * self.config.attention_rate for name in names}
        return Attention(**own, heads=self.config.heads, kept=self.kept)

    def objective(self, step: Step) -> Objective:
        """Reconstruction from both parts, and AuxK on what the predictable part leaves."""
        assert self.l0 is not None
        if self.off:
            return topk_objective(step, self.l0, self.config.aux_weight)
        w = step.weights
        both = parts(
            step.x, pasts(step), w["W_enc"], step.bias, w["W_dec"], w["b_dec"], self.attention(w), self.l0
        )
        error = both.left - both.novel @ w["W_dec"] - w["b_dec"]
        apart = replace(step, x=both.left.detach(), pre=both.pre.detach())
        terms = {"reconstruction": error.square().sum() / len(step.x)}
        terms |= auxk(apart, error, self.config.aux_weight)
        codes = (both.predictable + both.novel).detach()
        pairs = Pairs.where(codes > 0)
        return Objective(terms, Codes(pairs, pairs.at(codes)), error.detach())

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A tfa SAE, or without a predictable part a topk one."""
        sae = replace(super().export(weights), architecture="topk", k=self.l0)
        if self.off:
            return sae
        own = {name: w.detach() for name, w in weights.items()}
        return replace(sae, architecture="tfa", attention=self.attention(own))
