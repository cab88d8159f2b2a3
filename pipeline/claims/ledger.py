"""Each printed number beside what this run measured: the records of claims.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.claims.measured import Measurement, Tables
from pipeline.claims.schema import Claim, Claims, Metric, Paper, Setting, System
from pipeline.claims.verdict import Here, Verdict, absent, judge
from pipeline.numbers.files import SCHEMAS


@dataclass(frozen=True)
class Entry:
    """One claim with everything that belongs to it."""

    claim: Claim
    paper: Paper
    system: System
    setting: Setting
    metric: Metric
    fault: str
    source: str
    measured: list[Measurement]
    absent: str  # why `measured` is empty
    verdict: Verdict
    command: str


def entries(claims: Claims, tables: Tables, here: Here) -> list[Entry]:
    """Every claim, in the file's order."""
    return [_entry(claim, claims, tables, here) for claim in claims.claims]


def _entry(claim: Claim, claims: Claims, tables: Tables, here: Here) -> Entry:
    system, metric = claims.systems[claim.system], claims.metrics[claim.metric]
    setting, fault = claims.settings[system.setting], claims.faults[claim.fault]
    reason = absent(claim, claims, here)
    measured = [] if reason else tables.measured(system.variant, metric.ours, claim.relation)
    if not measured and not reason:
        reason = "this run's tables have no such row"
    return Entry(
        claim=claim,
        paper=claims.papers[system.paper],
        system=system,
        setting=setting,
        metric=metric,
        fault=fault.says,
        source=fault.source,
        measured=measured,
        absent=reason,
        verdict=judge(claim, claims, measured, here),
        command=_command(system, metric, setting),
    )


def _command(system: System, metric: Metric, setting: Setting) -> str:
    """The experiment that comes nearest to the claim's setting; empty without a metric of ours."""
    if not metric.ours:
        return ""
    return " ".join(["dvc exp run", *(f"-S '{each}'" for each in _settings(system, metric, setting))])


def _settings(system: System, metric: Metric, setting: Setting) -> Iterator[str]:
    yield f"profile={setting.profile}"
    yield from setting.overrides
    if system.l0:
        yield f"profiles.{setting.profile}.train.l0=[{round(system.l0)}]"
    for key, value in {**system.needs, **metric.needs}.items():
        yield f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def document(found: list[Entry], here: Here) -> dict[str, Any]:
    """The content of claims.json."""
    run = {name: value for name, value in asdict(here).items() if name != "variants"}
    return {
        "schema": SCHEMAS["claims.json"],
        "measured_on": {**run, "variants": sorted(here.variants)},
        "claims": [_record(entry) for entry in found],
    }


def _record(entry: Entry) -> dict[str, Any]:
    claim, system, setting, metric = entry.claim, entry.system, entry.setting, entry.metric
    return {
        "id": claim.id,
        "paper": system.paper,
        "reference": entry.paper.reference,
        "place": claim.place,
        "model": setting.model,
        "layer": setting.layer,
        "dictionary_size": setting.n,
        "training_tokens": setting.tokens,
        "training_seeds": setting.seeds,
        "method": system.method,
        "l0": system.l0,
        "metric": metric.title,
        "printed": claim.printed,
        "value": claim.value,
        "known_fault": entry.fault,
        "fault_source": entry.source,
        "our_metrics": metric.ours,
        "same_definition": metric.same,
        "definition_note": metric.why,
        "our_variant": system.variant,
        "our_switches": system.needs,
        "command": entry.command,
        "measured": [asdict(each) for each in entry.measured],
        "not_measured_because": entry.absent,
        "verdict": entry.verdict.outcome,
        "verdict_reason": entry.verdict.why,
    }
