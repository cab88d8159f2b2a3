"""model: the embedded language model (shipped, or trained here), or a given one pinned, into models/lm."""

from __future__ import annotations

from pipeline.console.errors import BadInput
from pipeline.lm.resolve import resolve_hub, resolve_local, write_resolved
from pipeline.lm.section import EmbeddedModel, HubModel, parse_model
from pipeline.lm.shipped.folder import ShippedModel
from pipeline.numbers.files import write_json
from pipeline.params import Params, read_params
from pipeline.params.compute import ComputeSection
from pipeline.params.experiment import input_path
from pipeline.stages.common.files import LM, fresh
from pipeline.text.embedded.tokenizer import embedded_tokenizer
from pipeline.text.section import EmbeddedText, parse_text

REPORT_VERSION = 2
"""Of report.json: 2 has the answered prompts."""


def run() -> None:
    """Write models/lm with its resolved.json. Raises BadInput for a model that cannot be had or used."""
    params = read_params()
    section = parse_model(params.value("profile.model"), f"profiles.{params.profile}.model")
    if isinstance(section, EmbeddedModel):
        _embedded(params, section)
    elif isinstance(section, HubModel):
        resolve_hub(section.name, section.revision, fresh(LM))
    else:
        resolve_local(input_path(params, "model"), fresh(LM))


def _embedded(params: Params, section: EmbeddedModel) -> None:
    profile = f"profiles.{params.profile}"
    text = parse_text(params.value("profile.text"), f"{profile}.text")
    compute = params.get("profile.compute", ComputeSection)
    if not isinstance(text, EmbeddedText):
        raise BadInput(
            "params.yaml: the embedded model reads embedded text only; set `text.source: embedded`."
        )
    if section.retrain:
        _train(section, text, compute)
    else:
        _ship(section, text, profile)
    embedded_tokenizer(text).save_pretrained(LM)
    write_resolved(LM, "embedded", "embedded", None)


def _ship(section: EmbeddedModel, text: EmbeddedText, profile: str) -> None:
    """Its report ships too: measured again, it would have other last digits on another CPU."""
    shipped = ShippedModel()
    shipped.require(section, text, profile)
    _check_gate(shipped.report["first_letter_accuracy"], section)
    shipped.copy(fresh(LM))


def _train(section: EmbeddedModel, text: EmbeddedText, compute: ComputeSection) -> None:
    from pipeline.lm.embedded import save
    from pipeline.lm.retrain import measure, trained

    compute.apply()
    tokenizer = embedded_tokenizer(text)
    model, losses = trained(section, text, tokenizer)
    last = losses[-50:]
    report = {"version": REPORT_VERSION, "steps": len(losses), "train_loss_last_50": sum(last) / len(last)}
    report |= measure(model, tokenizer, section, text)
    _check_gate(report["first_letter_accuracy"], section)
    save(model, fresh(LM))
    write_json(LM / "report.json", report)


def _check_gate(accuracy: float, section: EmbeddedModel) -> None:
    if accuracy < section.gate:
        raise BadInput(
            f"The embedded model knows {accuracy:.1%} of the first letters of held-out words after block "
            f"{section.site_layer}, less than `model.gate` ({section.gate:.0%}), so absorption would mean "
            "nothing: raise `model.steps` or `model.drill_share`."
        )
