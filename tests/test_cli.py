"""The command line: a user's mistake is one line on stderr and exit code 2, never a traceback."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.__main__ import main
from tests.common import ROOT

PARAMS: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())

NEEDS_INPUT = (
    ["harvest"],
    ["letter_task"],
    ["probing_task"],
    ["train", "topk", "42"],
    ["reconstruction", "topk"],
    ["behavior", "topk"],
    ["absorption", "topk"],
    ["probing", "topk"],
    ["compare"],
    ["claims"],
    ["saebench"],
    ["latents", "topk"],
    ["latent", "topk", "42", "--latent", "1"],
    ["page"],
)
"""Every stage that reads another stage's output."""

Run = Callable[..., str]


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The repository's params, for a test to damage; the test's folder is the current one."""
    monkeypatch.chdir(tmp_path)
    return copy.deepcopy(PARAMS)


@pytest.fixture
def refused(
    params: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Write params.yaml, run a command that must end with exit code 2, and return what stderr says."""

    def run(*arguments: str) -> str:
        with Path("params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(params, file)
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        return capsys.readouterr().err

    return run


def one_line(message: str) -> str:
    assert message.startswith("error: ")
    assert message.endswith(".\n")
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize("arguments", NEEDS_INPUT, ids=" ".join)
def test_a_stage_without_its_input_says_so(refused: Run, arguments: list[str]) -> None:
    one_line(refused(*arguments))
    left = {path.name for path in Path().iterdir()} - {"params.yaml", ".scratch"}
    assert not left, "nothing half-written where a later stage would read it"


@pytest.mark.parametrize("arguments", [["corpus"], ["model"], *NEEDS_INPUT], ids=" ".join)
def test_an_unknown_profile_is_named(refused: Run, params: dict[str, Any], arguments: list[str]) -> None:
    params["profile"] = "no-such"
    message = one_line(refused(*arguments))
    assert "profile `no-such` is unknown" in message
    assert "embedded" in message


@pytest.mark.parametrize("variant", ["nosuch", "core", "../store", ""])
def test_an_unknown_variant_is_named(refused: Run, params: dict[str, Any], variant: str) -> None:
    params[variant] = {}
    one_line(refused("ground_truth", variant))


@pytest.mark.parametrize(
    ("stage", "section"),
    [
        (["corpus"], "profiles.embedded.text"),
        (["corpus"], "profiles.embedded.model"),
        (["model"], "profiles.embedded.model"),
        (["model"], "profiles.embedded.text"),
        (["harvest"], "profiles.embedded.harvest"),
        (["letter_task"], "letter_task"),
        (["probing_task"], "probing_task"),
        (["train", "topk", "42"], "profiles.embedded.train"),
        (["reconstruction", "topk"], "reconstruction"),
        (["behavior", "topk"], "behavior"),
        (["absorption", "topk"], "absorption"),
        (["probing", "topk"], "probing"),
        (["ground_truth", "topk"], "ground_truth"),
        (["ground_truth", "topk"], "topk"),
    ],
    ids=str,
)
def test_a_mistyped_key_is_named(
    refused: Run, params: dict[str, Any], stage: list[str], section: str
) -> None:
    put(params, f"{section}.tresholt", 1)
    assert f"`{section}.tresholt` is not a parameter" in one_line(refused(*stage))


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree[parent]
    tree[last] = value


@pytest.mark.parametrize("arguments", [["trian"], ["train"], ["train", "topk", "x"], ["corpus", "x"]])
def test_a_wrong_command_is_exit_code_2(refused: Run, arguments: list[str]) -> None:
    assert "Traceback" not in refused(*arguments)


def test_outside_a_repository_the_command_says_where_to_run(tmp_path: Path) -> None:
    """In a process of its own, as a user meets it."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "compare"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "run from the repository root" in one_line(done.stderr)
