"""The comparisons that were named in advance (params.yaml, `compare.family`), judged apart from all others.

Exploring all pairs has to pay for all of them: Holm over 66 pairs wants p < .0008 of the first. What a
temporal term is for is a handful of questions, each method against its control. One family is one outcome:
its comparisons at all L0 targets. Estimates are those of the table (paired/comparison.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.compare.columns import Column
from pipeline.compare.paired.comparison import Family, Pair, judged
from pipeline.compare.scores import Name, Scores
from pipeline.compare.section import CompareSection, Comparison
from pipeline.console.errors import BadInput


@dataclass(frozen=True)
class Planned:
    """One comparison at one L0 target; the verdict of `pair` is on its row `a`."""

    source: Name
    column: Column
    target: float
    pair: Pair
    margin: float | None
    tests: int = 0  # comparisons of its family that could be judged

    @property
    def title(self) -> str:
        """What is compared with what."""
        return f"{self.pair.a.label} against {self.pair.b.label}"


@dataclass(frozen=True)
class Plan:
    """All tests, outcome by outcome, and the comparisons whose rows were not trained, with the reason."""

    tests: list[Planned]
    untrained: list[tuple[Comparison, str]]


def planned(section: CompareSection, families: Sequence[Family]) -> Plan:
    """The verdicts on the comparisons of `section`."""
    trained = {row.label for family in families for row in family.rows}
    known = [each for each in section.family if {each.variant, each.against} <= trained]
    outcomes = dict.fromkeys((family.source, family.column) for family in families)
    tests = [test for outcome in outcomes for test in _judged(list(_tests(known, families, *outcome)))]
    return Plan(tests, [(each, _absent(each, trained)) for each in section.family if each not in known])


def _tests(
    asked: Iterable[Comparison], families: Sequence[Family], source: Name, column: Column
) -> Iterable[Planned]:
    """The comparisons of one outcome at all L0 targets, without those whose rows this source lacks."""
    here = [family for family in families if (family.source, family.column) == (source, column)]
    for each in asked:
        for family in here if column.name in each.outcomes else []:
            pair = family.pair(each.variant, each.against)
            if pair is not None:
                yield Planned(source, column, family.target, pair, family.margin)


def _judged(tests: list[Planned]) -> list[Planned]:
    if not tests:
        return []
    pairs = judged([test.pair for test in tests], tests[0].column.better, tests[0].margin)
    count = sum(pair.verdict != "not compared" for pair in pairs)
    return [replace(test, pair=pair, tests=count) for test, pair in zip(tests, pairs, strict=True)]


def _absent(asked: Comparison, trained: set[str]) -> str:
    missing = [label for label in (asked.variant, asked.against) if label not in trained]
    return f"{' and '.join(missing)} not trained at any L0 target of this run"


def check(section: CompareSection, scores: Scores) -> None:
    """Raises BadInput for a headline that no evaluation has."""
    headlines = {each.headline.name for each in scores.definitions.values() if each.headline}
    for place, names in [
        ("margins", list(section.margins)),
        *((f"family[{i}].outcomes", each.outcomes) for i, each in enumerate(section.family)),
    ]:
        if unknown := sorted(set(names) - headlines):
            raise BadInput(
                f"params.yaml: `compare.{place}` names {', '.join(unknown)}, which is no headline of an "
                f"evaluation (known here: {', '.join(sorted(headlines))})."
            )
