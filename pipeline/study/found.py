"""What a workspace holds, finished or not: each evaluation of a variant on the SAEs that lie there.

A study may be gathered while it runs, and from the repository that runs it while this one goes on. So nothing
is asked of a workspace but what lies in it: its params.yaml, its SAEs, its results and what dvc.lock says of
earlier runs. A result counts when its rows are of the workspace's seeds and of the SAEs that lie there, and
dvc.lock does not say that it, or the training before it, had other parameters. Whether the code is still
that of the commit is said by provenance.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.console.errors import BadInput
from pipeline.numbers.document import NAME, Identity, Results, read_results, stage_of, train_stage
from pipeline.sae.core.index import INDEX, WEIGHTS
from pipeline.study.workspace import Workspace

Tree = Mapping[str, Any]
ABSENT = object()


@dataclass(frozen=True)
class Held:
    """The parameters of a workspace and what counts of its results, by (evaluation, variant)."""

    params: Tree
    results: Mapping[tuple[str, str], Results]
    trained: frozenset[str] = frozenset()  # methods whose SAEs of every seed lie there

    @property
    def stages(self) -> set[tuple[str, str]]:
        """What is done, by stage and method."""
        return {*self.results, *(("train", variant) for variant in self.trained)}


def held(space: Workspace) -> Held:
    """What counts of `space`; nothing where it was never made. Raises BadInput for a damaged result."""
    params = _yaml(space.folder / "params.yaml")
    locked = _yaml(space.folder / "dvc.lock").get("stages", {})
    return Held(params, dict(_counting(space, params, locked)), frozenset(_trained(space, params)))


def _trained(space: Workspace, params: Tree) -> Iterator[str]:
    for variant in params.get("variants", []):
        if all((space.saes(variant, seed) / INDEX).is_file() for seed in params["seeds"]):
            yield variant


def _counting(space: Workspace, params: Tree, locked: Tree) -> Iterator[tuple[tuple[str, str], Results]]:
    for evaluation in space.evaluations:
        for variant in params.get("variants", []):
            folder = space.results(evaluation, variant)
            if not (folder / NAME).is_file():
                continue
            trained = (train_stage(variant, seed) for seed in params["seeds"])
            stages = [stage_of(evaluation, variant), *trained]
            results = read_results(folder, stages[0])
            same = all(_same_params(locked.get(name, {}), params) for name in stages)
            if same and (results.own_saes or _its_saes(space, results, params)):
                yield (evaluation, variant), results


def _same_params(entry: Tree, params: Tree) -> bool:
    """Whether a stage's entry in dvc.lock, if any, has the values of `params`."""
    values = entry.get("params", {}).get("params.yaml", {})
    return all(looked_up(params, key) == value for key, value in values.items())


def looked_up(tree: Any, key: str) -> Any:
    """The value under a dotted `key`, or ABSENT."""
    for part in key.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return ABSENT
        tree = tree[part]
    return tree


def _its_saes(space: Workspace, results: Results, params: Tree) -> bool:
    identities = [row.identity for row in results.rows]
    seeds = {each.seed for each in identities}
    return seeds == set(params["seeds"]) and all(_lies_there(space, each) for each in identities)


def _lies_there(space: Workspace, sae: Identity) -> bool:
    if sae.sae_sha256 is None:  # it diverged: nothing was kept
        return True
    folder = space.saes(sae.variant, sae.seed) / sae.run
    try:
        return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() == sae.sae_sha256
    except OSError:
        return False


def _yaml(path: Path) -> Tree:
    """The mapping in the file at `path`, empty where there is none."""
    try:
        found = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, YAMLError) as error:
        raise BadInput(f"{path} cannot be read: {error}.") from None
    return found if isinstance(found, Mapping) else {}
