"""Command `study`: the blocks of study.yaml, each on its language models, into the tables of study/.

What docs/study-results.md and README say of them is written by `python -m pipeline docs`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.console.errors import BadInput
from pipeline.params import Params, read_params
from pipeline.study import gather, items, plan, provenance
from pipeline.study.found import Held, held
from pipeline.study.plan import Cost
from pipeline.study.section import Study, read_study
from pipeline.study.workspace import Workspace, workspaces

Found = list[tuple[Workspace, Held]]


def run(blocks: list[str], only_plan: bool, only_gather: bool, root: Path) -> None:
    """Run `blocks`, by default all that fit into the study's hours; or only print the plan, or gather.

    `root`: the repository whose workspaces are priced and gathered; those of another one are only read.
    Raises BadInput for an unknown block, for another repository's study to run, and where a stage failed.
    """
    params, study = read_params(), read_study()
    if unknown := sorted(set(blocks) - set(study.blocks)):
        raise BadInput(f"study.yaml has no block `{unknown[0]}`: choose of {', '.join(study.blocks)}.")
    if not (only_plan or only_gather) and root != Path():
        raise BadInput("A study runs in its own repository: `--from` is for --plan and --gather.")
    if only_plan and only_gather:
        raise BadInput("--plan prints and --gather writes: ask for one of them.")
    if only_gather:
        _write(study, params, root)
        return
    costs = plan.plan(study, params.tree, root, _done(_found(study, params, root)))
    if only_plan:
        Console().print(_table(study, costs))
        return
    _run(study, params, blocks or [each.block for each in costs if each.fits])


def _run(study: Study, params: Params, blocks: Sequence[str]) -> None:
    """Block by block; whenever a language model's part of one ends the tables hold all that is there."""
    for name in study.blocks:
        for space in workspaces(study, params.tree, name) if name in blocks else []:
            print(f"study: {space.folder}", file=sys.stderr)
            space.make()
            space.run()
            _write(study, params, Path())


def _found(study: Study, params: Params, root: Path) -> Found:
    """What every workspace at `root` holds; those without any SAE or result are left out."""
    every = [space for name in study.blocks for space in workspaces(study, params.tree, name, root)]
    return [(space, it) for space in every if (it := held(space)).stages]


def _done(found: Found) -> plan.Done:
    return {space.name: it.stages for space, it in found}


def _write(study: Study, params: Params, root: Path) -> None:
    """The tables of study/: all that is there, finished or not."""
    found = _found(study, params, root)
    gather.write(gather.gather(found))
    items.write(items.items(study, found))
    provenance.write(provenance.provenance(space, it) for space, it in found)
    plan.write(plan.plan(study, params.tree, root, _done(found)))
    names = ", ".join(space.name for space, it in found if it.results) or "no workspace with results"
    said = f"Written: {gather.FOLDER}/ from {names}; `python -m pipeline docs` writes its page."
    print(said, file=sys.stderr)


def _table(study: Study, costs: Sequence[Cost]) -> Table:
    columns = ("block", "SAEs", "done", "CPU-hours", "left", "of which timed here", "sum", "")
    table = Table(*columns, title=f"study: at most {study.hours:g} CPU-hours", caption=_left_out(costs))
    total = 0.0
    for each in costs:
        total += each.hours
        hours = (f"{each.hours:.2f}", f"{each.left:.2f}", f"{each.measured_share:.0%}", f"{total:.2f}")
        counts = (str(each.saes), str(each.complete))
        title = f"{each.block}: {study.blocks[each.block].question}"
        table.add_row(title, *counts, *hours, "" if each.fits else "left out")
    return table


def _left_out(costs: Sequence[Cost]) -> str:
    names = [each.block for each in costs if not each.fits]
    return f"left out: {', '.join(names)}" if names else "all blocks fit"
