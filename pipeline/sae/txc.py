"""txc: temporal crosscoder, one code for a window of T neighbouring tokens, after "Crosscoding Through Time".

    pre = b_enc + sum over t of (x_t - b_dec[t]) W_enc[t],   z = relu of the k T largest of pre
    L = 1/T sum over t of |x_t - z W_dec[t] - b_dec[t]|^2 + AuxK

(OpenReview JfN7nRdBxA, 2026; its code has no licence and was not read for this.) Decoder rows have unit norm
jointly over (T, d). That is topk on windows laid side by side, T d wide, and is trained so: at T = 1 it is
topk bit for bit. AuxK is topk's, with k_aux = T d / 2.

`budget: total` keeps k T latents per window, k for each token where windows do not overlap. At inference,
ours: token t has the code of the window that *ends* at t, and its last decoder's reconstruction, so that a
code holds k T latents; `window` keeps k per window, as many as another method's code of one token. What that
means for a comparison: docs/sae.md.

`stacked` (control): each position of the window has an SAE of its own, n latents and k active, and a window's
code is all of theirs side by side: as many parameters and active latents, nothing shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pipeline.console.errors import BadInput
from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.inference import SAE
from pipeline.sae.core.topk import row_top
from pipeline.sae.core.window import Window
from pipeline.sae.method.auxk import auxk
from pipeline.sae.method.control import Control, shuffled
from pipeline.sae.method.variant import MethodConfig, Objective, Step, Variant, reconstruct


class Config(MethodConfig):
    """Section `txc` of params.yaml."""

    known = shuffled("windows") | {
        "window_l0": Control(
            "the same L0 in a token's code as other methods: k latents per window",
            values={"budget": "window"},
        ),
        "stacked": Control(
            "what as many parameters give without sharing: an SAE for each position", values={"stacked": True}
        ),
    }

    window: int = Field(4, ge=1, description="tokens of a window, T")
    budget: Literal["total", "window"] = Field(
        "total", description="the L0 target counts latents per token of the window, or per window"
    )
    stacked: bool = Field(False, description="an SAE for each position, nothing shared")
    aux_weight: float = Field(1 / 32, ge=0, description="weight of the AuxK loss; 0 switches it off")


class Method(Variant):
    """One TopK code for T neighbouring tokens, or T of them side by side."""

    reading = "windows"
    controlled = False
    config: Config

    def __init__(self, config: Config, d: int, n: int, l0: int | None) -> None:
        T = config.window
        self.joined = 1 if config.stacked else T
        super().__init__(config, d * self.joined, n * (T // self.joined), l0)
        assert l0 is not None
        self.window, self.shared = T, T if config.budget == "total" else 1
        # a position of the stack has a T-th of what a window has
        self.k = l0 * self.shared * self.joined // T
        if not 0 < self.k <= n:
            raise BadInput(
                f"params.yaml: an L0 target of {l0} with `txc.window` {T} asks for {self.k} active latents "
                f"per window, of {n}: choose another window or target."
            )

    def objective(self, step: Step) -> Objective:
        """Reconstruction and AuxK, means over tokens."""
        step = self._own_blocks(step)
        pairs = self._select(step.pre)
        scored = reconstruct(step, step.encode_at(pairs), pairs)
        terms = {"reconstruction": scored.loss, **auxk(step, scored.error, self.config.aux_weight)}
        means = {name: term / self.joined for name, term in terms.items()}
        return Objective(means, scored.codes, scored.error.detach())

    def _select(self, pre: Tensor) -> Pairs:
        """The largest of each row."""
        return row_top(pre, self.k)

    def _own_blocks(self, step: Step) -> Step:
        """In a stack, a token's pre-activations in the SAEs of other positions are none."""
        if not self.config.stacked:
            return step
        block = torch.arange(self.n, device=step.x.device) // (self.n // self.window)
        position = torch.arange(len(step.x), device=step.x.device) % self.window
        return replace(step, pre=step.pre.masked_fill(block != position[:, None], -torch.inf))

    def export(self, weights: Mapping[str, Tensor]) -> SAE:
        """A window SAE; of one token a topk SAE."""
        own = {name: each.detach() for name, each in weights.items()}
        W_enc, W_dec, b_dec = self._stack(own) if self.config.stacked else self._split(own)
        last = SAE("topk", W_enc[0], W_dec[0], b_dec[0], own["b_enc"], self.k)
        if self.window == 1:
            return last
        before = Window(W_enc[1:], W_dec[1:], b_dec[1:], self.window // self.joined)
        return replace(last, architecture="window", window=before)

    def _split(self, w: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """W_enc (T, d, n), W_dec (T, n, d), b_dec (T, d) of rows side by side, the last token first."""
        T, n = self.window, self.n
        W_dec = w["W_dec"].view(n, T, -1).transpose(0, 1)
        return w["W_enc"].view(T, -1, n).flip(0), W_dec.flip(0), w["b_dec"].view(T, -1).flip(0)

    def _stack(self, w: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a stack: a latent reads and writes its own position, at the others it is zero."""
        T, n = self.window, self.n
        of = torch.arange(n, device=w["W_dec"].device) // (n // T)
        own = (T - 1 - torch.arange(T, device=of.device))[:, None] == of
        b_dec = w["b_dec"].expand(T, -1).clone()
        return w["W_enc"] * own[:, None, :], w["W_dec"] * own[:, :, None], b_dec
