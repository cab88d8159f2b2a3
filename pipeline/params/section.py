"""The base of every typed section of params.yaml.

A section is a frozen pydantic model whose fields are its documentation (`Field(description=...)`
with unit and range). It is closed (an unknown key is refused) and strict (a string never passes
for a number), because a silently ignored parameter is a wrong experiment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.console.errors import BadInput


class Section(BaseModel):
    """One section of params.yaml. Subclasses live beside the code they configure."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str, file: str = "params.yaml") -> Self:
        """Validate `values` of `file`; raises BadInput with one sentence per fault, naming `where`."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise BadInput(f"{file}: {_sentence(error, where, sorted(cls.model_fields))}") from None


def _sentence(error: ValidationError, where: str, known: list[str]) -> str:
    faults = []
    for fault in error.errors():
        # union branches add their type's name to the location: of no use to a reader
        place = ".".join([where, *(str(part) for part in fault["loc"])])
        if fault["type"] == "extra_forbidden":
            faults.append(f"`{place}` is not a parameter (known here: {', '.join(known)})")
        elif fault["type"] == "missing":
            faults.append(f"`{place}` is missing")
        else:
            faults.append(f"`{place}` is {fault['input']!r}: {fault['msg']}")
    return "; ".join(faults) + "."
