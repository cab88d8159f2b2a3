"""The hash of a method's code follows its code, and nothing else."""

from __future__ import annotations

from pathlib import Path

from pipeline.stages.common.method_code import code_of, stripped


def test_methods_have_hashes_of_their_own() -> None:
    found = {variant: code_of(variant) for variant in ("topk", "temporal", "gated")}
    assert len(set(found.values())) == 3
    assert all(len(each) == 12 for each in found.values())


def test_only_code_counts(tmp_path: Path) -> None:
    texts = {
        "a": 'def f(x):\n    """Say."""\n    return x + 1  # why\n',
        "b": "def f(x):\n    return (x +\n        1)\n",
        "c": "def f(x):\n    return x + 2\n",
        "d": 'class A:\n    """Nothing else."""\n',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert stripped(tmp_path / "a") == stripped(tmp_path / "b") != stripped(tmp_path / "c")
    assert "Nothing" not in stripped(tmp_path / "d")
