"""How stable latents are over seeds by how often they fire: the rows of stability.tsv."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.compare.schemas import STABILITY
from pipeline.compare.scores import Source

PER_DECADE = 2
"""Bins of the firing rate."""


def stability(found: pd.DataFrame | None, source: Source) -> pd.DataFrame:
    """Per SAE and half decade of the firing rate: latents, and over them and the SAE's pairs of seeds
    the mean cosine of partners and the share that is stable.

    `found` is the latents.tsv of all SAEs, None where the evaluation was not run. `rate` is a bin's middle in
    the logarithm.
    """
    if found is None:
        return pd.DataFrame(columns=list(STABILITY))
    alive = found[found.alive != 0]
    place = np.floor(np.log10(alive.firing_rate) * PER_DECADE)
    alive = alive.assign(rate=10 ** ((place + 0.5) / PER_DECADE))
    table = alive.groupby(["label", "run", "seed", "rate"], sort=False).agg(
        latents=("latent", "nunique"), cosine=("matched_cosine", "mean"), stable=("stable", "mean"),
    ).reset_index()  # fmt: skip
    runs = {(run.label, run.name): (place, run.target) for place, run in enumerate(source.runs)}
    known = pd.Series(list(zip(table.label, table.run, strict=True)), index=table.index).map(runs)
    table = table.assign(target=known.str[1].astype("float64"), place=known.str[0])
    return table.sort_values(["place", "seed", "rate"], ignore_index=True)[list(STABILITY)]
