"""The form of claims.yaml: closed, so that a mistyped key or name is refused and not ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML

from pipeline.console.errors import BadInput

FILE = Path(__file__).with_name("claims.yaml")

Switch = bool | int | float | str


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Paper(_Record):
    """A source."""

    title: str
    reference: str = Field(description="where to find it")


class Setting(_Record):
    """Where a paper measured; null is what it does not state."""

    profile: str = Field(description="the profile of params.yaml that is nearest")
    model: str | None
    layer: int | None
    n: int | None = Field(description="dictionary size")
    text: str | None
    context_length: int | None
    tokens: int | None = Field(description="training tokens")
    seeds: int | None = Field(description="training seeds a number rests on")
    overrides: list[str] = Field(description="`-S` settings that make the profile this setting")


class Metric(_Record):
    """What a paper calls a number, and which of our metrics it may be read against."""

    title: str
    ours: list[str] = Field([], description="stage/name; of `same` exactly one")
    same: bool = Field(description="whether that is the same definition")
    why: str = Field("", description="what differs, or why none of ours corresponds; clause of a sentence")
    needs: dict[str, Switch] = Field({}, description="params under which the definitions are the same")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.same and (len(self.ours) != 1 or self.why):
            raise ValueError("a metric of the same definition has one `ours` and no `why`")
        if not self.same and not self.why:
            raise ValueError("a metric that is not the same needs its `why`")
        if any(name.count("/") != 1 for name in self.ours):
            raise ValueError("`ours` names metrics as stage/name")
        return self


class Fault(_Record):
    """What is known to be wrong with a number."""

    says: str = Field(description="one sentence")
    source: str = Field(description="where that is known from")


class System(_Record):
    """One SAE, or group of SAEs, of a paper."""

    paper: str
    method: str = Field(description="as the paper calls it")
    setting: str
    variant: str = Field(description="our method of the same kind")
    l0: float | None = Field(description="the L0 that the paper gives it")
    needs: dict[str, Switch] = Field({}, description="params that make our variant this one")
    differs: str = Field("", description="why ours is another SAE even then; clause of a sentence")


class Relation(_Record):
    """A number that compares two SAEs of one run at the same L0 target."""

    kind: Literal["less", "times"] = Field(description="less: 1 - own/other; times: own/other")
    than: str = Field(description="the other variant")


class Claim(_Record):
    """One printed number."""

    id: str
    system: str
    metric: str
    place: str = Field(description="table, section or file")
    printed: str = Field(description="as it stands there")
    value: float | None = Field(description="the same as a number, shares of 1; null where none is stated")
    fault: str
    relation: Relation | None = None


class Claims(_Record):
    """The whole file."""

    papers: dict[str, Paper]
    settings: dict[str, Setting]
    metrics: dict[str, Metric]
    faults: dict[str, Fault]
    systems: dict[str, System]
    claims: list[Claim]

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for owner, kind, name in self._references():
            if name not in getattr(self, kind):
                raise ValueError(f"{owner} names `{name}`, which is not among the {kind}")
        used = {(kind, name) for _, kind, name in self._references()}
        for kind in ("papers", "settings", "metrics", "faults", "systems"):
            for name in getattr(self, kind):
                if (kind, name) not in used:
                    raise ValueError(f"no claim uses `{name}` of the {kind}")
        ids = [claim.id for claim in self.claims]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"two claims have the id `{name}`")
        return self

    def _references(self) -> Iterator[tuple[str, str, str]]:
        """(who names it, list, key) of every name that stands for an entry of another list."""
        for name, system in self.systems.items():
            yield f"system {name}", "papers", system.paper
            yield f"system {name}", "settings", system.setting
        for claim in self.claims:
            yield f"claim {claim.id}", "systems", claim.system
            yield f"claim {claim.id}", "metrics", claim.metric
            yield f"claim {claim.id}", "faults", claim.fault

    def switches(self) -> set[str]:
        """Every params key that a claim depends on."""
        needing: list[Metric | System] = [*self.metrics.values(), *self.systems.values()]
        return {key for each in needing for key in each.needs}


def read_claims(path: Path = FILE) -> Claims:
    """Read and check the file; raises BadInput with one sentence that names the faulty record."""
    return parse(YAML(typ="safe").load(path.read_text(encoding="utf-8")))


def parse(tree: Mapping[str, Any]) -> Claims:
    """Check a tree of claims.yaml; raises BadInput."""
    try:
        return Claims.model_validate(tree)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(part) for part in _named(fault["loc"], tree))
        message = str(fault["msg"]).removeprefix("Value error, ")
        raise BadInput(f"claims.yaml{': ' + place if place else ''}: {message}; correct it there.") from None


def _named(loc: tuple[Any, ...], tree: Mapping[str, Any]) -> tuple[Any, ...]:
    """`loc` with a claim's id instead of its number in the list."""
    if len(loc) > 1 and loc[0] == "claims":
        record = tree["claims"][loc[1]]
        if isinstance(record, Mapping) and "id" in record:
            return (loc[0], record["id"], *loc[2:])
    return loc
