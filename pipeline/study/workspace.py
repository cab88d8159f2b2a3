"""One folder per block and language model, in which the ordinary stages run; DVC's cache is shared by all.

So a stage with the same code, parameters and inputs runs once for the whole study and for the repository, and
a study that was stopped goes on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.console.errors import BadInput
from pipeline.console.scratch import SCRATCH
from pipeline.numbers.document import stage_of
from pipeline.params import Params
from pipeline.study.section import Block, Model, Study

FOLDER = SCRATCH / "study"
CODE = ("pipeline", "requirements", "dvc.yaml")
"""What decides a stage's result beside its parameters."""
COPIED = (*CODE, ".dvcignore", "data/none")
"""What the stages need of the repository."""
CONFIG = """[core]
    no_scm = true
    analytics = false
    check_update = false
[cache]
    dir = {cache}
    type = "reflink,hardlink,copy"
"""
"""Of a workspace's DVC: the repository's cache, whose files are linked instead of copied."""


@dataclass(frozen=True)
class Workspace:
    """The experiments of one block on one language model."""

    block: str
    model: str
    params: Mapping[str, Any]  # the tree of its params.yaml
    evaluations: tuple[str, ...]
    root: Path = Path()  # the repository that runs it

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.block}-{self.model}"

    @property
    def folder(self) -> Path:
        """Where it lies; not tracked by git."""
        return self.root / FOLDER / self.name

    def make(self) -> None:
        """Copy the code and write the parameters; outputs of an earlier run stay where they are."""
        for name in COPIED:
            _copy(Path(name), self.folder / name)
        (self.folder / ".dvc").mkdir(exist_ok=True)
        cache = Path(".dvc/cache").absolute()
        (self.folder / ".dvc/config").write_text(CONFIG.format(cache=cache), encoding="utf-8")
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(_plain(self.params), file)

    def results(self, evaluation: str, variant: str) -> Path:
        """The folder of an evaluation's results."""
        return self.folder / "reports/evaluations" / evaluation / variant

    def saes(self, variant: str, seed: int) -> Path:
        """The folder of the SAEs of a method and seed."""
        return self.folder / "models/sae" / variant / str(seed)

    def run(self) -> None:
        """Bring its evaluations up to date, one method after the other; raises BadInput when a stage failed.

        All at once would train every method before the first is measured; so a study that was stopped has
        whole rows.
        """
        for variant in self.params["variants"]:
            self._reproduce([stage_of(each, variant, False) for each in self.evaluations])

    def _reproduce(self, stages: Sequence[str]) -> None:
        command = [sys.executable, "-m", "pipeline", "reproduce", *stages]
        done = subprocess.run(command, cwd=self.folder, env=os.environ | {"PYTHONPATH": ""}, check=False)
        if done.returncode:
            raise BadInput(f"the study stopped at {self.folder}; the same command goes on from there.")


def workspaces(study: Study, params: Mapping[str, Any], block: str, root: Path = Path()) -> list[Workspace]:
    """Those of a block, one per language model, that the repository at `root` runs."""
    wanted = study.blocks[block]
    trees = {name: tree_of(study, params, study.models[name], wanted) for name in wanted.models}
    return [Workspace(block, name, tree, tuple(wanted.evaluations), root) for name, tree in trees.items()]


def tree_of(study: Study, params: Mapping[str, Any], model: Model, block: Block) -> dict[str, Any]:
    """params.yaml with what the study, the model and the block set; BadInput for a key without place."""
    tree = deepcopy(dict(params))
    tree |= {"profile": study.profile, "external": {}, "seeds": block.seeds, "variants": block.variants}
    tree["inputs"] = dict.fromkeys(tree.get("inputs", {}), "data/none")
    for key, value in {**model.set, **block.set}.items():
        own = key.startswith("profile.")
        full = f"profiles.{study.profile}.{key.removeprefix('profile.')}" if own else key
        _put(tree, full, _looked_up(value, Params(tree)))
    return tree


def _looked_up(value: Any, params: Params) -> Any:
    """`value` with `=method.key` replaced by what counts there on the study's profile."""
    if isinstance(value, Mapping):
        return {key: _looked_up(each, params) for key, each in value.items()}
    if not isinstance(value, str) or not value.startswith("="):
        return value
    method, _, key = value[1:].partition(".")
    section = params.section(method)
    if key not in section:
        raise BadInput(
            f"study.yaml: `{value}` has no value on profile {params.profile}: tune it, or say one."
        )
    return section[key]


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    node: Any = tree
    for part in parents:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise BadInput(f"study.yaml: `{key}` has no place in params.yaml.")
    node[last] = value


def _copy(source: Path, to: Path) -> None:
    """Replace `to` by `source`."""
    if source.is_dir():
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, to)


def _plain(tree: Any) -> Any:
    """Plain dicts and lists, as YAML's safe writer takes them."""
    if isinstance(tree, Mapping):
        return {str(key): _plain(value) for key, value in tree.items()}
    return [_plain(each) for each in tree] if isinstance(tree, list) else tree
