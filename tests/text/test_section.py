from __future__ import annotations

import pytest

from pipeline.console.errors import BadInput
from pipeline.text.section import EmbeddedText, HubText, LocalText, parse_text
from tests.text.sections import SMALL

LOCAL = {"source": "local", "context_length": 64, "seed": 0}
HUB = {
    "source": "hub", "name": "some/text", "revision": "abc1234", "context_length": 64, "train_contexts": 1,
    "validation_contexts": 1, "test_contexts": 1,
}  # fmt: skip


@pytest.mark.parametrize(("values", "schema"), [(SMALL, EmbeddedText), (LOCAL, LocalText), (HUB, HubText)])
def test_source_chooses_the_schema(values: dict[str, object], schema: type) -> None:
    assert type(parse_text(values, "text")) is schema


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"`p\.text\.source` is None; choose one of embedded, local, hub\.$"),
        ({**SMALL, "source": "web"}, "'web'"),
        (None, "is None"),
        ({**SMALL, "contrats": 0.1}, r"`p\.text\.contrats` is not a parameter"),
        ({**SMALL, "words": 120}, "too few for 5 of each letter"),
        ({**SMALL, "drill_share": 1.5}, r"p\.text\.drill_share"),
        ({**LOCAL, "train_contexts": 5}, "give all three"),
        ({**HUB, "labelled": [{"name": "x"}]}, r"labelled\.0\.revision"),
    ],
)
def test_bad_sections_are_one_sentence(values: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        parse_text(values, "p.text")
    assert "\n" not in str(caught.value)
