"""Command `ablate`: what each switch of a method gives and costs, on validation tokens.

Every combination of its switches (`tune.switches` in params.yaml) on the chosen profile, at three rates and
with several seeds; kept like the trials of `tune`, and made again only when the method's code has changed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import torch

from pipeline.commands.tune import profile_ground, refuse_seed
from pipeline.console.errors import BadInput
from pipeline.params import read_params
from pipeline.tuning.ablated import Ablation
from pipeline.tuning.ablation_page import write_page
from pipeline.tuning.beds import place_of
from pipeline.tuning.methods import method_of
from pipeline.tuning.section import TuneSection
from pipeline.tuning.standing import values_of


def run(variant: str, tokens: int | None, minutes: float | None) -> None:
    """Train what the record of `variant` lacks at `tokens` of each SAE; after `minutes` none begins.

    Raises BadInput for a method without switches.
    """
    params = read_params()
    rules = params.get("tune", TuneSection)
    if not (switches := rules.switches.get(variant)):
        raise BadInput(f"params.yaml: `tune.switches` names no switch of {variant}.")
    for seed in rules.switch_seeds:
        refuse_seed(params, seed, source=False)
    ground = profile_ground(params, rules.switch_seeds[0])
    ground = replace(
        ground, section=ground.section.model_copy(update={"tokens": tokens or ground.section.tokens})
    )
    torch.set_num_threads(1)
    method = method_of(params, variant)
    now = values_of(params, method, place_of(ground.bed.name))
    ends = None if minutes is None else time.monotonic() + 60 * minutes
    Ablation(ground, method, switches, now, rules.switch_seeds, ends).run()
    print(f"Written: {write_page(ground.bed, variant, switches)}", file=sys.stderr)
