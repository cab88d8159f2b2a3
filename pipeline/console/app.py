"""The command line: parse the arguments, load only what runs; a BadInput is one sentence and exit code 2.

A stage is a file of pipeline/stages with a function `run`; its command has that name and takes what `run`
takes. So a new stage is a file, and nothing is added here.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.console.errors import BadInput
from pipeline.console.launch import launched

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Harvest activations, train sparse autoencoders, evaluate and compare them. Every command "
    "reads params.yaml of the current folder; `reproduce`, like `dvc repro`, runs the stages in order.",
)  # fmt: skip

STAGES = Path(__file__).parents[1] / "stages"

SHARED = ("harvest", "train")
"""Stages that several processes may run together."""

Variant = Annotated[
    str, typer.Argument(help="An SAE variant: a file in pipeline/sae/ and a section of params.yaml.")
]
Seed = Annotated[
    int, typer.Argument(help="Training seed; one of `seeds` in params.yaml for the graph's runs.")
]
External = Annotated[str, typer.Argument(help="A key of `external` in params.yaml.")]

ARGUMENTS = {"variant": Variant, "seed": Seed, "name": External}
"""What a stage may take, by the name that `run` has for it."""


def _run(module: str, *arguments: Any) -> None:
    name = module.rpartition(".")[2]
    if (launched() or 1) > 1 and name not in SHARED:
        raise BadInput(f"`{name}` runs as one process; start it without torchrun.")
    importlib.import_module(f"pipeline.{module}").run(*arguments)


def _stages() -> Iterator[tuple[str, str, list[str]]]:
    """Name, what it does and arguments of every stage, read from its file without importing it."""
    for file in sorted(STAGES.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == "run":
                summary = (ast.get_docstring(tree) or "").split("\n\n")[0].replace("\n", " ")
                summary = re.sub(rf"^[^:]*\b{file.stem}\b[^:]*: ", "", summary)
                yield file.stem, summary[:1].upper() + summary[1:], [each.arg for each in node.args.args]


def _command(stage: str, names: list[str]) -> Callable[..., None]:
    def command(**values: Any) -> None:
        _run(f"stages.{stage}", *(values[name] for name in names))

    kinds = {name: ARGUMENTS[name] for name in names}
    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, place, annotation=kind) for name, kind in kinds.items()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = kinds
    return command


for _name, _summary, _names in _stages():
    app.command(_name, help=_summary, rich_help_panel="Stages")(_command(_name, _names))


@app.command()
def reproduce(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Stages to bring up to date, with all they need; all by default."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Stages to run side by side; by default one per core.")
    ] = None,
) -> None:
    """Bring every stage up to date as `dvc repro` does, several at a time."""
    _run("commands.reproduce", targets or [], jobs)


@app.command()
def latent(
    variant: Variant,
    seed: Seed,
    latent: Annotated[int, typer.Option(help="The latent to show.")],
    run: Annotated[str | None, typer.Option(help="The SAE's folder; by default the largest L0.")] = None,
    contexts: Annotated[int, typer.Option(min=1, help="Top contexts to print.")] = 10,
) -> None:
    """Print what one latent responds to, promotes and resembles."""
    _run("commands.latent", variant, seed, latent, run, contexts)


@app.command()
def tune(
    variant: Annotated[str | None, typer.Argument(help="A method of `variants` in params.yaml.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All methods, with the same budget.")] = False,
    source: Annotated[bool, typer.Option(help="On ground truth's source, not the profile's text.")] = False,
    times: Annotated[
        list[int] | None, typer.Option(min=1, help="The best rate at so many times the tokens; repeatable.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a trial; training's by default.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="After these minutes no trial begins.")] = None,
    near: Annotated[
        bool,
        typer.Option(help="With --times: the best rate of the next shorter length, and half of it."),
    ] = False,
    same_code: Annotated[
        bool, typer.Option(help="Train nothing: count the record as made by today's code.")
    ] = False,
) -> None:
    """Find methods' values on validation tokens; write params.yaml and docs/tuning."""
    if every == (variant is not None):
        raise BadInput("tune: name one method, or `--all`.")
    if same_code:
        importlib.import_module("pipeline.commands.tune").vouch(variant, source)
        return
    _run("commands.tune", variant, source, times or [], tokens, minutes, near)


@app.command()
def ablate(
    variant: Annotated[str, typer.Argument(help="A method with `tune.switches` in params.yaml.")],
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of each SAE; training's by default.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="After these minutes none begins.")] = None,
) -> None:
    """Train a method with every combination of its switches; write docs/tuning."""
    _run("commands.ablate", variant, tokens, minutes)


@app.command()
def study(
    plan: Annotated[bool, typer.Option(help="Print what each block costs; run nothing.")] = False,
    gather: Annotated[bool, typer.Option(help="Write what is there into study/; run nothing.")] = False,
    source: Annotated[
        Path, typer.Option("--from", help="With --plan or --gather: the repository that runs the study.")
    ] = Path(),
    blocks: Annotated[
        list[str] | None, typer.Argument(help="Blocks of study.yaml; all that fit into its hours by default.")
    ] = None,
) -> None:
    """Run the study of study.yaml: several language models, seeds and targets; resumable."""
    _run("commands.study", blocks or [], plan, gather, source)


@app.command()
def publish(
    variant: Variant,
    seed: Seed,
    run: Annotated[str, typer.Argument(help="The SAE's folder below the seed, for example `l0-16`.")],
    to: Annotated[Path, typer.Argument(help="A new folder.")],
    upload: Annotated[str | None, typer.Option(help="Also upload it: owner/name on the hub.")] = None,
) -> None:
    """Write a trained SAE with a model card to a folder for the Hugging Face hub."""
    _run("commands.publish", variant, seed, run, to, upload)


@app.command()
def ship() -> None:
    """Make models/lm, trained here, the embedded model that everyone starts from."""
    _run("commands.ship")


@app.command()
def graph() -> None:
    """Write into dvc.yaml which code each stage depends on, from the imports."""
    _run("commands.graph")


@app.command()
def verify(
    against: Annotated[
        str, typer.Option(help="A git revision, or a file like reports/intervals.json.")
    ] = "HEAD",
    share: Annotated[float, typer.Option(min=0, max=1, help="Of the numbers, that must lie inside.")] = 0.9,
    model: Annotated[
        str | None, typer.Option(help="Instead of this run: a language model of the study's tables.")
    ] = None,
) -> None:
    """Hold this run's headline numbers against the intervals of the committed run."""
    _run("commands.verify", against, share, model)


@app.command()
def docs() -> None:
    """Write the measured tables into README.md and docs, from what a run left in git."""
    _run("commands.docs")


@app.command()
def check() -> None:
    """Validate the whole of params.yaml: every section, every profile."""
    _run("commands.check")


def main() -> None:
    """Run the app; a BadInput ends as one sentence on stderr and exit code 2."""
    try:
        app()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
