"""A trained SAE at inference: one of six encoders, one decoder, the model's own units.

Row vectors throughout, as in SAELens: pre = (x - b_dec) W_enc + b_enc, x^ = f W_dec + b_dec with
W_enc (d, n), W_dec (n, d). Variants differ in training; what is left of each is one of

- `standard`  f = relu(pre)
- `topk`      f = relu of the k largest pre of each token
- `jumprelu`  f = pre where pre > max(threshold, 0), strictly
- `gated`     f = relu(c exp(r_mag) + b_mag) where c + b_gate > 0, c = (x - b_dec) W_enc
- `window`    f = relu of the k largest pre of each window of tokens (window.py)
- `tfa`       f = what the document's earlier tokens suggest, and TopK of what is left (attention.py)

The first four read a row by itself. The others read `context` tokens, their own and those before it: whoever
encodes for them says how many rows above a row are its past (past.py), or says why it cannot.

Evaluations import this file and never a variant's.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pipeline.sae.core.attention import Attention, parts
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.sparse import bag
from pipeline.sae.core.tensors import Tensors
from pipeline.sae.core.topk import row_top
from pipeline.sae.core.window import Window

Architecture = Literal["standard", "topk", "jumprelu", "gated", "window", "tfa"]

ALL = sys.maxsize
"""The context of a code that reads every earlier token of its document."""


@dataclass(frozen=True)
class SAE(Tensors):
    """A sparse autoencoder over d-dimensional activations with n latents.

    Decoder rows have unit norm; those of a window have it jointly over its tokens.
    """

    architecture: Architecture
    W_enc: Tensor  # (d, n)
    W_dec: Tensor  # (n, d)
    b_dec: Tensor  # (d,)
    b_enc: Tensor | None = None  # (n,); None for gated
    k: int | None = None  # topk, window and tfa only
    threshold: Tensor | None = None  # (n,), jumprelu only; +inf removes a latent
    r_mag: Tensor | None = None  # (n,), gated only
    b_mag: Tensor | None = None
    b_gate: Tensor | None = None
    window: Window | None = None  # window only: the tokens before
    attention: Attention | None = None  # tfa only: how the tokens before are read

    @property
    def context(self) -> int:
        """How many tokens a code reads, its own among them; ALL for as many as there are before it."""
        if self.attention is not None:
            return ALL
        return 1 if self.window is None else self.window.tokens

    @property
    def tokens_read(self) -> str:
        """`context` in words."""
        return "all earlier tokens" if self.context == ALL else f"{self.context} tokens"

    @property
    def stride(self) -> int:
        """Of how many tokens a code gives the reconstructions: so far codes can lie apart."""
        return 1 if self.window is None else self.window.tokens

    @property
    def d(self) -> int:
        """Dimension of the activations."""
        return self.W_enc.shape[0]

    @property
    def n(self) -> int:
        """Dictionary size."""
        return self.W_enc.shape[1]

    def pre(self, x: Tensor) -> Tensor:
        """(B, n) pre-activations of `x` (B, d), b_dec folded into the bias; for gated, c without any bias.

        Of a window's last token alone.
        """
        folded = -(self.b_dec @ self.W_enc)
        if self.b_enc is not None:
            folded = folded + self.b_enc
        return torch.addmm(folded, x, self.W_enc)

    def encode(self, x: Tensor, past: Tensor | None = None) -> Codes:
        """Sparse codes of `x` (B, d), values in the units of `x`.

        `past` (B,): how many rows right above each are the tokens before it (`Batch.past`). Only an SAE with
        a `context` above 1 reads it; raises ValueError where such a one is not told.
        """
        if past is None:
            if self.context > 1:
                raise ValueError(f"codes of {self.tokens_read} need to know which rows are their past")
            past = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        if self.attention is not None:
            return self._in_parts(x, past, self.attention)
        pre = self.pre(x)
        if self.window is not None:
            assert self.k is not None
            pre = self.window.add(pre, x, past)
            pairs = self.window.top(pre, self.k)
            return Codes(pairs, pairs.at(pre))
        if self.architecture == "topk":
            assert self.k is not None
            pairs = row_top(pre, self.k)
            return Codes(pairs, pairs.at(pre))
        if self.architecture == "gated":
            assert self.r_mag is not None
            assert self.b_mag is not None
            assert self.b_gate is not None
            pairs = Pairs.where(pre + self.b_gate > 0)
            latent = pairs.latent
            magnitude = pairs.at(pre) * self.r_mag.exp()[latent] + self.b_mag[latent]
            positive = magnitude > 0
            return Codes(pairs.keep(positive), magnitude[positive])
        floor: Tensor | float = 0.0 if self.threshold is None else self.threshold.clamp_min(0)
        pairs = Pairs.where(pre > floor)
        return Codes(pairs, pairs.at(pre))

    def _in_parts(self, x: Tensor, past: Tensor, attention: Attention) -> Codes:
        """Both parts of tfa as one code: a latent that is in both counts once, with the sum."""
        assert self.k is not None
        assert self.b_enc is not None
        bias = self.b_enc - self.b_dec @ self.W_enc
        both = parts(x, past, self.W_enc, bias, self.W_dec, self.b_dec, attention, self.k)
        dense = both.predictable + both.novel
        pairs = Pairs.where(dense > 0)
        return Codes(pairs, pairs.at(dense))

    def decode(self, codes: Codes, back: int = 0) -> Tensor:
        """(B, d) reconstructions of sparse `codes`; of a window's also those of the token `back` before."""
        W_dec, b_dec = self.W_dec, self.b_dec
        if back:
            assert self.window is not None
            W_dec, b_dec = self.window.W_dec[back - 1], self.window.b_dec[back - 1]
        return bag(codes.value, W_dec, codes.pairs.latent, codes.pairs.offsets) + b_dec

    def reconstruct(self, x: Tensor, past: Tensor | None = None) -> Tensor:
        """decode(encode(x)), (B, d)."""
        return self.decode(self.encode(x, past))

    def scaled(self, s: float) -> SAE:
        """Fold an input scale: the SAE of x/s-sized inputs equal to this one on s-sized inputs.

        With `folded = sae.scaled(s)`, folded.reconstruct(x) == sae.reconstruct(s * x) / s. By positive
        homogeneity only biases and thresholds are divided by s (methods.md, "Folding": ours).
        """
        return replace(
            self,
            b_dec=self.b_dec / s,
            b_enc=None if self.b_enc is None else self.b_enc / s,
            threshold=None if self.threshold is None else self.threshold / s,
            b_mag=None if self.b_mag is None else self.b_mag / s,
            b_gate=None if self.b_gate is None else self.b_gate / s,
            window=None if self.window is None else self.window.scaled(s),
            attention=None if self.attention is None else self.attention.scaled(s),
        )

    def unit_decoder(self) -> SAE:
        """The same function with decoder rows of unit norm: the norms |d_i| move into the encoder.

        A row of norm zero stays as it is. Not for a window or tfa, nor for topk with unequal norms, whose
        selection would change: there the selection is on pre * |d_i|, as SAELens' rescaling does.
        """
        norm = self.W_dec.norm(dim=1)
        norm = torch.where(norm > 0, norm, torch.ones_like(norm))
        gated = self.architecture == "gated"
        return replace(
            self,
            W_dec=self.W_dec / norm[:, None],
            # gated: the gate's sign must not move, so the norm goes into the magnitude path alone
            W_enc=self.W_enc if gated else self.W_enc * norm,
            b_enc=None if self.b_enc is None else self.b_enc * norm,
            threshold=None if self.threshold is None else self.threshold * norm,
            r_mag=self.r_mag + norm.log() if gated and self.r_mag is not None else self.r_mag,
            b_mag=self.b_mag * norm if gated and self.b_mag is not None else self.b_mag,
        )
