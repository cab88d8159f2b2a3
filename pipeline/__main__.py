"""python -m pipeline STAGE: one command per stage of the pipeline.

Thin: parse the arguments, load only the stage that runs, turn a BadInput into one sentence and
exit code 2.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.console.errors import BadInput
from pipeline.console.evaluations import evaluations, purpose
from pipeline.console.launch import launched

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Harvest activations, train sparse autoencoders, evaluate and compare them. Every command "
    "reads params.yaml of the current folder; `dvc repro` runs them in order.",
)  # fmt: skip

Variant = Annotated[
    str, typer.Argument(help="An SAE variant: a file in pipeline/sae/ and a section of params.yaml.")
]
Seed = Annotated[
    int, typer.Argument(help="Training seed; one of `seeds` in params.yaml for the graph's runs.")
]


SHARED = ("harvest", "train")
"""Stages that several processes may run together."""


def _run(stage: str, *arguments: Any) -> None:
    if (launched() or 1) > 1 and stage not in SHARED:
        raise BadInput(f"`{stage}` runs as one process; start it without torchrun.")
    importlib.import_module(f"pipeline.stages.{stage}").run(*arguments)


def _command(name: str, *arguments: Any) -> None:
    """What is no stage: it writes nothing that DVC tracks."""
    if (launched() or 1) > 1:
        raise BadInput(f"`{name}` runs as one process; start it without torchrun.")
    importlib.import_module(f"pipeline.commands.{name}").run(*arguments)


@app.command()
def corpus() -> None:
    """Tokenize the profile's text into data/tokens: packed contexts, split by document."""
    _run("corpus")


@app.command()
def model() -> None:
    """The embedded language model, or a given one pinned and hashed, into models/lm."""
    _run("model")


@app.command()
def harvest() -> None:
    """Run the language model up to the layer over all tokens; keep its residual stream."""
    _run("harvest")


@app.command("letter_task")
def letter_task() -> None:
    """First-letter prompts, their activations and the letter probes, for absorption."""
    _run("letter_task")


@app.command("probing_task")
def probing_task() -> None:
    """Activations, labels, splits and raw-residual baselines of the labelled texts, for sparse probing."""
    _run("probing_task")


@app.command()
def train(variant: Variant, seed: Seed) -> None:
    """Train one variant with one seed at every L0 target, in one pass over the activations."""
    _run("train", variant, seed)


@app.command()
def external(
    name: Annotated[str, typer.Argument(help="A key of `external` in params.yaml.")],
) -> None:
    """Bring in an SAE of SAELens, dictionary_learning, sparsify or Gemma Scope, as `external` names it."""
    _run("external", name)


def _evaluation(name: str) -> None:
    """A command for the evaluation `name`."""

    def command(variant: Variant) -> None:
        _run(name, variant)

    app.command(name, help=purpose(name))(command)


for each in evaluations():
    _evaluation(each)


@app.command()
def compare() -> None:
    """Gather every evaluation into reports/metrics.json, tables and plots; print the table."""
    _run("compare")


@app.command()
def claims() -> None:
    """Lay the source papers' numbers beside this run's: reports/claims."""
    _run("claims")


@app.command()
def saebench() -> None:
    """Write the evaluations' numbers as SAEBench's result files, reports/saebench."""
    _run("saebench")


@app.command()
def latents(variant: Variant) -> None:
    """What some latents of each SAE respond to, reports/latents, for the page."""
    _run("latents", variant)


@app.command()
def page() -> None:
    """Everything above as one page that opens offline: reports/index.html."""
    _run("page")


@app.command()
def latent(
    variant: Variant,
    seed: Seed,
    latent: Annotated[int, typer.Option(help="The latent to show.")],
    run: Annotated[str | None, typer.Option(help="The SAE's folder; by default the largest L0.")] = None,
    contexts: Annotated[int, typer.Option(min=1, help="Top contexts to print.")] = 10,
) -> None:
    """Print what one latent responds to, promotes and resembles."""
    _command("latent", variant, seed, latent, run, contexts)


@app.command()
def tune(
    variant: Variant,
    key: Annotated[str, typer.Argument(help="A key of the variant's section, for example `lr_scale`.")],
    values: Annotated[list[float], typer.Argument(help="The values to try.")],
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
) -> None:
    """Sweep one number of a variant's section and print its scores on validation tokens."""
    _command("tune", variant, key, values, seed)


@app.command()
def publish(
    variant: Variant,
    seed: Seed,
    run: Annotated[str, typer.Argument(help="The SAE's folder below the seed, for example `l0-16`.")],
    to: Annotated[Path, typer.Argument(help="A new folder.")],
    upload: Annotated[str | None, typer.Option(help="Also upload it: owner/name on the hub.")] = None,
) -> None:
    """Write a trained SAE with a model card to a folder for the Hugging Face hub."""
    _command("publish", variant, seed, run, to, upload)


@app.command()
def ship() -> None:
    """Make models/lm, trained here, the embedded model that everyone starts from."""
    _command("ship")


@app.command()
def graph() -> None:
    """Write into dvc.yaml which code each stage depends on, from the imports."""
    _command("graph")


@app.command()
def check() -> None:
    """Validate the whole of params.yaml: every section, every profile."""
    _command("check")


def main() -> None:
    """Run the app; a BadInput ends as one sentence on stderr and exit code 2."""
    try:
        app()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
