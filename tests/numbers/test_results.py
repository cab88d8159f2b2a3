"""results.json and its tables: written and read by one room, types kept, damage named."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pandas as pd
import pytest

from pipeline.console.errors import BadInput
from pipeline.numbers.definition import Definition, Headline, Items, Reference
from pipeline.numbers.document import Identity, Results, Row, read_beside, read_results, write_results
from pipeline.numbers.files import read_json, write_json
from pipeline.numbers.number import Number, missing
from pipeline.numbers.table import read_table, write_table

ITEMS = Items("words.tsv", "word", "words", {"hit": 1.0, "lost": -1.0}, groups=("set", "class"), where="kept")
SHOWN = Definition("hits", "higher", "share", 1, "hits.", headline=Headline("h", "H", 7, items=ITEMS))
BESIDE = Definition("hits_none", "neither", "share", 2, "none.", False, reference=Reference("none", "h", 3))
WHO = Identity("topk", "topk", 42, "tokens", 4, "l0-4", "ok", None, 4.1, True, "ab", "m", 1, 8, 4)
COLUMNS = {"word": str, "class": str, "count": int, "share": float}


def some(numbers: dict[str, Number]) -> Results:
    definitions = {each.name: each for each in (SHOWN, BESIDE)}
    return Results("hit", "topk", definitions, (Row(WHO, numbers),), {"words.tsv": COLUMNS})


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    results = some({"hits": Number(0.25, 8, None, 0.1, 0.4), "hits_none": missing("nothing to hit")})
    write_results(tmp_path, results)
    assert read_results(tmp_path, "hit@topk") == results


def test_a_definition_says_only_where_it_is_shown(tmp_path: Path) -> None:
    write_results(tmp_path, some({}))
    metrics = read_json(tmp_path / "results.json", "hit")["metrics"]
    assert set(metrics["hits_none"]) - set(metrics["hits"]) == {"reference"}
    assert metrics["hits"]["headline"]["items"]["groups"] == ["set", "class"]


def test_a_number_without_a_definition_is_refused() -> None:
    with pytest.raises(ValueError, match="no definition for \\['misses'\\]"):
        some({"misses": Number(1.0)})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="give None and a reason"):
        Number(value)


def test_a_missing_number_needs_its_reason() -> None:
    with pytest.raises(ValueError, match="needs its reason"):
        Number(None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": 1}', "has schema 1, not 2"),
        ('{"schema": 2}', "damaged"),
    ],
)
def test_a_damaged_file_names_the_stage_to_run(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(BadInput, match=rf"{sentence}.*run `dvc repro.* hit@topk`"):
        read_results(tmp_path, "hit@topk")


def test_a_missing_file_names_the_stage_to_run(tmp_path: Path) -> None:
    for read in (
        lambda: read_results(tmp_path, "hit@topk"),
        lambda: read_table(tmp_path / "t", {}, "hit@topk"),
    ):
        with pytest.raises(BadInput, match="is missing: run `dvc repro hit@topk`"):
            read()


def test_json_is_sorted_and_complete(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"b": 1, "a": 2})
    assert (tmp_path / "new" / "a.json").read_text() == '{\n "a": 2,\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "new" / "a.json", {"a": math.nan})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


def rows() -> list[dict[str, object]]:
    return [
        {"word": "nan", "class": "01", "count": 3, "share": 1 / 3},
        {"word": "NA", "class": "1", "count": None, "share": math.nan},
        {"word": 'a\t"b"', "class": "1.0", "count": 0, "share": -math.inf},
        {"word": "", "class": "None", "count": 12345678901, "share": 2.0},
    ]


def test_a_table_s_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", COLUMNS, rows())
    assert (tmp_path / "t.tsv").read_bytes().decode() == (
        "word\tclass\tcount\tshare\n"
        "nan\t01\t3\t0.333333333\n"
        "NA\t1\t\t\n"
        '"a\t""b"""\t1.0\t0\t-inf\n'
        "\tNone\t12345678901\t2\n"
    )


def test_text_stays_text_and_integers_integers(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", COLUMNS, rows())
    table = read_table(tmp_path / "t.tsv", COLUMNS, "hit")
    assert table["word"].tolist() == ["nan", "NA", 'a\t"b"', ""]
    assert table["class"].tolist() == ["01", "1", "1.0", "None"]
    assert table["count"].dtype == "Int64"
    assert table["count"].isna().tolist() == [False, True, False, False]
    assert table["share"].isna().tolist() == [False, True, False, False]
    assert read_table(tmp_path / "t.tsv", {"class": str}, "hit").columns.tolist() == ["class"]


def test_a_column_of_integers_without_gaps_is_plain(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", {"count": int}, [{"count": 2}])
    assert read_table(tmp_path / "t.tsv", {"count": int}, "hit")["count"].dtype == "int64"


def test_an_empty_table_keeps_its_types(tmp_path: Path) -> None:
    write_table(tmp_path / "t.tsv", COLUMNS, [])
    table = read_table(tmp_path / "t.tsv", COLUMNS, "hit")
    assert table.empty
    assert table["count"].dtype == "int64"
    assert table["share"].dtype == "float64"


def test_a_frame_and_its_rows_write_the_same_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "rows.tsv", COLUMNS, rows())
    frame = read_table(tmp_path / "rows.tsv", COLUMNS, "hit")
    write_table(tmp_path / "frame.tsv", COLUMNS, frame)
    assert (tmp_path / "frame.tsv").read_bytes() == (tmp_path / "rows.tsv").read_bytes()


def test_another_number_in_an_integer_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"column count holds integers, not 0\.5"):
        write_table(tmp_path / "t.tsv", {"count": int}, [{"count": 0.5}])
    (tmp_path / "t.tsv").write_text("count\n0.5\n")
    with pytest.raises(BadInput, match="damaged"):
        read_table(tmp_path / "t.tsv", {"count": int}, "hit")


def test_a_table_that_lacks_a_column_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("count\n1\n")
    with pytest.raises(BadInput, match="damaged"):
        read_table(tmp_path / "t.tsv", COLUMNS, "hit")


def test_a_table_is_read_by_what_results_declare(tmp_path: Path) -> None:
    results = some({})
    write_results(tmp_path, results)
    write_table(tmp_path / "words.tsv", COLUMNS, rows())
    table = read_beside(tmp_path, read_results(tmp_path, "hit"), "words.tsv")
    assert isinstance(table, pd.DataFrame)
    assert table["class"].tolist()[0] == "01"
    with pytest.raises(BadInput, match=r"declares no table other\.tsv"):
        read_beside(tmp_path, results, "other.tsv")


def test_floats_are_read_as_python_reads_them(tmp_path: Path) -> None:
    rng = random.Random(0)
    values = [rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30) for _ in range(1000)]
    write_table(tmp_path / "t.tsv", {"x": float}, [{"x": value} for value in values])
    read = read_table(tmp_path / "t.tsv", {"x": float}, "hit")["x"].tolist()
    assert read == [float(f"{value:.9g}") for value in values]
