from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from pipeline.console.errors import BadInput
from pipeline.text.embedded.generator import documents
from pipeline.text.embedded.vocabulary import vocabulary
from pipeline.text.labelled import LabelledSet, check_labels, labelled_sets
from pipeline.text.section import parse_text
from tests.text.sections import embedded

NOWHERE = Path("none")


def test_embedded_sets_are_balanced_and_reproducible() -> None:
    section = embedded(domains=8, words=400)
    found = labelled_sets(section, NOWHERE, per_class=7, seed=1)
    classes = {"language": 2, "domain": 4, "sub_domain": 4, "register": 2, "speaker": 2, "tense": 2}
    assert {each.name: len(set(each.labels)) for each in found} == classes
    for each in found:
        assert set(Counter(each.labels).values()) == {7}
        assert len(each.texts) == len(each.labels)
    assert labelled_sets(section, NOWHERE, 7, 1) == found
    assert labelled_sets(section, NOWHERE, 7, 2) != found


def test_embedded_texts_are_not_in_the_corpus() -> None:
    section = embedded()
    tokens = vocabulary(section).tokens
    corpus = {
        " ".join(tokens[index] for index in document.ids[:12])
        for split in ("train", "validation", "test")
        for document in islice(documents(section, f"corpus {split}", section.drill_share), 300)
    }
    for each in labelled_sets(section, NOWHERE, 30, 0):
        assert not corpus & {" ".join(text.split()[:12]) for text in each.texts}


def test_one_class_is_refused(tmp_path: Path) -> None:
    section = parse_text({"source": "local", "context_length": 16, "seed": 0}, "text")
    path = tmp_path / "flat.csv"
    path.write_text("text,label\nx,a\ny,a\n")
    with pytest.raises(BadInput, match=r"`flat` has 1 label\(s\) \(a\)"):
        labelled_sets(section, path, 5, 0)


def test_no_texts_are_refused() -> None:
    with pytest.raises(BadInput, match="no texts"):
        check_labels(LabelledSet("bare", [], []))
