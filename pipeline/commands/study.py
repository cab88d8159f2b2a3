"""Command `study`: the blocks of study.yaml, each on its language models, into study/ and a page in docs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipeline.console.errors import BadInput
from pipeline.params import Params, read_params
from pipeline.study.gather import gather, read, write
from pipeline.study.page import write_page
from pipeline.study.plan import Cost, plan
from pipeline.study.section import Study, read_study
from pipeline.study.workspace import workspaces


def run(blocks: list[str], only_plan: bool, only_report: bool) -> None:
    """Run `blocks`, by default all that fit into the study's hours; or print the plan, or write the page.

    Raises BadInput for an unknown block and where a stage failed.
    """
    params, study = read_params(), read_study()
    if unknown := sorted(set(blocks) - set(study.blocks)):
        raise BadInput(f"study.yaml has no block `{unknown[0]}`: choose of {', '.join(study.blocks)}.")
    costs = plan(study, params.tree)
    left_out = [each.block for each in costs if not each.fits]
    if only_plan:
        Console().print(_table(study, costs))
        return
    if not only_report:
        _run(study, params, blocks or [each.block for each in costs if each.fits])
    margins = params.value("compare.margins")
    print(f"Written: {write_page(study, read(), margins, left_out)}", file=sys.stderr)


def _run(study: Study, params: Params, blocks: Sequence[str]) -> None:
    """Block by block; whenever one ends the tables hold all that is finished."""
    every = {name: workspaces(study, params.tree, name) for name in study.blocks}
    for name in study.blocks:
        if name not in blocks:
            continue
        for space in every[name]:
            print(f"study: {space.folder}", file=sys.stderr)
            space.make()
            space.run()
        write(gather(space for spaces in every.values() for space in spaces if space.finished()))


def _table(study: Study, costs: Sequence[Cost]) -> Table:
    columns = ("block", "SAEs", "CPU-hours", "of which timed here", "sum", "")
    table = Table(*columns, title=f"study: at most {study.hours:g} CPU-hours", caption=_left_out(costs))
    total = 0.0
    for each in costs:
        total += each.hours
        cells = (f"{each.hours:.2f}", f"{each.measured:.0%}", f"{total:.2f}", "" if each.fits else "left out")
        table.add_row(f"{each.block}: {study.blocks[each.block].question}", str(each.saes), *cells)
    return table


def _left_out(costs: Sequence[Cost]) -> str:
    names = [each.block for each in costs if not each.fits]
    return f"left out: {', '.join(names)}" if names else "all blocks fit"
