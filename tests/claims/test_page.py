"""claims.json and claims.md."""

from __future__ import annotations

import json

from pipeline.claims.ledger import document, entries
from pipeline.claims.page import HEAD, page
from pipeline.claims.schema import read_claims
from tests.claims.made import EMBEDDED, PAPER, score, tables

CLAIMS = read_claims()
MADE = tables(
    score("topk", "reconstruction/cosine", [0.87, 0.88]),
    score("topk", "absorption/mean_full_absorption", [0.1]),
    score("jumprelu", "reconstruction/cosine", ["diverged | at step 3", "diverged | at step 3"]),
    score("temporal", "reconstruction/cosine", [0.5, 0.6], l0=None),
)


def test_every_record_has_the_same_keys_and_json_takes_it() -> None:
    written = document(entries(CLAIMS, MADE, EMBEDDED), EMBEDDED)
    json.dumps(written, allow_nan=False)
    assert written["measured_on"]["profile"] == "embedded"
    assert len(written["claims"]) == len(CLAIMS.claims)
    assert len({tuple(record) for record in written["claims"]}) == 1


def test_a_measurement_carries_what_makes_it_a_number() -> None:
    written = document(entries(CLAIMS, MADE, PAPER), PAPER)
    record = next(each for each in written["claims"] if each["id"] == "atm-topk-cosine")
    assert record["verdict"] == "reproduced"
    assert record["measured"] == [
        {
            "run": "l0-40", "target": 40.0, "metric": "reconstruction/cosine", "version": 1, "l0": 40.0,
            "mean": 0.875, "low": 0.87, "high": 0.88, "interval": None, "seeds": 2, "of": 2, "reason": "",
        }
    ]  # fmt: skip


def test_the_page_has_a_row_per_number() -> None:
    text = page(entries(CLAIMS, MADE, PAPER), PAPER)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if line != HEAD]
    assert len(rows) == len(CLAIMS.claims)
    columns = HEAD.count("|")
    assert all(line.replace(r"\|", "").count("|") == columns for line in lines)
    assert "102 numbers: 1 reproduced, 0 not reproduced, 101 not comparable." in text


def test_the_page_says_what_was_measured() -> None:
    text = page(entries(CLAIMS, MADE, PAPER), PAPER)
    assert "cosine 0.875 (0.87 to 0.88) at L0 40 | reproduced: [" in text
    assert r"≈ mean\_full\_absorption 0.1 (one seed) at L0 40" in text
    assert r"cosine missing at L0 40 (diverged \| at step 3)" in text
    assert "cosine 0.55 (0.5 to 0.6) paper at L0 unknown" in text


def test_notes_stand_once_and_are_all_used() -> None:
    text = page(entries(CLAIMS, MADE, EMBEDDED), EMBEDDED)
    table, notes = text.split("## Notes\n\n")
    listed = notes.splitlines()
    assert len(set(line.partition(". ")[2] for line in listed)) == len(listed)
    assert all(f"[{n}]" in table for n in range(1, len(listed) + 1))
