"""A code for a window of T tokens (`SAE.window`): the encoder over all of them, one decoder for each.

pre_t = (x_t - b_dec) W_enc + b_enc + sum over 1 <= j < T of (x_{t-j} - b_past[j-1]) W_past[j-1]

and the code are the k largest, in each of `groups` equal parts of the dictionary. A token before the
document's or context's beginning adds nothing, as if it were b_past: zero where inputs are centred.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from pipeline.sae.core.codes import Pairs
from pipeline.sae.core.tensors import Tensors
from pipeline.sae.core.topk import row_top


@dataclass(frozen=True)
class Window(Tensors):
    """What a window's code has beside the weights of the last token, which are the SAE's own."""

    W_enc: Tensor  # (T - 1, d, n), of the token before, of the one before that, ..
    W_dec: Tensor  # (T - 1, n, d); with the SAE's own rows of unit norm jointly
    b_dec: Tensor  # (T - 1, d)
    groups: int = 1  # parts of the dictionary, each with k active latents

    @property
    def tokens(self) -> int:
        """T."""
        return len(self.b_dec) + 1

    def add(self, pre: Tensor, x: Tensor, past: Tensor) -> Tensor:
        """`pre` (B, n) of the rows' own tokens with what the tokens before add; `x` (B, d), `past` (B,)."""
        for back in range(1, min(self.tokens, len(x))):
            known = (past[back:] >= back)[:, None]
            pre[back:].addmm_((x[:-back] - self.b_dec[back - 1]) * known, self.W_enc[back - 1])
        return pre

    def top(self, pre: Tensor, k: int) -> Pairs:
        """The `k` largest of `pre` (B, n) in each group, those above zero."""
        if self.groups == 1:
            return row_top(pre, k)
        batch, n = pre.shape
        return Pairs.flat_ids(row_top(pre.view(batch * self.groups, -1), k).flat, batch, n)

    def scaled(self, s: float) -> Window:
        """Of x/s-sized inputs (`SAE.scaled`)."""
        return replace(self, b_dec=self.b_dec / s)
