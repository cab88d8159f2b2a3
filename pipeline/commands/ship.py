"""Command `ship`: make models/lm, trained here, the embedded model that everyone starts from."""

from __future__ import annotations

import sys

from pipeline.commands.lock import locked_params
from pipeline.console.errors import BadInput
from pipeline.lm.section import EmbeddedModel, parse_model
from pipeline.lm.shipped.folder import ShippedModel
from pipeline.params import read_params
from pipeline.stages.common.files import LM
from pipeline.text.section import EmbeddedText, parse_text


def run() -> None:
    """Write the package's files; raises BadInput unless, by dvc.lock, params.yaml trained models/lm."""
    params = read_params()
    profile = f"profiles.{params.profile}"
    model = parse_model(params.value("profile.model"), f"{profile}.model")
    text = parse_text(params.value("profile.text"), f"{profile}.text")
    if not isinstance(model, EmbeddedModel) or not isinstance(text, EmbeddedText) or not model.retrain:
        raise BadInput(
            f"params.yaml: `{profile}.model` trains no model to ship; set `retrain: true` of an embedded one "
            "and run `dvc repro model` first."
        )
    made = locked_params("model", "model")
    if any(made.get(f"{profile}.{name}") != params.value(f"profile.{name}") for name in ("model", "text")):
        raise BadInput(f"{LM} was not made by these params: run `dvc repro model` first.")
    shipped = ShippedModel()
    shipped.write(LM, model, text)
    print(f"Written: {shipped.folder}", file=sys.stderr)
