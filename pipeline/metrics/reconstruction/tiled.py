"""An SAE whose code gives the reconstructions of several tokens, with its codes laid end to end (ours).

Elsewhere each token has a code of its own, as an SAE for single tokens has. A window's code says T tokens
at once, so that is T times as many codes as need be: what it can save shows where windows do not overlap.
"""

from __future__ import annotations

import torch

from pipeline.metrics.common.resampling import ItemSums, Resampling, ratio
from pipeline.metrics.reconstruction import measure
from pipeline.numbers.definition import Definition
from pipeline.numbers.number import Number, all_missing
from pipeline.sae.core.codes import Codes, Pairs
from pipeline.sae.core.inference import SAE
from pipeline.store import Batch

COLUMNS = ("tokens", "active", "squared_error", "squared_deviation", "squared_norm")


class Tiled:
    """Sums over the tokens of whole windows, of which the first begins where a document or context does.

    `mean` (d,) float64 is the mean of all tokens, the centre of explained variance.
    """

    def __init__(self, sae: SAE, mean: torch.Tensor) -> None:
        self.sae, self.mean = sae, mean.double()
        self.sums = ItemSums(COLUMNS)

    def add(self, block: Batch, codes: Codes) -> None:
        """Add whole contexts with the codes of every token, of which each window's last is read."""
        tokens = self.sae.stride
        if tokens == 1:
            return
        ends = ((block.past + 1) % tokens == 0).nonzero().squeeze(1)
        own = _of_rows(codes, ends)
        error = deviation = norm = torch.zeros(len(ends), dtype=torch.float64, device=ends.device)
        for back in range(tokens):
            x = block.x[ends - back].double()
            error = error + (x - self.sae.decode(own, back).double()).square().sum(1)
            deviation = deviation + (x - self.mean.to(x.device)).square().sum(1)
            norm = norm + x.square().sum(1)
        each = torch.full_like(error, tokens)
        active = own.pairs.sum_by_token((own.value > 0).double())
        context = block.context[ends.to(block.context.device)]
        self.sums.add(
            context, tokens=each, active=active, squared_error=error, squared_deviation=deviation,
            squared_norm=norm,
        )  # fmt: skip

    def values(self, plan: Resampling, l0: Number, explained_variance: Number) -> dict[str, Number]:
        """Every metric of `METRICS`; of an SAE for single tokens its own `l0` and `explained_variance`."""
        if self.sae.stride == 1:
            return {"total_l0": l0, "tiled_explained_variance": explained_variance}
        tokens = int(self.sums.total("tokens"))
        if not tokens:
            return all_missing([each.name for each in METRICS], "no whole window was evaluated")
        return {
            "total_l0": self.sums.number(ratio("active", "tokens"), tokens, plan, "it is not finite"),
            "tiled_explained_variance": self.sums.number(
                measure.explained_variance, tokens, plan, measure.CONSTANT
            ),
        }


def _of_rows(codes: Codes, rows: torch.Tensor) -> Codes:
    """The codes of the ascending `rows` alone."""
    place = rows.new_full((codes.pairs.batch,), -1)
    place[rows] = torch.arange(len(rows), device=rows.device)
    at = place[codes.pairs.token]
    kept = at >= 0
    pairs = Pairs.of(at[kept], codes.pairs.latent[kept], len(rows), codes.pairs.n)
    return Codes(pairs, codes.value[kept])


METRICS = [
    Definition(
        "total_l0", "neither", "latents", 1,
        "active latents per token where codes do not overlap: those of a window's code over its tokens; l0 "
        "of an SAE for single tokens (ours)",
    ),
    Definition(
        "tiled_explained_variance", "higher", "share", 1,
        "explained variance at total_l0: of all tokens of windows that do not overlap, each from its "
        "window's one code; explained_variance of an SAE for single tokens (ours)",
    ),
]  # fmt: skip
