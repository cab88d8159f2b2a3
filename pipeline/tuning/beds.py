"""What a sweep was made on, by its parameters: a profile, or the source of ground truth."""

from __future__ import annotations

from typing import Any

from pipeline.params import Params
from pipeline.tuning.record import Bed, hashed

SOURCE = "ground_truth"
"""The bed that is no profile."""
PLACES = {SOURCE: "ground_truth_tuned"}
"""Where tuned values stand; of a profile: `profiles.{name}.tuned`."""

SAME_MODEL = ("retrain", "gate")
SAME_RATE = ("l0", "tokens", "log_every", "checkpoint_every", "validation_tokens", "world_size")
SAME_SOURCE = ("seeds", "l0", "tokens", "test_contexts")
"""Keys that leave a trial what it was: the length and the targets are in its own row."""


def place_of(bed: str) -> str:
    """The key of params.yaml under which the tuned values of a bed stand."""
    return PLACES.get(bed, f"profiles.{bed}.tuned")


def profile_bed(params: Params, weights: str) -> Bed:
    """The chosen profile, on a language model of these `weights`."""
    text, model, train = (params.value(f"profile.{name}") for name in ("text", "model", "train"))
    harvest = params.value("profile.harvest")
    read = {"site": harvest["site"], "dtype": harvest.get("dtype", "float32")}
    kept = [text, _without(model, SAME_MODEL), read, _without(train, SAME_RATE)]
    return Bed(params.profile, hashed(kept), weights[:12])


def source_bed(params: Params) -> Bed:
    """The source of ground truth."""
    return Bed(SOURCE, hashed(_without(params.value("ground_truth"), SAME_SOURCE)), "")


def _without(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
