from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.console.errors import BadInput
from pipeline.text.local import csv_sets, read_documents


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_paragraphs_are_grouped_up_to_the_word_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one two\nthree\n\nfour\n \n\nfive six seven\n\neight\n")
    assert read_documents(path, 4) == ["one two\nthree\n\nfour", "five six seven\n\neight"]
    assert read_documents(path, 1) == ["one two\nthree", "four", "five six seven", "eight"]


def test_lines_stand_for_paragraphs_where_no_line_is_blank(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "a b\nc d\ne f\n")
    assert read_documents(path, 3) == ["a b\nc d", "e f"]


def test_a_folder_is_read_in_order_and_documents_keep_to_one_file(tmp_path: Path) -> None:
    write(tmp_path / "b.txt", "second")
    write(tmp_path / "a" / "z.txt", "first")
    write(tmp_path / "a.csv", "not text")
    assert read_documents(tmp_path, 100) == ["first", "second"]


@pytest.mark.parametrize("name", ["none", "missing.txt"])
def test_text_that_is_not_there(tmp_path: Path, name: str) -> None:
    write(tmp_path / "none", "No input file")
    with pytest.raises(BadInput, match=r"inputs\.text"):
        read_documents(tmp_path / name, 10)


def test_empty_text_and_wrong_encoding(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no text"):
        read_documents(write(tmp_path / "a.txt", " \n\n"), 10)
    (tmp_path / "b.txt").write_bytes("\xe9t\xe9".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8"):
        read_documents(tmp_path / "b.txt", 10)


def test_csv_sets_are_named_and_capped(tmp_path: Path) -> None:
    rows = "".join(f'"text, {i}",{"ab"[i % 2]}\n' for i in range(20)) + "rare,c\n"
    write(tmp_path / "mood.csv", "text,label\n" + rows)
    (found,) = csv_sets(tmp_path / "mood.csv", 4, seed=0)
    assert found.name == "mood"
    assert Counter(found.labels) == {"a": 4, "b": 4, "c": 1}
    numbers = [int(text.split()[-1]) for text in found.texts if text != "rare"]
    assert numbers == sorted(numbers)
    assert all("ab"[n % 2] == label for n, label in zip(numbers, found.labels, strict=False))
    assert csv_sets(tmp_path, 4, seed=0) == [found]
    assert csv_sets(tmp_path, 4, seed=1) != [found]


def test_no_labels_given(tmp_path: Path) -> None:
    assert csv_sets(write(tmp_path / "none", "No input file"), 4, seed=0) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,kind\na,b\n", "no column label"),
        ("", "no column label and text"),
        ("text,label\na,\n", "line 2: text or label is empty"),
        ("text,label\na,b\nonly text\n", "line 3"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str, message: str) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(BadInput, match=message):
        csv_sets(path, 4, seed=0)


def test_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"inputs\.labels"):
        csv_sets(tmp_path / "missing.csv", 4, seed=0)
    with pytest.raises(BadInput, match="without CSV files"):
        csv_sets(tmp_path, 4, seed=0)
