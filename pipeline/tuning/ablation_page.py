"""docs/tuning/{bed}-{variant}.md: what each switch of a method gives and costs, from its record alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean

from pipeline.tuning.ablation import Ablated, On, best_of, combinations, path_of, read
from pipeline.tuning.record import Bed
from pipeline.tuning.search import RATE

Score = Callable[[Ablated], float]
SCORES: dict[str, tuple[Score, str]] = {
    "explained variance": (lambda each: each.trial.explained_variance, ".3f"),
    "persistence by energy": (lambda each: each.trial.persistence_energy, ".3f"),
    "dead": (lambda each: float(each.trial.dead), ".0f"),
}
SIGNED = {name: (score, f"+{form}") for name, (score, form) in SCORES.items()}


def write_page(bed: Bed, variant: str, switches: Sequence[str]) -> Path:
    """Write the page of the switches of `variant` on `bed` as it is now, beside its record."""
    path = path_of(bed.name, variant)
    rows = [each for each in read(path) if (each.trial.basis, each.trial.weights) == (bed.basis, bed.weights)]
    lines = [
        f"# What each switch of {variant} gives and costs",
        "",
        f"Written by `python -m pipeline ablate` from {path.name} (docs/train.md); validation tokens. "
        "Each cell is the mean over seeds, in brackets the lowest and the highest. `jump`: the largest L0 of "
        "a step in the second half of training, over the mean L0 just before. `!`: L0 missed by over 10 %.",
    ]
    for tokens in sorted({each.trial.tokens for each in rows}):
        long = [each for each in rows if each.trial.tokens == tokens]
        for target in sorted({each.trial.target for each in long}):
            lines += _section(long, switches, tokens, target)
    page = path.with_suffix(".md")
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def _section(rows: list[Ablated], switches: Sequence[str], tokens: int, target: int) -> list[str]:
    """Of one length and L0 target: what the switches change, the combinations, all rates."""
    chosen = _chosen(rows, switches)
    here = {on: [each for each in found if each.trial.target == target] for on, found in chosen.items()}
    return [
        "", f"## {tokens:,} tokens, L0 {target}", "",
        "What a switch changes, both sides at their best rates, seed by seed:", "",
        *_table(["switch", "against", *SIGNED, "seeds"], _effects(here, switches)), "",
        *_table([*switches, "rate", *SCORES, "jump", "core seconds", "seeds"], _combinations(here, switches)),
        "",
        "Every rate, with the first seed (explained variance / persistence by energy):", "",
        *_rates([each for each in rows if each.trial.target == target], switches),
    ]  # fmt: skip


def _chosen(rows: Sequence[Ablated], switches: Sequence[str]) -> dict[On, list[Ablated]]:
    """The rows of each combination at its best rate."""
    first = min((each.trial.seed for each in rows), default=0)
    own = {on: [each for each in rows if each.on == on] for on in combinations(switches)}
    return {
        on: [each for each in found if each.trial.values == best_of(found, first)]
        for on, found in own.items()
        if found
    }


def _effects(here: dict[On, list[Ablated]], switches: Sequence[str]) -> Iterable[list[str]]:
    """Each switch off from all on, and on from all off."""
    full, none = frozenset(switches), frozenset[str]()
    for name in switches:
        for with_it, without, said in (
            (full, full - {name}, "the others on"),
            (frozenset({name}), none, "the others off"),
        ):
            pairs = _pairs(here.get(with_it, []), here.get(without, []))
            if pairs:
                cells = [
                    _spread([score(a) - score(b) for a, b in pairs], form) for score, form in SIGNED.values()
                ]
                yield [name, said, *cells, str(len(pairs))]


def _pairs(these: Sequence[Ablated], those: Sequence[Ablated]) -> list[tuple[Ablated, Ablated]]:
    by_seed = {each.trial.seed: each for each in those}
    return [(each, by_seed[each.trial.seed]) for each in these if each.trial.seed in by_seed]


def _combinations(here: dict[On, list[Ablated]], switches: Sequence[str]) -> Iterable[list[str]]:
    for on, rows in here.items():
        if rows:
            missed = "" if all(each.trial.on_target for each in rows) else "!"
            cells = [_spread([score(each) for each in rows], form) for score, form in SCORES.values()]
            yield [
                *("on" if name in on else "" for name in switches),
                f"{dict(rows[0].trial.values)[RATE]:g}{missed}", *cells,
                _spread([each.jump for each in rows], ".2f"),
                f"{mean(each.trial.seconds for each in rows):.0f}", str(len(rows)),
            ]  # fmt: skip


def _rates(rows: Sequence[Ablated], switches: Sequence[str]) -> list[str]:
    first = min((each.trial.seed for each in rows), default=0)
    own = [each for each in rows if each.trial.seed == first]
    rates = sorted({dict(each.trial.values)[RATE] for each in own})
    lines = []
    for on in combinations(switches):
        cells = {dict(each.trial.values)[RATE]: _cell(each) for each in own if each.on == on}
        if cells:
            states = ["on" if name in on else "" for name in switches]
            lines.append([*states, *(cells.get(rate, "") for rate in rates)])
    return _table([*switches, *(f"{rate:g}" for rate in rates)], lines)


def _cell(row: Ablated) -> str:
    trial = row.trial
    if trial.status != "ok":
        return "diverged"
    missed = "" if trial.on_target else "!"
    return f"{trial.explained_variance:.3f}{missed} / {trial.persistence_energy:.3f}"


def _spread(values: Sequence[float], form: str) -> str:
    """The mean, and with several values the lowest and the highest."""
    middle = f"{mean(values):{form}}"
    return middle if len(values) < 2 else f"{middle} [{min(values):{form}}, {max(values):{form}}]"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(each)} |" for each in (heads, ["---"] * len(heads), *rows)]
