"""docs/tuning/{bed}.md: what was tried and what it gave, as tables; written from the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.params import Params
from pipeline.tuning.beds import place_of
from pipeline.tuning.methods import method_of
from pipeline.tuning.record import Bed, Trial, of_method, outcomes, path_of, read_trials
from pipeline.tuning.search import RATE, Space, search
from pipeline.tuning.section import TuneSection
from pipeline.tuning.standing import values_of


def write_page(bed: Bed, params: Params, rules: TuneSection, targets: Sequence[int]) -> Path:
    """Write the page of `bed` beside its record, of the trials on the bed as it is now."""
    trials, path = read_trials(path_of(bed.name)), path_of(bed.name).with_suffix(".md")
    lines = [
        f"# What was tuned on `{bed.name}`",
        "",
        f"Written by `python -m pipeline tune` from {path_of(bed.name).name}; rules: docs/train.md. "
        f"Seed {rules.seed}, validation tokens. Explained variance and persistence by energy at L0 "
        f"{' / '.join(map(str, targets))}; `!`: L0 missed by more than 10 %.",
    ]
    for variant in sorted({each.variant for each in trials}):
        method = method_of(params, variant)
        own = of_method(trials, bed, variant, method.hash, rules.seed)
        if own:
            chosen = dict(values_of(params, method, place_of(bed.name)))
            lines += ["", f"## {variant}", "", *_table(own, targets, chosen)]
            lines += _unpriced(own, Space.of(variant, rules, method.defaults), targets, rules)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _table(own: Iterable[Trial], targets: Sequence[int], chosen: dict[str, float]) -> list[str]:
    """A row per length and setting; the values that count now in bold."""
    settings: dict[tuple[int, tuple[tuple[str, float], ...]], dict[int, Trial]] = {}
    for each in own:
        settings.setdefault((each.tokens, each.values), {})[each.target] = each
    names = [RATE, *sorted(name for name in chosen if name != RATE)] if RATE in chosen else sorted(chosen)
    head = ["tokens", *names, "explained variance", "persistence by energy", "dead", "core seconds"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for (tokens, values), found in sorted(settings.items()):
        mark = "**" if dict(values) == chosen else ""
        cells = [
            f"{tokens:,}", *(f"{mark}{dict(values)[name]:g}{mark}" for name in names),
            _over(targets, found, "explained_variance"), _over(targets, found, "persistence_energy"),
            " / ".join(str(found[target].dead) if target in found else "" for target in targets),
            f"{sum(each.seconds for each in found.values()):.0f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _unpriced(own: Sequence[Trial], space: Space, targets: Sequence[int], rules: TuneSection) -> list[str]:
    """A line for each length at which a term's weight 0 is no measure of cost."""
    lengths = sorted({each.tokens for each in own})
    found = {tokens: search(space, outcomes(own, targets, tokens), rules) for tokens in lengths}
    return [
        f"\nAt {tokens:,} tokens `{space.term}` 0 diverged or missed its L0: "
        "what another value costs is not known, so the smallest is taken."
        for tokens, state in found.items()
        if state.unpriced
    ]


def _over(targets: Sequence[int], found: dict[int, Trial], column: str) -> str:
    return " / ".join(_cell(found[target], column) if target in found else "-" for target in targets)


def _cell(trial: Trial, column: str) -> str:
    if trial.status != "ok":
        return "diverged"
    return f"{getattr(trial, column):.3f}{'' if trial.on_target else '!'}"
