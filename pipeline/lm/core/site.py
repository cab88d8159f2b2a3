"""A hook point: what of a language model is kept, and its name in other people's words. Without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator

from pipeline.console.errors import BadInput
from pipeline.params import Params

Kind = Literal["resid_post"]
"""resid_post: the residual stream after a block."""

NAME = re.compile(r"(?P<kind>[a-z_]+)\.(?P<layer>\d+)|blocks\.(?P<block>\d+)\.hook_(?P<hook>[a-z_]+)")
"""Ours, and TransformerLens' (which is SAELens')."""


@dataclass(frozen=True, order=True)
class Site:
    """One hook point; written `resid_post.1`. `layer` is a block, zero-based."""

    kind: Kind
    layer: int

    @classmethod
    def parse(cls, name: Any) -> Self:
        """The site of a name, ours or TransformerLens'; raises ValueError for any other."""
        match = NAME.fullmatch(name) if isinstance(name, str) else None
        kind = match and (match["kind"] or match["hook"])
        if match is None or kind not in get_args(Kind):
            raise ValueError(
                f"{name!r} is no site that can be read; the residual stream after block 1 is `resid_post.1`"
            )
        return cls("resid_post", int(match["layer"] or match["block"]))

    def __str__(self) -> str:
        return f"{self.kind}.{self.layer}"

    @property
    def hook_name(self) -> str:
        """TransformerLens' name, which SAELens keeps as `hook_name` in an SAE's metadata."""
        return f"blocks.{self.layer}.hook_{self.kind}"

    def module(self, blocks: str) -> str:
        """transformers' name of the module whose output it is; `blocks` is the list's, `model.layers`."""
        return f"{blocks}.{self.layer}"


SiteField = Annotated[Site, BeforeValidator(Site.parse)]
"""A site in a section of params.yaml: written as its name."""
OptionalSite = Annotated[
    Site | None, BeforeValidator(lambda name: None if name is None else Site.parse(name))
]
"""The same, or null."""


def chosen_site(params: Params) -> Site:
    """`harvest.site` of the chosen profile, for stages that read nothing else of `harvest`."""
    try:
        return Site.parse(params.value("profile.harvest.site"))
    except ValueError as error:
        raise BadInput(f"params.yaml: `profiles.{params.profile}.harvest.site`: {error}.") from None
