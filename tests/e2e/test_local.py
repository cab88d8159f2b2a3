"""Files of one's own: a model folder, a text file and a labels file, at any path."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.e2e.clone import Clone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

WORDS = "the cat dog bird sees hears a tree house river and not small old far".split()


def sentences(count: int, seed: int) -> str:
    draw = random.Random(seed)
    return "".join(" ".join(draw.choices(WORDS, k=12)) + ".\n\n" for _ in range(count))


@pytest.fixture
def local(clone: Clone, tmp_path: Path) -> tuple[Clone, Path]:
    """A clone on profile `local`, and the folder, outside of it, with the user's text."""
    own = tmp_path / "own files"
    own.mkdir()
    (own / "text.txt").write_text(sentences(600, seed=1), encoding="utf-8")
    model = clone.root / "my-model"
    shutil.copytree(clone.root / "models/lm", model)
    (model / "resolved.json").unlink()
    tree = clone.params()
    profile = tree["profiles"]["embedded"]
    tree["profile"] = "local"
    tree["profiles"]["local"] = {
        **profile,
        "text": {"source": "local", "context_length": 32, "seed": 0, "document_words": 40},
        "model": {"source": "local"},
    }
    tree["inputs"].update(model="my-model", text=str(own / "text.txt"))
    clone.set_params(tree)
    return clone, own


def test_an_edited_text_reruns_what_reads_it(local: tuple[Clone, Path]) -> None:
    clone, own = local
    assert clone.dvc("repro", "harvest").executed == {"corpus", "model", "harvest"}
    assert clone.dvc("repro", "harvest").executed == set()
    with (own / "text.txt").open("a", encoding="utf-8") as file:
        file.write(sentences(100, seed=2))
    assert clone.dvc("repro", "harvest").executed == {"corpus", "harvest"}
