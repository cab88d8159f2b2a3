"""The evaluation of one's own in docs/evaluations.md is one, as it stands there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest
import torch

from pipeline.store import open_store
from tests.metrics.codes import random_sae
from tests.stages.evaluated import contexts, read_results, write_params, write_saes, write_store

PAGE = Path(__file__).parents[2] / "docs/evaluations.md"


def test_the_example_in_the_docs_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = re.findall(
        r"```python\n# pipeline/(\S+)\.py\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    for file, source in files:
        module = types.ModuleType("pipeline." + file.replace("/", "."))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(source, module.__dict__)
    monkeypatch.chdir(tmp_path)
    ids = contexts(12, 10, vocabulary=30)
    write_store(ids, torch.randn(12, 10, 6, generator=torch.Generator().manual_seed(1)))
    write_params(mine={"contexts": 2})
    for seed in (1, 2):
        write_saes("one", seed, {"l0-3": random_sae(6, 16, 3, seed)})
    sys.modules["pipeline.stages.mine"].run("one")
    row = read_results("mine", "one")["rows"][0]
    store = open_store(Path("data/activations"))
    rows = store.split("test")[:20]
    x = store.rows(rows.start, rows.stop)[torch.from_numpy(store.valid[rows.start : rows.stop])]
    error = (x - random_sae(6, 16, 3, 1).reconstruct(x)).norm(dim=1).max()
    assert row["metrics"]["largest_error"]["items"] == len(x)
    assert row["metrics"]["largest_error"]["value"] == pytest.approx(float(error))
