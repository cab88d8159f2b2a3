"""A second device where there is none: tensors that say they are elsewhere, and refuse what a GPU refuses.

Inside `emulated()` a tensor moved to `DEVICE` computes on the CPU, but NumPy cannot read it, and it cannot
meet a CPU tensor, except for a number and an index into it. What runs here puts every tensor where it
belongs. Speed and the order of sums are not shown; a shape changed in place (`squeeze_`) goes unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

DEVICE = torch.device("meta")  # a name that torch knows without a GPU; the tensors have values
_MOVES = {"aten::_to_copy", "aten::copy_"}
_INDEXES = {"aten::index", "aten::index_put_"}


@contextmanager
def emulated() -> Iterator[None]:
    """Where `DEVICE` is a device like any other."""
    with _Operations(), _Literals():
        yield


class _Far(Tensor):
    """What says it is on `DEVICE`; `near` holds the values."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> _Far:
        far: _Far = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype,
            device=DEVICE,
        )  # fmt: skip
        far.near = near
        return far

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any) -> Any:
        raise RuntimeError(f"{func} outside of emulated()")

    def tolist(self) -> Any:
        """As of any other tensor."""
        return self.near.tolist()


class _Operations(TorchDispatchMode):
    """Compute on the CPU; RuntimeError where tensors of both devices meet."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given, name = kwargs or {}, func._schema.name
        tensors = [each for each in tree_flatten((args, given))[0] if isinstance(each, Tensor)]
        far = any(isinstance(each, _Far) for each in tensors)
        if far and name not in _MOVES:
            near = [each for each in tensors if not isinstance(each, _Far) and each.dim()]
            if near and not (name in _INDEXES and isinstance(args[0], _Far)):
                raise RuntimeError(f"{name} of tensors on two devices")
        near_args, near_given = tree_map_only(_Far, lambda each: each.near, (args, given))
        if given.get("device") is not None:
            far = torch.device(given["device"]) == DEVICE
            near_given["device"] = torch.device("cpu")
        found = func(*near_args, **near_given)
        if func._schema.is_mutable:
            return given.get("out", args[0]) if func._schema.returns else None
        return tree_map_only(Tensor, _Far, found) if far else found


class _Literals(TorchFunctionMode):
    """Tensors of Python numbers, which torch makes unseen by the operations."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is torch.tensor and "device" in given:
            where = given["device"]
            return func(*args, **{k: v for k, v in given.items() if k != "device"}).to(where)
        if func is Tensor.new_tensor:
            like, values = args
            return torch.tensor(values, dtype=like.dtype).to(like.device)
        return func(*args, **given)
