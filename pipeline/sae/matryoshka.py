"""matryoshka: batchtopk whose dictionary prefixes each reconstruct on their own (2503.17547).

L = sum over prefixes m of |x - sum_{i < m} f_i d_i - b_dec|^2, with one batch-wide selection.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.sae.core.codes import Codes
from pipeline.sae.method.base import Based
from pipeline.sae.method.batch_topk import BatchTopConfig
from pipeline.sae.method.control import BATCHES
from pipeline.sae.method.prefixes import prefix_errors
from pipeline.sae.method.variant import Objective, Step


class Config(BatchTopConfig):
    """Section `matryoshka` of params.yaml."""

    known = BATCHES

    prefixes: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0], min_length=1, description="nested prefixes, as shares of n"
    )


class Method(Based):
    """Nested dictionaries, selection by batch."""

    config: Config

    def sizes(self) -> list[int]:
        """How many latents each prefix has, n last."""
        return sorted({max(1, round(share * self.n)) for share in self.config.prefixes} | {self.n})

    def objective(self, step: Step) -> Objective:
        """The mean over prefixes of their reconstruction losses, and AuxK.

        The mean instead of the paper's sum keeps the loss on the scale of the other variants; Adam is
        indifferent to the factor.
        """
        pairs = self.base.select(step)
        f = step.encode_at(pairs)
        errors = prefix_errors(step, f, pairs, self.sizes())
        terms = {"reconstruction": errors.square().sum() / errors[:, :, 0].numel()}
        error = errors[:, -1]
        terms |= self.base.terms(step, f, error)
        return Objective(terms, Codes(pairs, f.detach()), error.detach())
