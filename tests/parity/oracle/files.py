"""Whether SAEBench's own classes and plots take result files."""

import json
from pathlib import Path
from typing import Any

import matplotlib
from pydantic import TypeAdapter, ValidationError
from sae_bench.evals.absorption.eval_output import AbsorptionEvalOutput
from sae_bench.evals.core.eval_output import CoreEvalOutput
from sae_bench.evals.sparse_probing.eval_output import SparseProbingEvalOutput
from sae_bench.sae_bench_utils import graphing_utils

from tests.parity.oracle import offline

CLASSES = {
    "core": CoreEvalOutput,
    "absorption": AbsorptionEvalOutput,
    "sparse_probing": SparseProbingEvalOutput,
}
"""Folder to the class of its files."""


def run(folder: Path) -> None:
    """files.json: each file as SAEBench's class gives it back, or why it refuses it; what its plots read."""
    matplotlib.use("Agg")
    parsed: dict[str, Any] = {}
    refused: dict[str, str] = {}
    loaded: dict[str, Any] = {}
    for kind, schema in CLASSES.items():
        paths = sorted(graphing_utils.find_eval_results_files([str(Path("saebench") / kind)]))
        for path in paths:
            try:
                # JSON mode: exactly what a reader of the file does
                found = TypeAdapter(schema).validate_json(Path(path).read_bytes())
                parsed[path] = json.loads(found.to_json())
            except ValidationError as error:
                refused[path] = str(error)
        if not refused:
            loaded[kind] = _plotted(kind, paths, folder / f"{kind}.png")
    offline.write(
        offline.out(folder) / "files.json", {"parsed": parsed, "refused": refused, "loaded": loaded}
    )


def _plotted(kind: str, paths: list[str], picture: Path) -> dict[str, Any]:
    """Scores by SAE as the plots read them, and one plot of them."""
    scores = graphing_utils.get_eval_results(paths)
    core = graphing_utils.get_core_results([path.replace(kind, "core") for path in paths])
    for name, more in core.items():
        scores[name] |= more
    metric = graphing_utils.get_custom_metric_key_and_name(paths[0], 1)[0]
    graphing_utils.plot_2var_graph(scores, metric, return_fig=True).savefig(picture)
    return scores
