"""`external.NAME` in params.yaml: an SAE trained elsewhere."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pydantic import Field

from pipeline.console.errors import BadInput
from pipeline.lm.core.site import OptionalSite
from pipeline.params import Section
from pipeline.sae.formats.external import Format

UNUSED = "data/none"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class ExternalSection(Section):
    """One SAE folder of this machine, or of a repository on the Hugging Face hub."""

    path: str = Field(description="the folder; `data/none` when the SAE is on the hub")
    folder: str = Field("", description="the SAE's folder inside `path` or `repo`; empty: that one itself")
    repo: str | None = Field(None, description="a hub repository, owner/name")
    revision: str | None = Field(
        None,
        pattern="^[0-9a-f]{40}$",
        description="the commit of `repo`: a branch would change under the table",
    )
    format: Format | None = Field(None, description="the library it is from; null: seen from its files")
    model: str | None = Field(
        None, description="the language model it was trained on, where its files name none"
    )
    site: OptionalSite = Field(
        None, description="what it reads, `resid_post.LAYER`, where its files do not say"
    )

    @property
    def name(self) -> str:
        """Where it is, as its user says it."""
        return str(PurePosixPath(self.repo or self.path) / self.folder)

    def require(self, where: str) -> None:
        """Raise BadInput for what only the keys together can break; `where` is the section's key."""
        if (self.repo is None) == (self.path == UNUSED):
            raise BadInput(
                f"params.yaml: `{where}` needs either `path`, a folder, or `repo` with `path: {UNUSED}`."
            )
        if self.repo is not None and self.revision is None:
            raise BadInput(f"params.yaml: `{where}.revision` is missing: name the commit of {self.repo}.")
        if PurePosixPath(self.folder).is_absolute() or ".." in PurePosixPath(self.folder).parts:
            raise BadInput(f"params.yaml: `{where}.folder` must lie inside, not {self.folder!r}.")


def require_name(name: str) -> None:
    """Raise BadInput for a name that cannot be a row, a folder and a DVC stage."""
    if not NAME.fullmatch(name):
        raise BadInput(
            f"params.yaml: `external` has the name {name!r}; use letters, digits, `_` and `-`, a "
            "letter first."
        )
