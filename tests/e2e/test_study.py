"""`python -m pipeline study` end to end at a tiny size: two language models, two seeds, tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.clone import Clone, working_tree
from tests.e2e.tiny import tiny

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

STUDY: dict[str, Any] = {
    "profile": "embedded",
    "hours": 100.0,
    "models": {"one": {}, "two": {"set": {"profile.text.seed": 1, "profile.model.seed": 1}}},
    "blocks": {
        "cheap": {
            "question": "Does a trained decoder reconstruct better than a frozen one?",
            "overturned_by": "another text.",
            "models": ["one", "two"],
            "seeds": [1, 2],
            "variants": ["topk"],
            "evaluations": ["reconstruction"],
            "set": {"topk.controls": ["frozen_decoder"]},
            "compared": [
                {"row": "topk", "against": "topk (frozen_decoder)", "outcomes": ["explained_variance"]}
            ],
        },
        "dear": {
            "question": "?", "overturned_by": "?", "models": ["one"], "seeds": list(range(1, 500)),
            "variants": ["tsae"], "evaluations": ["reconstruction"], "set": {"profile.train.tokens": 10**9},
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = working_tree(tmp_path_factory.mktemp("study"))
    made.set_params(tiny(made.params()))
    with (made.root / "study.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(STUDY, file)
    return made


def written(clone: Clone) -> dict[str, bytes]:
    """The tables of rows; plan.tsv has times of its own."""
    return {
        name: (clone.root / "study" / name).read_bytes() for name in ("columns.tsv", "items.tsv", "text.tsv")
    }


def stages(output: str) -> list[str]:
    return [line for line in output.splitlines() if "train@" in line]


def test_a_study_runs_stops_and_goes_on(clone: Clone) -> None:
    planned = clone.pipeline("study", "--plan").stdout
    assert "cheap" in planned
    assert "left out: dear" in planned
    assert not (clone.root / ".scratch/study").exists()
    first = clone.pipeline("study")
    found = written(clone)
    rows = found["text.tsv"].decode().splitlines()
    assert len(rows) == 1 + 2 * 2 * 2
    assert sum("topk (frozen_decoder)" in row for row in rows) == 2 * 2
    assert stages(first.stdout + first.stderr)
    # lost tables come back from the workspaces, and nothing runs
    (clone.root / "study/text.tsv").unlink()
    assert not stages(clone.pipeline("study", "--gather").stdout)
    assert written(clone) == found
    folder: Path = clone.root / ".scratch/study/cheap-one"
    before = (folder / "models/sae/topk/1/index.json").stat().st_mtime_ns
    clone.pipeline("study")
    assert (folder / "models/sae/topk/1/index.json").stat().st_mtime_ns == before
    assert written(clone) == found


def test_an_unknown_block_is_one_sentence(clone: Clone) -> None:
    said = clone.pipeline("study", "nosuch", code=2).stderr
    assert "study.yaml has no block `nosuch`: choose of cheap, dear." in said
