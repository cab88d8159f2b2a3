"""The package's shape: imports run one way, heavy libraries stay out, nothing unsafe or machine-bound."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.common import ROOT

FILES = sorted((ROOT / "pipeline").rglob("*.py"))
ROOMS = (
    "console", "parallel", "params", "stats", "numbers", "text", "lm", "store", "sae", "training", "tasks",
    "metrics", "latents", "compare", "charts", "claims", "export", "page", "handbook", "schedule", "tuning",
    "study", "stages", "commands",
)  # fmt: skip

MAY_IMPORT = {
    "console": set(),
    "parallel": {"console"},
    "params": {"console"},
    "stats": set(),
    "numbers": {"console"},
    "text": {"console", "params"},
    "lm": {"console", "params", "text"},
    "store": {"console", "params", "lm"},
    "sae": {"console", "parallel", "params", "lm"},
    "training": {"console", "parallel", "params", "store", "sae"},
    "tasks": {"console", "params", "stats", "numbers", "lm"},
    "metrics": {"console", "params", "stats", "numbers", "store", "sae", "tasks"},
    "latents": {"console", "params", "numbers", "lm", "store", "sae"},
    "compare": {"console", "params", "stats", "sae", "numbers"},
    "charts": {"compare", "numbers"},
    "claims": {"console", "params", "numbers", "compare"},
    "export": {"compare", "numbers"},
    "page": {"compare", "charts", "numbers"},
    "handbook": {"console", "compare"},
    "schedule": {"console", "parallel"},
    "study": {"console", "params", "sae", "numbers", "compare", "charts", "handbook", "schedule"},
    "tuning": {"console", "parallel", "params", "numbers", "lm", "store", "sae", "training", "metrics"},
    "stages": set(ROOMS) - {"commands", "schedule", "handbook", "study"},
    "commands": set(ROOMS),
}
"""The rooms that each room may import; DVC's `deps` in dvc.yaml follow the same arrows."""

LIGHT_STAGES = ("train", "reconstruction", "absorption", "probing", "stability", "ground_truth")
HEAVY = {"transformers", "datasets", "pandas", "matplotlib", "scipy"}


@cache
def imports(path: Path, top_level_only: bool = False) -> tuple[str, ...]:
    """Full dotted names of the modules (and `from` names) that the file at `path` imports."""
    return tuple(_imports(path, top_level_only))


def _imports(path: Path, top_level_only: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in _statements(tree) if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run on import: not function bodies, not `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _statements(node)


def room(path: Path) -> str | None:
    """The room a file of the package lies in; None for pipeline/*.py."""
    parts = path.relative_to(ROOT / "pipeline").parts
    return parts[0] if len(parts) > 1 else None


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_rooms(path: Path) -> set[str]:
    return {module.split(".")[1] for module in imports(path) if module.startswith("pipeline.")}


def test_every_room_has_its_rule() -> None:
    assert {room(path) for path in FILES} - {None} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", [path for path in FILES if room(path)], ids=name)
def test_imports_run_one_way(path: Path) -> None:
    here = room(path)
    assert here is not None
    assert imported_rooms(path) - {here} <= MAY_IMPORT[here]


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline/sae").glob("*.py")), ids=name)
def test_a_variant_imports_shared_modules_only(path: Path) -> None:
    """Never another variant: dvc.yaml declares pipeline/sae/{variant}.py, sae/core and sae/method."""
    own = {module for module in imports(path) if module.startswith("pipeline.sae")}
    assert all(module.startswith(("pipeline.sae.core", "pipeline.sae.method")) for module in own)


@pytest.mark.parametrize("path", [path for path in FILES if room(path) == "metrics"], ids=name)
def test_metrics_know_codes_not_variants(path: Path) -> None:
    own = {module for module in imports(path) if module.startswith("pipeline.sae")}
    assert all(module.startswith("pipeline.sae.core") for module in own)


def reachable(path: Path, seen: set[Path], top_level_only: bool = True) -> set[Path]:
    """Files of the package that importing `path` imports, itself included."""
    if path in seen or not path.exists():
        return seen
    seen.add(path)
    for module in imports(path, top_level_only):
        if module.startswith("pipeline"):
            for prefix in _prefixes(module):
                base = ROOT.joinpath(*prefix.split("."))
                reachable(base.with_suffix(".py"), seen, top_level_only)
                reachable(base / "__init__.py", seen, top_level_only)
    return seen


def _prefixes(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


@pytest.mark.parametrize("stage", LIGHT_STAGES)
def test_heavy_libraries_stay_out_of_the_many_stages(stage: str) -> None:
    """They cost seconds of import in each of some eighty stages."""
    files = reachable(ROOT / f"pipeline/stages/{stage}.py", set())
    assert files, f"pipeline/stages/{stage}.py is missing"
    found = {
        f"{name(path)}: {module}"
        for path in files
        for module in imports(path, top_level_only=True)
        if module.split(".")[0] in HEAVY
    }
    assert not found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_pickles(path: Path) -> None:
    """Pickles run code when they are opened; artefacts are safetensors, Zarr, JSON and TSV."""
    if name(path) == "pipeline/parallel/processes.py":
        return  # a pipe from a process to its own fork: nothing from outside, and never a file
    modules = {module.split(".")[0] for module in imports(path)}
    assert not modules & {"pickle", "dill", "joblib", "shelve", "marshal"}
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    assert not {ast.unparse(n.func) for n in calls} & {"torch.save", "pickle.load", "pickle.loads"}
    # dictionary_learning gives its SAEs no other form; weights_only reads tensors and runs nothing
    loads = [n for n in calls if ast.unparse(n.func) == "torch.load"]
    assert not loads or name(path) == "pipeline/sae/formats/dictionary_learning.py"
    assert all("weights_only=True" in map(ast.unparse, n.keywords) for n in loads)
    assert "allow_pickle=True" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_remote_code_is_never_trusted(path: Path) -> None:
    assert not re.search(r"trust_remote_code\s*=\s*True", path.read_text())


def tracked_texts() -> Iterator[tuple[Path, str]]:
    """Every tracked file that is text, and its content."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in (ROOT / entry for entry in listed.stdout.split("\0") if entry):
        try:
            yield path, path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue


def test_no_machine_paths_in_tracked_files() -> None:
    machine = re.compile(r"(?<![\w.~/}-])/(work|home|root|Users|mnt|opt|tmp)/[\w.-]+")
    found = [
        f"{name(path)}: {match.group(0)}"
        for path, text in tracked_texts()
        for match in machine.finditer(text)
    ]
    assert not found
