"""check: the whole of params.yaml at once.

A command of its own, not a stage: a stage that validated more than it declares in dvc.yaml would
either rerun for nothing or depend on what DVC does not see.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from pipeline.compare.section import CompareSection
from pipeline.console.errors import BadInput
from pipeline.lm.section import EmbeddedModel, parse_model
from pipeline.params import Params, read_params
from pipeline.params.experiment import external, seeds, variants
from pipeline.params.read import TUNED
from pipeline.sae.formats.section import ExternalSection, require_name
from pipeline.stages.common.method_code import code_of
from pipeline.text.section import EmbeddedText, parse_text
from pipeline.tuning.methods import config_of
from pipeline.tuning.section import TuneSection
from pipeline.tuning.standing import NEVER, of_profile, of_source

PROFILE = {
    "compute": "pipeline.params.compute:ComputeSection.parse",
    "text": "pipeline.text.section:parse_text",
    "model": "pipeline.lm.section:parse_model",
    "harvest": "pipeline.store.section:HarvestSection.parse",
    "train": "pipeline.commands.check:parse_train",
    "tuned": "pipeline.commands.check:parse_tuned",
}
"""Section of a profile to the function that validates it: (values, where) -> section."""

PACKAGE = Path(__file__).parents[1]


def evaluations() -> list[str]:
    """The rooms of pipeline/metrics that have a section: found, not listed."""
    return sorted(path.parent.name for path in (PACKAGE / "metrics").glob("*/section.py"))


def section_of(room: str, name: str) -> str:
    """Where the section `name` is validated: `GroundTruthSection` of pipeline/{room}/section.py."""
    kind = "".join(part.capitalize() for part in name.split("_"))
    return f"pipeline.{room}.section:{kind}Section.parse"


GROUND_TRUTH = "ground_truth_tuned"
"""The methods' values on ground truth's source; that of a profile is its `tuned`."""

TOP = {
    "inputs": "pipeline.params.experiment:Inputs.parse",
    "tune": "pipeline.commands.check:parse_tune",
    "letter_task": section_of("tasks.letters", "letter_task"),
    "probing_task": section_of("tasks.probing", "probing_task"),
    "compare": section_of("compare", "compare"),
    GROUND_TRUTH: "pipeline.commands.check:parse_tuned",
    **{name: section_of(f"metrics.{name}", name) for name in evaluations()},
}
"""Section outside the profiles to the function that validates it."""

PLAIN = ("profile", "profiles", "variants", "seeds", "external")


def run() -> None:
    """Validate params.yaml of the current folder; raises BadInput with one sentence per fault."""
    params = read_params()
    faults = list(_faults(params))
    if faults:
        raise BadInput("\n".join(faults))
    profiles = ", ".join(params.value("profiles"))
    print(
        f"params.yaml is valid: {len(params.value('variants'))} variants, profiles {profiles}.",
        file=sys.stderr,
    )
    for line in _standing(params):
        print(line, file=sys.stderr)


def _standing(params: Params) -> Iterator[str]:
    """Per bed: which methods' values were not tuned on it, with the reason."""
    beds = {f"profiles.{name}": of_profile(params.under(name), code_of) for name in params.value("profiles")}
    for where, found in (beds | {GROUND_TRUTH: of_source(params, code_of)}).items():
        wrong = {name: reason for name, reason in found.items() if reason}
        if found and all(found[name] == NEVER for name in found):
            yield f"{where}: no method's values were tuned on it."
        elif wrong:
            yield f"{where}: " + "; ".join(f"{name}: {reason}" for name, reason in wrong.items()) + "."


def parse_train(values: Mapping[str, Any], where: str) -> Any:
    """The train section, with what only its fields together can break."""
    from pipeline.training.section import TrainSection

    section = TrainSection.parse(values, where)
    try:
        section.require(rows=sys.maxsize)
    except BadInput as error:
        raise BadInput(f"{str(error).removesuffix('.')} (in `{where}`).") from None
    return section


def parse_external(values: Mapping[str, Any], where: str) -> None:
    """The section of one SAE trained elsewhere, with what only its keys together can break."""
    ExternalSection.parse(values, where).require(where)


def parse_tuned(values: Mapping[str, Any], where: str) -> None:
    """The tuned values of every method, of which any may be absent; raises BadInput naming all faults."""
    faults = list(_strangers(where, values, variant_files()))
    for name in set(values) & set(variant_files()):
        faults += _faults_of(_parse_values, name, values[name], f"{where}.{name}")
    if faults:
        raise BadInput("\n".join(faults))


def parse_tune(values: Mapping[str, Any], where: str) -> None:
    """The section `tune`, whose grids are of values that their methods have."""
    section = TuneSection.parse(values, where)
    for name, grids in section.values.items():
        if name not in variant_files():
            raise BadInput(
                f"params.yaml: `{where}.values.{name}` is no method: there is no pipeline/sae/{name}.py."
            )
        for key, grid in grids.items():
            for value in grid:
                config_of(name).parse({key: value}, f"{where}.values.{name}")


def _parse_values(variant: str, values: Any, where: str) -> None:
    if not isinstance(values, Mapping):
        raise BadInput(f"params.yaml: `{where}` must be a section ({{}} for none), not {values!r}.")
    config_of(variant).parse(values, where)


