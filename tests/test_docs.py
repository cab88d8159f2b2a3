"""README, docs and comments are true where a machine can tell: what they name exists."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import pytest
import typer
from ruamel.yaml import YAML

from pipeline.console.app import app
from pipeline.handbook.marks import marks
from tests.common import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CARDS = [*(ROOT / each for each in ("dvc.yaml", "params.yaml", "Makefile")), *ROOT.glob("requirements/*.txt")]
CODE = [path for room in ("pipeline", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py")]
STAGES = [
    name for name in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"] if not name.endswith("_external")
]
COMMANDS = {path.stem for room in ("stages", "commands") for path in (ROOT / "pipeline" / room).glob("*.py")}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

PATH = re.compile(r"(?<![\w/.@-])(?:pipeline|tests|docs|benchmarks|requirements)/[\w./{},*-]*\w[\w/}*]*")
TO_BE_WRITTEN = ("mine",)
"""The reader's own method and evaluation, in examples."""


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def spelled_out(path: str) -> list[str]:
    """`a/{b,c}/d` as `a/b/d` and `a/c/d`; `{variant}`, of which no list is given, as `*`."""
    parts = re.split(r"\{([^}]*)\}", path)
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    named = [["*"] if index % 2 and len(each) == 1 else each for index, each in enumerate(choices)]
    return ["".join(each) for each in product(*named)]


def named_paths(text: str) -> set[str]:
    found = {path.rstrip("./,") for path in PATH.findall(re.sub(r"\]\([^)]*\)", "]", text))}
    return {
        each for path in found for each in spelled_out(path) if not any(my in each for my in TO_BE_WRITTEN)
    }


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=name)
def test_paths_that_a_text_names_exist(page: Path) -> None:
    named = named_paths(page.read_text(encoding="utf-8"))
    assert not {path for path in named if not any(ROOT.glob(path))}


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (name(path), page)
        for path in CODE
        for page in re.findall(r"\bdocs/[\w-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert not {(path, page) for path, page in named if not (ROOT / page).exists()}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_in_the_tables_of_a_room_exist(page: Path) -> None:
    room, gone = None, set()
    for line in page.read_text(encoding="utf-8").splitlines():
        if head := re.match(r"\| file in `([^`]+)` \|", line):
            room = ROOT / head[1]
        elif not line.startswith("|"):
            room = None
        elif room:
            gone |= {
                file for file in re.findall(r"`([^`]+)`", line.split("|")[1]) if not (room / file).exists()
            }
    assert not gone


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    gone = {link for link in links if "://" not in link and not (page.parent / link).exists()}
    assert not gone


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_its_page(stage: str) -> None:
    page = ROOT / f"docs/{stage}.md"
    assert page.exists()
    assert f"stage `{stage}`" in page.read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = set(re.findall(r"python -m pipeline ([a-z_]+)", text)) | set(
        re.findall(r"-m pipeline ([a-z_]+)", text)
    )
    assert commands - {*TO_BE_WRITTEN} <= COMMANDS
    made = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    assert made <= TARGETS
    groups = set(re.findall(r"dvc (?:--wait-for-lock )?repro (?:-f )?'?([a-z_]+)", text))
    assert groups - {*TO_BE_WRITTEN, "external"} <= {*STAGES}


OPTIONS = {
    name: {option for each in command.params for option in each.opts} | {"--help"}
    for name, command in typer.main.get_command(app).commands.items()
}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_exist(page: Path) -> None:
    told = re.findall(r"-m pipeline ([a-z_]+)([^`\n#|]*)", page.read_text(encoding="utf-8"))
    for command, rest in told:
        assert {*re.findall(r"(?<!\S)--[a-z-]+", rest)} <= OPTIONS.get(command, set()), command


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_parameters_that_dvc_is_told_exist(page: Path) -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    for key in re.findall(r"-S\s+'?([a-z][\w.-]*)=", page.read_text(encoding="utf-8")):
        section = params
        for part in key.split("."):
            assert part in section, f"{key} is no key of params.yaml"
            section = section[part]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_marks_of_figures_are_closed(page: Path) -> None:
    """Commands write between `<!-- name -->` and `<!-- /name -->` (pipeline/handbook/marks.py)."""
    text = page.read_text(encoding="utf-8")
    ends = re.findall(r"<!-- /([\w-]+) -->", text)
    assert [mark.name for mark in marks(text)] == ends
    assert [name for name in re.findall(r"<!-- ([\w-]+)(?::[^>]*)? -->", text) if name != "given"] == ends


def test_the_scores_that_make_names_are_those_of_experiments() -> None:
    """`dvc exp show` drops a column that does not exist without a word."""
    patterns = re.findall(r"\.\((l0\|[a-z0-9_|]+)\)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    cells = json.loads((ROOT / "reports/metrics.json").read_text(encoding="utf-8")).values()
    known = {score for runs in cells for scores in runs.values() for score in scores}
    assert len(patterns) == 2
    assert {score for pattern in patterns for score in pattern.split("|")} <= known
