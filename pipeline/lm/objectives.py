"""What the embedded model learns beside the next token; all of it is dropped after training, no label enters.

- **The bag of future tokens**: the residual stream at the site, normed and turned by one matrix, is scored
  through the model's own head against all tokens 2 to 39 positions ahead in the same document: slow states
  are what tells them.
- **Balance**: the share of the site's variance that the token alone explains is held below a ceiling, and its
  participation ratio above a floor. The first without the second is met by inflating a few directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.lm.fused import head_loss

NEAREST, FARTHEST = 2, 39
"""Positions ahead whose tokens make the bag."""
ASKED = 0.4
"""Share of positions that the bag is asked of in a step."""
PUNISHMENT = 3.0
"""Weight of the token's share above its ceiling."""
NARROWNESS = 1.0
"""Weight of log(floor / participation ratio) below the floor."""
DECAY = 0.95
"""Of a token's running mean, per occurrence."""


class FutureBag(nn.Module):
    """LayerNorm and a d x d matrix on the site's residual stream."""

    def __init__(self, d: int, seed: int) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)
        self.norm = nn.LayerNorm(d)
        start = torch.randn(d, d, generator=self._generator) / d**0.5
        self.turn = nn.Parameter(start)

    def forward(self, residual: Tensor, ids: Tensor, bos: int, head: Tensor, cap: float) -> Tensor:
        """Mean loss in nats of `residual` (B, T, d) over a random part of the positions with a future."""
        tokens, shares = future_bags(ids, bos)
        chosen = torch.rand(ids.shape, generator=self._generator) < ASKED
        asked = (shares.sum(-1) > 0) & chosen
        hidden = nn.functional.linear(self.norm(residual[asked]), self.turn)
        return head_loss(hidden, head, tokens[asked], shares[asked], cap) / asked.sum().clamp(min=1)


def future_bags(ids: Tensor, bos: int) -> tuple[Tensor, Tensor]:
    """Tokens (B, T, M) ahead of each position of `ids` (B, T) and their equal shares, 0 past the document."""
    width = ids.shape[1]
    ahead = torch.arange(width)[:, None] + torch.arange(NEAREST, FARTHEST + 1)
    inside = ahead < width
    ahead = ahead.clamp(max=width - 1)
    document = (ids == bos).cumsum(1)  # every document in a context begins with BOS
    same = (document[:, ahead] == document[:, :, None]) & inside & (ids != bos)[:, :, None]
    shares = same.float() / same.sum(-1, keepdim=True).clamp(min=1)
    return ids[:, ahead], shares


class Balance:
    """Running mean (V, d) of the site's activations by token, and the two punishments."""

    def __init__(self, vocab_size: int, d: int, ceiling: float, floor: float) -> None:
        self.ceiling, self.floor = ceiling, floor
        self._mean = torch.zeros(vocab_size, d)
        self._seen = torch.zeros(vocab_size)

    def __call__(self, x: Tensor, tokens: Tensor) -> Tensor:
        """The punishment for activations `x` (N, d) of `tokens` (N,)."""
        x = x.float()
        centred = x - x.mean(0)
        share = self._share(centred, tokens)
        covariance = centred.T @ centred / len(x)
        log_ratio = 2 * covariance.trace().log() - covariance.square().sum().log()
        narrow = (torch.tensor(self.floor).log() - log_ratio).relu()
        self._update(centred.detach(), tokens)
        return PUNISHMENT * (share - self.ceiling).relu() + NARROWNESS * narrow

    def _share(self, centred: Tensor, tokens: Tensor) -> Tensor:
        """<x - mean, m(token)> / |x - mean|^2, m shrunk where a token was seen seldom; no gradient in m."""
        shrunk = self._mean[tokens] * (self._seen / (self._seen + 1))[tokens, None]
        return (centred * shrunk).sum() / centred.square().sum()

    def _update(self, centred: Tensor, tokens: Tensor) -> None:
        count = torch.zeros(len(self._mean)).index_add_(0, tokens, torch.ones(len(tokens)))
        total = torch.zeros_like(self._mean).index_add_(0, tokens, centred)
        here = count > 0
        kept = DECAY ** count[here, None]
        first = self._seen[here, None] == 0
        kept = torch.where(first, torch.zeros_like(kept), kept)
        self._mean[here] = kept * self._mean[here] + (1 - kept) * total[here] / count[here, None]
        self._seen += count
