"""Read an SAE folder of any known format; which one it is shows in its files."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.console.errors import BadInput
from pipeline.sae.formats import dictionary_learning, gemma_scope, saelens, sparsify
from pipeline.sae.formats.external import ExternalSAE, Format, Location

FILES: dict[Format, tuple[str, ...]] = {
    "saelens": saelens.FILES,
    "dictionary_learning": dictionary_learning.FILES,
    "sparsify": sparsify.FILES,
    "gemma_scope": gemma_scope.FILES,
}
"""The files that make a folder one of the format."""

READERS: dict[Format, Callable[[Location], ExternalSAE]] = {
    "saelens": saelens.read,
    "dictionary_learning": dictionary_learning.read,
    "sparsify": sparsify.read,
    "gemma_scope": gemma_scope.read,
}


def read(place: Location, format: Format | None = None) -> ExternalSAE:
    """The SAE in `place`, in `format` or in the one that its files show; BadInput says what is wrong."""
    return READERS[format or detect(place)](place)


def detect(place: Location) -> Format:
    """The format all of whose files lie in the folder."""
    if not place.folder.is_dir():
        raise BadInput(
            f"{place.folder} is not a folder: `external` names the folder that holds the SAE's files."
        )
    found = [name for name, files in FILES.items() if all((place.folder / each).is_file() for each in files)]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(f"{place.folder} could be {' or '.join(found)}: say which with `format`.")
    wanted = "; ".join(f"{name}: {' and '.join(files)}" for name, files in FILES.items())
    raise BadInput(f"{place.folder} holds no SAE in a known format (looked for {wanted}).")
