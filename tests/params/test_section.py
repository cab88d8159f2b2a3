"""Sections are closed and strict, and every refusal is one sentence that names the key."""

from __future__ import annotations

import importlib
import math
import re
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from pydantic.fields import FieldInfo

from pipeline.console.errors import BadInput
from pipeline.params import Section
from tests.common import ROOT

Name = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
Scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
Tree = st.recursive(
    Scalar, lambda leaf: st.lists(leaf, max_size=3) | st.dictionaries(Name, leaf, max_size=3), max_leaves=8
)


class Toy(Section):
    """A section with one field of each kind that the real ones have."""

    count: int = Field(4, ge=1, le=9, description="a count")
    rate: float = Field(0.5, gt=0, lt=1, description="a share")
    flag: bool = Field(False, description="a switch")
    kind: Literal["a", "b"] = Field("a", description="a choice")
    sizes: list[int] = Field([1], min_length=1, description="sizes")
    maybe: float | None = Field(None, ge=0, description="a number or null")


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(BadInput) as caught:
        Toy.parse(values, "toy")
    return str(caught.value)


@given(Name.filter(lambda name: name not in Toy.model_fields), Scalar)
def test_an_unknown_key_is_refused_by_name(name: str, value: Any) -> None:
    message = refusal({name: value})
    assert f"`toy.{name}` is not a parameter" in message
    assert "known here: count, flag, kind, maybe, rate, sizes" in message


@given(st.integers() | st.floats(allow_nan=False))
def test_numbers_in_range_pass_and_others_do_not(number: float) -> None:
    if isinstance(number, int) and 1 <= number <= 9:
        assert Toy.parse({"count": number}, "toy").count == number
    else:
        assert "`toy.count`" in refusal({"count": number})
    if 0 < number < 1:
        assert Toy.parse({"rate": number}, "toy").rate == number
    else:
        assert "`toy.rate`" in refusal({"rate": number})


@pytest.mark.parametrize("key", ["count", "rate", "maybe"])
@pytest.mark.parametrize("value", ["4", "0.5", True, False, [1], {}, math.nan, math.inf])
def test_only_finite_numbers_are_numbers(key: str, value: Any) -> None:
    assert f"`toy.{key}`" in refusal({key: value})


@pytest.mark.parametrize(("key", "value"), [("flag", 1), ("flag", "yes"), ("kind", "c"), ("kind", 1)])
@pytest.mark.parametrize("other", [{}, {"count": 2}])
def test_switches_and_choices_are_strict(key: str, value: Any, other: dict[str, Any]) -> None:
    assert f"`toy.{key}`" in refusal({key: value, **other})


@pytest.mark.parametrize("value", [[], "1", 1, [1.5], ["1"], [True], None])
def test_lists_are_lists_of_the_declared_kind(value: Any) -> None:
    assert "`toy.sizes" in refusal({"sizes": value})


@given(st.dictionaries(Name | st.sampled_from(sorted(Toy.model_fields)), Tree, max_size=4))
def test_any_mapping_parses_or_ends_as_one_line(values: dict[str, Any]) -> None:
    try:
        Toy.parse(values, "toy")
    except BadInput as error:
        message = str(error)
        assert message.startswith("params.yaml: `toy.")
        assert message.endswith(".")
        assert len(message.splitlines()) == 1


def test_every_fault_is_named() -> None:
    message = refusal({"count": 0, "rate": "x", "colour": 1})
    assert all(f"`toy.{key}`" in message for key in ("count", "rate", "colour"))


def test_a_section_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Toy.parse({}, "toy").count = 5  # type: ignore[misc]


def real_sections() -> list[type[Section]]:
    """Every section of the package: the classes that validate params.yaml."""
    for path in sorted(ROOT.glob("pipeline/**/*.py")):
        if re.search(r"^class \w+\(\w*(Section|Config)\)", path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    found: list[type[Section]] = []
    queue = [Section]
    while queue:
        for kind in queue.pop().__subclasses__():
            queue.append(kind)
            if kind.__module__.startswith("pipeline."):
                found.append(kind)
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


FIELDS = [
    pytest.param(kind, key, field, id=f"{kind.__module__}.{kind.__name__}.{key}")
    for kind in real_sections()
    for key, field in kind.model_fields.items()
]


def _kinds(annotation: Any) -> set[Any]:
    union = get_origin(annotation) in (UnionType, Union)
    return set(get_args(annotation)) - {type(None)} if union else {annotation}


@pytest.mark.parametrize(("kind", "key", "field"), FIELDS)
def test_real_fields_are_documented_and_strict(kind: type[Section], key: str, field: FieldInfo) -> None:
    is_section = isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    assert field.description or is_section or get_args(field.annotation), "a field says what it is"
    if _kinds(field.annotation) <= {int, float}:
        for value in ("1", True, [1], math.nan):
            with pytest.raises(BadInput, match=rf"`here\.{key}`"):
                kind.parse({key: value}, "here")


@pytest.mark.parametrize("kind", real_sections(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_real_sections_are_closed(kind: type[Section]) -> None:
    with pytest.raises(BadInput, match=r"`here\.no_such_key` is not a parameter"):
        kind.parse({"no_such_key": 1}, "here")
