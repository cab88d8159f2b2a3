"""Command `tune`: find the methods' values for the chosen profile, and keep the record of the search.

The same search for every method (`tune` in params.yaml, docs/train.md), on validation tokens, with a seed
that no result uses. What it finds is written to params.yaml, every trial to docs/tuning. Trials of the record
are not run again, so that a stopped search goes on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch

from pipeline.charts.length import length_figure
from pipeline.console.errors import BadInput
from pipeline.params import Params, read_params
from pipeline.params.compute import ComputeSection
from pipeline.params.experiment import seeds, variants
from pipeline.stages.common.files import ACTIVATIONS
from pipeline.stages.common.method_code import code_of
from pipeline.store import open_store
from pipeline.training.run import require
from pipeline.training.section import TrainSection
from pipeline.tuning import ablation
from pipeline.tuning.beds import SOURCE, place_of, profile_bed, source_bed
from pipeline.tuning.length import nearest, points, write_lengths
from pipeline.tuning.methods import Method, method_of
from pipeline.tuning.page import write_page
from pipeline.tuning.record import Trial, of_method, path_of, read_trials, vouched, write_trials
from pipeline.tuning.search import RATE, Search, Setting, Space, put
from pipeline.tuning.section import TuneSection
from pipeline.tuning.standing import rates_of, values_of
from pipeline.tuning.sweep import Sweep
from pipeline.tuning.trial import Ground
from pipeline.tuning.write import write_values

PARAMS = Path("params.yaml")


def run(
    variant: str | None, source: bool, times: list[int], tokens: int | None, minutes: float | None,
    near: bool = False,
) -> None:  # fmt: skip
    """Search the values of `variant`, None for all methods; with `times` the rate alone at other lengths.

    `source`: on ground truth's source instead of the profile's activations; `tokens` of each trial instead
    of training's; after `minutes` no trial begins; `near`: with `times` only the best rate of the nearest
    shorter length and half of it. The rate at training's own length is kept. Raises BadInput
    for what cannot be tuned.
    """
    params = read_params()
    rules = params.get("tune", TuneSection)
    ground = _source(params, rules.seed) if source else profile_ground(params, rules.seed)
    refuse_seed(params, rules.seed, source)
    methods = _methods(params, variant)
    ends = None if minutes is None else time.monotonic() + 60 * minutes
    torch.set_num_threads(1)
    length = tokens or ground.section.tokens
    place = place_of(ground.bed.name)
    if times:
        for factor in times:
            spaces = {
                name: (near and _near(ground, each, now, factor * length)) or _rates(ground, each, now, rules)
                for name, each in methods.items()
                for now in [values_of(params, each, place)]
            }
            found = Sweep(ground, rules, methods, factor * length, ends).run(spaces)
            if factor * length == ground.section.tokens:
                _keep(place, found)
    else:
        spaces = {name: Space.of(name, rules, each.defaults) for name, each in methods.items()}
        found = Sweep(ground, rules, methods, length, ends).run(spaces)
        _keep(place, found)
    print(f"Written: {write_page(ground.bed, read_params(), rules, ground.section.l0)}", file=sys.stderr)
    lengths(ground, read_params())


def lengths(ground: Ground, params: Params) -> None:
    """Write the table of what each length of training gave, and its figure."""
    place, targets = place_of(ground.bed.name), ground.section.l0
    found = [
        point
        for name in variants(params)
        for method in [method_of(params, name)]
        for point in points(_own(ground, method), values_of(params, method, place), targets)
    ]
    path = write_lengths(ground.bed.name, found, targets, ground.section.n)
    rows = [
        {"label": each.variant, "target": target, "x": each.tokens, "y": trial.explained_variance,
         "missed": not trial.on_target}
        for each in found for target, trial in each.trials.items()
    ]  # fmt: skip
    if rows:
        path.with_suffix(".png").write_bytes(length_figure(pd.DataFrame(rows)))
    print(f"Written: {path}", file=sys.stderr)


def vouch(variant: str | None, source: bool) -> None:
    """Count the record's rows of `variant`, None for all methods, as made by the code as it is now."""
    params = read_params()
    bed = SOURCE if source else params.profile
    path = path_of(bed)
    trials = read_trials(path)
    for name in variants(params) if variant is None else [variant]:
        trials = vouched(trials, name, code_of(name))
        ablation.vouch(bed, name, code_of(name))
    write_trials(path, trials)
    print(f"Written: {path}", file=sys.stderr)


def _rates(ground: Ground, method: Method, now: Setting, rules: TuneSection) -> Space:
    """The same start as `check` has, so that ties go the same way."""
    section = ground.section
    return rates_of(_own(ground, method), method, now, section.l0, section.tokens, rules)


def _near(ground: Ground, method: Method, now: Setting, tokens: int) -> Space | None:
    """The best rate of the nearest shorter length and half of it; None where there is no shorter one."""
    start = nearest(points(_own(ground, method), now, ground.section.l0), tokens)
    if start is None:
        return None
    return Space(put(now, RATE, start.rate), (start.rate, start.rate / 2), {}, None, closed=True)


def _own(ground: Ground, method: Method) -> list[Trial]:
    """The trials of `method` on `ground`, made by its code as it is now."""
    trials, code = read_trials(path_of(ground.bed.name)), ground.code(method.variant)
    return of_method(trials, ground.bed, method.variant, method.hash, ground.seed, code)


def _keep(place: str, found: Mapping[str, Search]) -> None:
    """Write what was found; a search that was stopped changes no value."""
    done = {name: state.best for name, state in found.items() if state.done}
    write_values(PARAMS, place, done)
    for name, setting in done.items():
        print(f"{place}.{name}: {', '.join(f'{key} {value:g}' for key, value in setting)}", file=sys.stderr)
    if left := sorted(found.keys() - done.keys()):
        print(f"Not finished, left as they were: {', '.join(left)}; run it again to go on.", file=sys.stderr)


def _methods(params: Params, variant: str | None) -> dict[str, Method]:
    names = variants(params) if variant is None else [variant]
    found = {name: method_of(params, name) for name in names}
    for name, method in found.items():
        if method.others.get("preset", "ours") == "paper":
            raise BadInput(f"params.yaml: `{name}.preset` is paper, which has no values to tune.")
    tuned = {name: method for name, method in found.items() if method.defaults}
    if not tuned:
        raise BadInput(f"params.yaml: no value of {', '.join(names)} is the word `tuned`.")
    return tuned


def refuse_seed(params: Params, seed: int, source: bool) -> None:
    """Raise BadInput for a seed that results use."""
    used = params.value(f"{SOURCE}.seeds") if source else seeds(params)
    if seed in used:
        raise BadInput(f"params.yaml: `tune` has the seed {seed}, which results use: choose another.")


def profile_ground(params: Params, seed: int) -> Ground:
    """The chosen profile's activations."""
    section = params.get("profile.train", TrainSection).model_copy(update={"world_size": 1})
    device = params.get("profile.compute", ComputeSection).apply()
    store = open_store(ACTIVATIONS)
    require(section, store)
    return Ground(profile_bed(params, store.attrs.weights_sha256), store, section, device, seed, code_of)


def _source(params: Params, seed: int) -> Ground:
    """Ground truth's source, drawn from the seed of the search."""
    from pipeline.metrics.ground_truth.section import GroundTruthSection
    from pipeline.stages.ground_truth import Trial, training_of

    section = params.get(SOURCE, GroundTruthSection)
    device = params.get("profile.compute", ComputeSection).apply()
    return Ground(
        source_bed(params), Trial.of(section, seed).store, training_of(section), device, seed, code_of
    )
