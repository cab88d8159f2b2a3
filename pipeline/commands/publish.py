"""Command `publish`: one trained SAE as a folder for the hub, and its upload when asked.

The folder holds the weights and cfg.json as SAELens loads them, and a model card with the numbers of
the evaluations, their intervals and what makes them again. Not a stage: nothing depends on it. What
the card says of params comes from dvc.lock, that is from the run that made the weights, not
from a params.yaml edited since; no path of this machine and no token is in it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pipeline
from pipeline.commands.lock import locked_params
from pipeline.console.errors import BadInput
from pipeline.export.card.card import Origin, card
from pipeline.lm.core.hub import first_line
from pipeline.numbers.document import Results, read_results, stage_of, train_stage
from pipeline.sae.core.folder import load_sae, weights_hash
from pipeline.sae.core.index import WEIGHTS, Run, read_index
from pipeline.stages.common.files import EVALUATED, evaluation_folder, sae_folder

SHARED = ("corpus", "model", "harvest", "letter_task", "probing_task")
"""The stages whose parameters every SAE depends on."""


def run(variant: str, seed: int, name: str, to: Path, upload_to: str | None) -> None:
    """Write run `name` of (variant, seed) to the folder `to`; upload it to `upload_to`, owner/name."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise BadInput(f"{to} exists and is not an empty folder: name a new one.")
    chosen = _run(variant, seed, name)
    source = sae_folder(variant, seed) / name
    _, cfg = load_sae(source)
    if cfg["architecture"] == "window":
        raise BadInput(f"{source} reads windows of tokens: SAELens, which is to load it, has none such.")
    results = [_results(stage, chosen, weights_hash(source)) for stage in evaluations()]
    text = card(
        f"{variant}, {_aim(chosen)}: a sparse autoencoder for {cfg['metadata']['model_name']}, "
        f"layer {cfg['metadata']['layer']}",
        _origin(chosen, cfg, weights_hash(source), upload_to), results, seed, name,
    )  # fmt: skip
    to.mkdir(parents=True, exist_ok=True)
    for file in ("cfg.json", WEIGHTS):
        shutil.copyfile(source / file, to / file)
    (to / "README.md").write_text(text, encoding="utf-8")
    print(f"Written: {to}/ (cfg.json, {WEIGHTS}, README.md)", file=sys.stderr)
    if upload_to is not None:
        print(f"Uploaded: {upload(to, upload_to)}", file=sys.stderr)


def evaluations() -> list[str]:
    """The evaluations of SAEs of models/sae that lie in reports; raises BadInput when there are none."""
    found = [
        folder.name
        for folder in sorted(EVALUATED.glob("*"))
        if not any(results.own_saes for results in map(_any_results, folder.glob("*")))
    ]
    if not found:
        raise BadInput(f"{EVALUATED} holds no results for the card: run `dvc repro`.")
    return found


def _any_results(folder: Path) -> Results:
    return read_results(folder, stage_of(folder.parent.name, folder.name))


def upload(folder: Path, repository: str) -> str:
    """Upload `folder` as the model `repository` of the hub, with the token that huggingface_hub finds."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Add an SAE"))
    except Exception as error:  # a bad name, no token, no right to write, no network
        raise BadInput(
            f"{repository} could not be written on the hub ({first_line(error)}): check the name "
            f"(owner/name), and log in with `hf auth login` or set "
            f"HF_TOKEN; {folder} is complete and can be uploaded later."
        ) from None


def _run(variant: str, seed: int, name: str) -> Run:
    runs = {run.name: run for run in read_index(sae_folder(variant, seed))}
    if name not in runs:
        raise BadInput(f"{sae_folder(variant, seed)} has no run {name!r}; it has {', '.join(runs)}.")
    if runs[name].status != "ok":
        raise BadInput(
            f"{variant} {seed} {name} diverged ({runs[name].reason}): there is nothing to publish."
        )
    return runs[name]


def _aim(run: Run) -> str:
    return "paper preset" if run.target is None else f"L0 target {run.target}"


def _results(stage: str, run: Run, sha256: str) -> Results:
    """The results of one evaluation; refused when it was measured on other weights."""
    folder = evaluation_folder(stage, run.variant)
    found = read_results(folder, stage_of(stage, run.variant))
    saes = [row.identity for row in found.rows]
    if not any((sae.seed, sae.run, sae.sae_sha256) == (run.seed, run.name, sha256) for sae in saes):
        raise BadInput(f"{folder} was not measured on these weights: run `dvc repro {found.stage}`.")
    return found


def _origin(run: Run, cfg: dict[str, Any], sha256: str, repository: str | None) -> Origin:
    metadata = cfg["metadata"]
    params = _locked_params(run)
    text = params.get("profiles", {}).get(params.get("profile"), {}).get("text", {})
    evaluated = [stage_of(each, run.variant) for each in evaluations()]
    return Origin(
        base_model=metadata["model_name"] if metadata.get("model_revision") else None,
        datasets=[text["name"]] if text.get("source") == "hub" else [],
        facts={
            "model": metadata["model_name"],
            "model revision": metadata.get("model_revision"),
            "model weights, sha256": metadata.get("model_sha256"),
            "reads": metadata["hook_name"],
            "method": run.label,
            "at inference": cfg["architecture"],
            "width d": cfg["d_in"],
            "dictionary size n": cfg["d_sae"],
            "L0 target": run.target,
            "L0 on validation tokens": f"{run.l0:.4g}",
            "trained on batches of": run.reading,
            "training tokens": metadata.get("training_tokens"),
            "seed": run.seed,
            "weights, sha256": sha256,
            "made with": f"saeline {pipeline.__version__}",
            "code": _commit(),
        },
        params=params,
        commands=[f"dvc repro {train_stage(run.variant, run.seed)} {' '.join(evaluated)}"],
        repository=repository,
    )


def _locked_params(run: Run) -> dict[str, Any]:
    """What params.yaml said when the weights and the numbers were made, nested; without the user's paths."""
    train = train_stage(run.variant, run.seed)
    measured = [stage_of(name, run.variant) for name in evaluations()]
    tree: dict[str, Any] = {}
    for stage in (*SHARED, train, *measured):
        for key, value in locked_params(stage, train).items():
            if not key.startswith("inputs"):
                _put(tree, key, value)
    return tree


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    if isinstance(value, Mapping) and isinstance(tree.get(last), Mapping):
        tree[last] = {**tree[last], **value}
    else:
        tree[last] = value


def _commit() -> str | None:
    """The git commit of the code, and whether files were changed since; None outside a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = " with uncommitted changes" if git("status", "--porcelain") else ""
        return f"commit {git('rev-parse', 'HEAD')}{changed}"
    except (OSError, subprocess.CalledProcessError):
        return None
