"""Command `latent`: one latent of a trained SAE in the terminal. Not a stage: it writes nothing."""

from __future__ import annotations

from pipeline.console.errors import BadInput
from pipeline.console.latent import show
from pipeline.params import read_params
from pipeline.params.compute import ComputeSection
from pipeline.stages.common.files import ACTIVATIONS
from pipeline.stages.common.saes import Trained, require_width, trained_saes
from pipeline.stages.latents import Inspection


def run(variant: str, seed: int, latent: int, name: str | None, contexts: int) -> None:
    """Print the record of `latent` of run `name` of (variant, seed)."""
    compute = read_params().get("profile.compute", ComputeSection)
    inspection = Inspection(compute.apply(), compute.lm_precision)
    trained = _chosen(list(trained_saes(variant, [seed], inspection.device)), name)
    require_width([trained], inspection.store.d, ACTIVATIONS)
    if not 0 <= latent < trained.sae.n:
        raise BadInput(f"latent {latent} is not among the SAE's latents, 0 to {trained.sae.n - 1}.")
    text = inspection.shown_text()
    (record,) = inspection.records(trained.sae, [latent], contexts=contexts)
    show(
        f"{trained.run.label} {trained.run.name} seed {trained.run.seed}",
        record,
        inspection.words.texts,
        text,
    )


def _chosen(saes: list[Trained], name: str | None) -> Trained:
    """The run called `name`, or the one of the largest L0 that did not diverge."""
    fine = [each for each in saes if each.run.status == "ok"]
    named = [each for each in fine if name in (None, each.run.name)]
    if not named:
        names = ", ".join(each.run.name for each in fine) or "none"
        raise BadInput(f"there is no trained run {name!r}; name one of: {names}.")
    return max(named, key=lambda each: (each.run.target or 0, each.run.l0))