def variant_files() -> list[str]:
    """The variants that have a file in pipeline/sae."""
    folder = PACKAGE / "sae"
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def _faults(params: Params) -> Iterator[str]:
    files = variant_files()
    top = {key.split(".")[0] for key in TOP}
    yield from _strangers("", params.keys(), {*PLAIN, *top, *files})
    yield from _faults_of(variants, params)
    yield from _faults_of(seeds, params)
    yield from _faults_of(external, params, _value(params, "variants") or [])
    yield from _chosen_variants(params, files)
    yield from _external(params)
    yield from _profiles(params)
    yield from _tuned_of_all(params)
    for key, parser in TOP.items():
        yield from _section(params, key, parser)
    yield from _asked(params, files)
    for name in files:
        if name in params.keys():
            yield from _method(params, name)


def _asked(params: Params, files: list[str]) -> Iterator[str]:
    """The rows that `compare.family` names: a method or an external SAE, a control in brackets after it."""
    names = [*files, *(_value(params, "external") or [])]
    try:
        family = params.get("compare", CompareSection).family
    except BadInput:  # its section's own fault
        return
    for i, label in ((i, label) for i, each in enumerate(family) for label in (each.variant, each.against)):
        name, _, control = label.removesuffix(")").partition(" (")
        if name not in names:
            yield f"params.yaml: `compare.family[{i}]` names {label!r}: there is no such method."
        elif control and control not in (config_of(name).known if name in files else {}):
            yield f"params.yaml: `compare.family[{i}]` names {label!r}: `{name}` has no such control."


def _strangers(where: str, keys: Collection[Any], known: Collection[str]) -> Iterator[str]:
    """Keys that no section or stage knows."""
    for key in keys:
        if key not in known:
            place = f"{where}.{key}" if where else key
            yield f"params.yaml: `{place}` is not a parameter (known here: {', '.join(sorted(known))})."


def _chosen_variants(params: Params, known: list[str]) -> Iterator[str]:
    """Each chosen variant has its file and its section; dvc.yaml names both."""
    chosen = _value(params, "variants")
    for name in chosen if isinstance(chosen, list) else []:
        if name not in known:
            yield f"params.yaml: `variants` has {name!r}, but there is no pipeline/sae/{name}.py."
        elif name not in params.keys():
            yield f"params.yaml: `variants` has {name!r}, but there is no section `{name}`."


def _method(params: Params, name: str) -> Iterator[str]:
    """The faults of a method's section, in which the word `tuned` stands for any known value."""

    def parse() -> None:
        values, config = params.value(name), config_of(name)
        if values is not None and not isinstance(values, Mapping):
            raise BadInput(f"params.yaml: `{name}` must be a section, not {values!r}.")
        given = {
            key: value
            for key, value in (values or {}).items()
            if value != TUNED or key not in config.model_fields
        }
        config.parse(given, name)

    yield from _faults_of(parse)


def _tuned_of_all(params: Params) -> Iterator[str]:
    """Each chosen variant has its entry among the tuned values, empty or not: dvc.yaml names it."""
    chosen, places = _value(params, "variants"), [GROUND_TRUTH]
    places += [f"profiles.{each}.tuned" for each in _value(params, "profiles") or {}]
    for place in places:
        found = _value(params, place)
        for name in chosen if isinstance(chosen, list) and isinstance(found, Mapping) else []:
            if name in variant_files() and name not in found:
                yield f"params.yaml: `{place}` lacks `{name}`: add `{name}: {{}}`."


def _external(params: Params) -> Iterator[str]:
    values = _value(params, "external")
    for name in values if isinstance(values, Mapping) else {}:
        yield from _faults_of(require_name, str(name))
        yield from _section(params, f"external.{name}", "pipeline.commands.check:parse_external")


def _profiles(params: Params) -> Iterator[str]:
    try:
        params.profile  # noqa: B018
    except BadInput as error:
        yield str(error)
        return
    for profile, sections in params.value("profiles").items():
        where = f"profiles.{profile}"
        if not isinstance(sections, Mapping):
            yield f"params.yaml: `{where}` must be a section, not {sections!r}."
            continue
        yield from _strangers(where, sections, PROFILE)
        faults = [
            fault for key, parser in PROFILE.items() for fault in _section(params, f"{where}.{key}", parser)
        ]
        yield from faults or _faults_of(_require_shipped, sections, where)


def _require_shipped(sections: Mapping[str, Any], where: str) -> None:
    """Raise BadInput when the embedded model that ships was made with other params than the profile's."""
    from pipeline.lm.shipped.folder import ShippedModel

    model, text = parse_model(sections["model"], where), parse_text(sections["text"], where)
    if isinstance(model, EmbeddedModel) and isinstance(text, EmbeddedText) and not model.retrain:
        ShippedModel().require(model, text, where)


def _section(params: Params, key: str, parser: str) -> Iterator[str]:
    """The faults of one section; an empty one (null) has every default."""

    def parse() -> None:
        values = params.value(key)
        if values is not None and not isinstance(values, Mapping):
            raise BadInput(f"params.yaml: `{key}` must be a section, not {values!r}.")
        _load(parser)(values or {}, key)

    yield from _faults_of(parse)


def _faults_of(read: Callable[..., object], *arguments: Any) -> Iterator[str]:
    try:
        read(*arguments)
    except BadInput as error:
        yield str(error)


def _load(name: str) -> Any:
    """The object at `module:attribute.path`."""
    module, path = name.split(":")
    return reduce(getattr, path.split("."), importlib.import_module(module))


def _value(params: Params, key: str) -> Any:
    try:
        return params.value(key)
    except BadInput:
        return None
