"""params.yaml is read as DVC reads it, and every fault ends as one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.errors import BadInput
from pipeline.params import Params, Section, read_params

TREE: dict[str, Any] = {
    "profile": "tiny",
    "profiles": {"tiny": {"train": {"n": 8}}, "big": {"train": {"n": 64}}},
    "seeds": [1, 2],
}

seen: list[str] = []


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pipeline.params":
        seen.append(arguments[0])


sys.addaudithook(_record)


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_profile_prefix_means_the_chosen_profile() -> None:
    assert Params(TREE).value("profile.train.n") == 8
    assert Params({**TREE, "profile": "big"}).value("profile.train.n") == 64


def test_every_read_is_announced_with_its_full_key() -> None:
    seen.clear()
    Params(TREE).value("profile.train")
    assert seen == ["profile", "profiles.tiny.train"]


def test_an_unknown_profile_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="profile `huge` is unknown; choose one of tiny, big"):
        Params({**TREE, "profile": "huge"}).value("profile.train")


@pytest.mark.parametrize("key", ["atm", "seeds.0", "profile.train.m", "profiles.tiny.train.n.x"])
def test_a_missing_key_is_named(key: str) -> None:
    full = key.replace("profile.", "profiles.tiny.") if key.startswith("profile.") else key
    with pytest.raises(BadInput, match=rf"`{full}` is missing"):
        Params(TREE).value(key)


def test_numbers_and_words_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    params = read_params(write(tmp_path, "a: 1e-3\nb: no\nc: 010\nd: 1_000\n"))
    assert [params.value(key) for key in "abc"] == [0.001, "no", 10]


def test_a_fault_names_the_chosen_profile_s_key() -> None:
    with pytest.raises(BadInput, match=r"`profiles\.tiny\.train\.n` is not a parameter"):
        Params(TREE).get("profile.train", Section)
    with pytest.raises(BadInput, match=r"`profiles\.tiny\.train\.n` must be a section"):
        Params(TREE).get("profile.train.n", Section)


class Method(Section):
    """As a method's Config: every value has the literature's default."""

    lr_scale: float = 1.0
    weight: float = 0.5
    kind: str = "a"


METHOD: dict[str, Any] = {
    "profile": "tiny",
    "profiles": {
        "tiny": {"tuned": {"m": {"lr_scale": 4.0, "kind": "b"}}}, "big": {"tuned": {"m": {}}}, "bare": {},
    },
    "on_source": {"m": {"weight": 2.0}},
    "m": {"lr_scale": "tuned", "weight": "tuned", "kind": "c"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "expected"),
    [("tiny", {"lr_scale": 4.0, "kind": "c"}), ("big", {"kind": "c"}), ("bare", {"kind": "c"})],
)
def test_the_word_tuned_is_the_profile_s_value_or_the_default(profile: str, expected: dict[str, Any]) -> None:
    params = Params({**METHOD, "profile": profile})
    assert params.section("m") == expected
    assert params.get("m", Method) == Method(**expected)


def test_tuned_values_may_lie_elsewhere() -> None:
    assert Params(METHOD).section("m", tuned="on_source") == {"weight": 2.0, "kind": "c"}


def test_a_value_set_by_hand_counts_more_than_the_tuned_one() -> None:
    """`dvc exp run -S m.lr_scale=8` replaces the word."""
    assert Params({**METHOD, "m": {"lr_scale": 8.0}}).section("m") == {"lr_scale": 8.0}


def test_tuned_values_are_read_only_where_the_word_stands() -> None:
    seen.clear()
    Params({**METHOD, "m": {"lr_scale": 8.0}}).section("m")
    assert seen == ["m"]
    Params(METHOD).section("m")
    assert seen == ["m", "m", "profile", "profiles.tiny.tuned.m"]


def test_tuned_values_must_be_a_section() -> None:
    with pytest.raises(BadInput, match=r"`profiles\.tiny\.tuned\.m` must be a section, not 3"):
        Params({**METHOD, "profiles": {"tiny": {"tuned": {"m": 3}}}}).section("m")


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="run from the repository root"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "text", ["a: [1, 2", "a: 1\na: 2\n", "\t- x", "just words", "", "- 1\n- 2\n", "a: !x 1"]
)
def test_what_is_not_a_mapping_of_sections_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_params(write(tmp_path, text))
    assert "params.yaml" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@given(
    st.dictionaries(
        st.sampled_from(["profile", "profiles", "seeds"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    )
)
def test_any_wrong_tree_ends_as_one_sentence(tree: dict[str, Any]) -> None:
    tree.setdefault("profiles", {"other": {}})
    with pytest.raises(BadInput) as caught:
        Params(tree).value("profile.train")
    assert len(str(caught.value).splitlines()) == 1
