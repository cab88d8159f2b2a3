"""Stage `external@{name}`: an SAE trained elsewhere -> models/sae/{name}/external, in our layout.

What every evaluation then reads is the same as for an SAE of ours: `index.json` and one folder,
`given`. It has no L0 target and one seed, 0; its L0 is measured like that of ours.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.console.errors import BadInput
from pipeline.lm.core.hub import hub_snapshot
from pipeline.params import Params, read_params
from pipeline.params.compute import ComputeSection
from pipeline.sae.core.folder import save_sae
from pipeline.sae.core.index import EXTERNAL, Run, write_index
from pipeline.sae.formats.external import ExternalSAE, Location
from pipeline.sae.formats.read import FILES, read
from pipeline.sae.formats.section import ExternalSection, require_name
from pipeline.sae.formats.sparsify import RUN
from pipeline.stages.common.files import ACTIVATIONS, external_folder, fresh
from pipeline.store import Store, open_store
from pipeline.training.validation import Validation, validate, validation_rows


def run(name: str) -> None:
    """Read, check against the activation store and keep the SAE that `external.{name}` names."""
    params = read_params()
    require_name(name)
    where = f"external.{name}"
    section = params.get(where, ExternalSection)
    section.require(where)
    count = _validation_tokens(params)
    device = params.get("profile.compute", ComputeSection).apply()
    store = open_store(ACTIVATIONS)
    given = read(place(section), section.format)
    require_match(given, section, store, where)
    measured = validate(given.sae.to(device), validation_rows(store, count).to(device))
    _say(name, given, measured)
    write(name, section, given, measured.l0, store)


def place(section: ExternalSection) -> Location:
    """The folder on this machine; a repository of the hub is fetched, its SAE's files only."""
    if section.repo is None:
        root = Path(section.path)
    else:
        assert section.revision is not None
        known = {file for files in FILES.values() for file in files}
        wanted = [str(Path(section.folder) / file) for file in sorted(known)]
        root = hub_snapshot(section.repo, section.revision, [*wanted, RUN])
    return Location(root / section.folder, section.name, root if section.folder else None)


def require_match(given: ExternalSAE, section: ExternalSection, store: Store, where: str) -> None:
    """Raise BadInput unless the SAE reads the activations that the store holds."""
    attrs = store.attrs
    model = section.model if section.model is not None else given.model
    site = section.site or given.site
    for key, value, ours in (("model", model, attrs.model_id), ("site", site, attrs.site)):
        if value is None:
            raise BadInput(
                f"`{where}`: its files do not say which {key} it was trained on; if it is that of "
                f"{ACTIVATIONS}, set `{where}.{key}: {ours}`."
            )
    if _short(str(model)) != _short(attrs.model_id):
        raise BadInput(
            f"`{where}` was trained on model {model}, but {ACTIVATIONS} holds {attrs.model_id}: choose "
            f"the profile of its model, or, if both names mean one model, set "
            f"`{where}.model: {attrs.model_id}`."
        )
    if site != attrs.site:
        raise BadInput(
            f"`{where}` reads {site}, but {ACTIVATIONS} holds {attrs.site}: choose another "
            "SAE, or set `harvest.site` of the profile."
        )
    if given.sae.d != store.d:
        raise BadInput(
            f"`{where}` takes activations of width {given.sae.d}, but {ACTIVATIONS} holds width {store.d}: "
            "it is of another model or another site."
        )
    if given.model_sha256 not in (None, attrs.weights_sha256):
        raise BadInput(
            f"`{where}` was trained on a model {model} with other weights than those of {ACTIVATIONS}: "
            "choose an SAE of this very model."
        )


def write(name: str, section: ExternalSection, given: ExternalSAE, l0: float, store: Store) -> None:
    """The folder as a train stage would leave it."""
    folder = fresh(external_folder(name))
    attrs = store.attrs
    save_sae(folder / "given", given.sae, {
        "model_name": attrs.model_id,
        "model_revision": attrs.revision,
        "model_sha256": attrs.weights_sha256,
        "hook_name": attrs.hook_name,
        "layer": attrs.layer,
        "prepend_bos": True,
        "training_architecture": given.kind,
        "given_format": given.format,
        "given_repository": section.repo,
        "given_revision": section.revision,
        "l0": l0,
    })  # fmt: skip
    write_index(folder, [
        Run(name="given", variant=name, control=None, seed=0, reading=EXTERNAL, target=None, status="ok",
            reason=None, l0=l0, coefficient=None, on_target=None)
    ])  # fmt: skip


def _say(name: str, given: ExternalSAE, measured: Validation) -> None:
    print(
        f"external {name}: {given.kind} of {given.format}, d {given.sae.d}, n {given.sae.n}; on validation "
        f"tokens L0 {measured.l0:.4g}, explained variance {measured.explained_variance:.4g}",
    )
    if measured.fault() is not None:
        print(f"  its {measured.fault()}: it may expect inputs of another scale or site")


def _validation_tokens(params: Params) -> int:
    key = "profile.train.validation_tokens"
    count = params.value(key)
    if type(count) is not int or count < 1:
        raise BadInput(f"params.yaml: `{key}` must be a positive whole number, not {count!r}.")
    return count


def _short(model: str) -> str:
    """A model's name as libraries agree on it: without its owner, in lower case."""
    return model.rsplit("/", 1)[-1].lower()
