from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.params import read_params
from pipeline.tuning.write import write_values
from tests.common import ROOT


def test_params_yaml_keeps_everything_else(tmp_path: Path) -> None:
    """Comments, layout, null and the order of keys: one line changes per method."""
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    before = path.read_text().splitlines()
    write_values(path, "profiles.pythia-70m.tuned", {"atm": (("lr_scale", 4.0), ("sharpness", 1 / 3))})
    after = path.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new for _, new in changed] == ["      atm: {lr_scale: 4.0, sharpness: 0.333333}"]
    assert read_params(path).under("pythia-70m").section("atm")["sharpness"] == 0.333333
    write_values(path, "ground_truth_tuned", {"topk": (("lr_scale", 1e-5),)})
    assert read_params(path).value("ground_truth_tuned.topk") == {"lr_scale": 1e-5}
