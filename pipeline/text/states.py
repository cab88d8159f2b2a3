"""Labels of tokens: the states that the embedded text was written in, beside the tokens in the token store.

Text without such labels (local files, the hub) has none, and what needs them says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from pipeline.console.errors import BadInput

ARRAY = "states"
VERSION = 1
NONE = -1
"""No label: BOS, a drill, or a word class that has none of this field."""
MISSING = -2
"""What an absent chunk reads as; never written."""


@dataclass(frozen=True)
class Field:
    """One label: `slow` ones last for many tokens, `token` ones are the token's own.

    Value v of a field with a `parent` lies in the parent's value v // (values / the parent's values).
    """

    name: str
    values: int
    kind: Literal["slow", "token"]
    parent: str | None = None


@dataclass(frozen=True)
class States:
    """The labels of C contexts of T tokens: `values` (C, T, S) int16, a column per field; NONE: no label."""

    fields: list[Field]
    values: npt.NDArray[np.int16]

    def field(self, name: str) -> Field:
        """The field of this name."""
        return self.fields[self._column(name)]

    def of(self, name: str) -> npt.NDArray[np.int16]:
        """The column (C, T) of one field."""
        return self.values[..., self._column(name)]

    @property
    def slow(self) -> list[Field]:
        """The slow fields."""
        return [field for field in self.fields if field.kind == "slow"]

    def _column(self, name: str) -> int:
        return [field.name for field in self.fields].index(name)


def write_states(group: Any, fields: list[Field], values: npt.NDArray[np.int16], contexts: int) -> None:
    """Write `values` (C, T, S) into the open Zarr `group` of the token store, `contexts` to a chunk."""
    chunks = (min(contexts, len(values)), *values.shape[1:])
    encoding = {"name": "default", "separator": "."}
    group.create_array(ARRAY, data=values, chunks=chunks, fill_value=MISSING, chunk_key_encoding=encoding)
    group.attrs[ARRAY] = [asdict(field) for field in fields]
    group.attrs["states_version"] = VERSION


def read_states(folder: Path, split: str | None = None) -> States | None:
    """The labels of `split` (None: all) of the token store in `folder`, rows as in its `tokens`.

    None where the text has none. Raises BadInput when they are of another version or incomplete.
    """
    import zarr

    group = zarr.open_group(folder, mode="r", zarr_format=3)
    about = dict(group.attrs)
    if ARRAY not in about:
        return None
    if about.get("states_version") != VERSION:
        raise BadInput(f"{folder}/{ARRAY} is not version {VERSION}: run `dvc repro -f corpus`.")
    fields = [Field(**each) for each in cast(list[dict[str, Any]], about[ARRAY])]
    start, stop = (0, None) if split is None else cast(dict[str, list[int]], about["splits"])[split]
    try:
        values = np.asarray(cast(Any, group[ARRAY])[start:stop], dtype=np.int16)
    except (KeyError, ValueError, OSError, RuntimeError) as error:
        raise BadInput(f"{folder}/{ARRAY} cannot be read ({error}): run `dvc repro -f corpus`.") from None
    if (values == MISSING).any():
        raise BadInput(f"{folder}/{ARRAY} is incomplete: run `dvc repro -f corpus`.")
    return States(fields, values)
