"""The comparisons that were named in advance (params.yaml, `compare.family`), judged apart from all others.

Exploring all pairs has to pay for all of them: Holm over 66 pairs wants p < .0008 of the first. What a
temporal term is for is a handful of questions, each method against its control. One family is one outcome:
its comparisons at all L0 targets.

A method noisier than the rest does most harm among a handful of tests that all ask about it, because its
noise is shrunk towards the others'. So a planned comparison must hold by two analyses: that of the table
(paired/variance.py), and the paired t test of its two rows alone, whose 5 % needs nothing of any other row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.compare.columns import Column
from pipeline.compare.paired.comparison import Family, Pair, judged
from pipeline.compare.paired.variance import Table
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
    """All tests, outcome by outcome, and the comparisons without any pair of rows, with the reason."""

    tests: list[Planned]
    untrained: list[tuple[Comparison, str]]


def planned(section: CompareSection, families: Sequence[Family]) -> Plan:
    """The verdicts on the comparisons of `section`."""
    outcomes = dict.fromkeys((family.source, family.column) for family in families)
    asked = [list(_tests(section.family, families, *outcome)) for outcome in outcomes]
    tests = [test for together in asked for test in _judged(together)]
    return Plan(tests, [(each, reason) for each in section.family for reason in _absent(each, families)])


def _tests(
    asked: Iterable[Comparison], families: Sequence[Family], source: Name, column: Column
) -> Iterable[Planned]:
    """The comparisons of one outcome at all L0 targets, without those whose rows this source lacks."""
    here = [family for family in families if (family.source, family.column) == (source, column)]
    for each in asked:
        for family in here if column.name in each.outcomes else []:
            pair = family.pair(each.variant, each.against)
            if pair is not None:
                yield Planned(source, column, family.target, _cautious(pair, column), family.margin)


def _cautious(pair: Pair, column: Column) -> Pair:
    """`pair` with the paired t test of its rows beside the table's analysis."""
    if pair.verdict == "not compared" or pair.difference is None:
        return pair
    values = [each.values for each in (pair.a, pair.b)]
    alone = Table.of([each.of_pairs for each in values] if column.pairs_of_seeds else values)
    return replace(pair, difference=pair.difference.and_also(alone.difference(0, 1)))


def _judged(tests: list[Planned]) -> list[Planned]:
    if not tests:
        return []
    pairs = judged([test.pair for test in tests], tests[0].column.better, tests[0].margin)
    count = sum(pair.verdict != "not compared" for pair in pairs)
    return [replace(test, pair=pair, tests=count) for test, pair in zip(tests, pairs, strict=True)]


def _absent(asked: Comparison, families: Sequence[Family]) -> Iterable[str]:
    """Why outcomes of `asked` have no pair, source by source."""
    inside = [family for family in families if family.column.name in asked.outcomes]
    for source in dict.fromkeys(family.source for family in inside):
        here = [family for family in inside if family.source == source]
        if not any(family.pair(asked.variant, asked.against) for family in here):
            names = ", ".join(dict.fromkeys(family.column.name for family in here))
            yield f"{_missing(asked, here)} ({names})"
    known = {family.column.name for family in inside}
    if other := [name for name in asked.outcomes if name not in known]:
        yield f"no score at a common L0 ({', '.join(other)})"


def _missing(asked: Comparison, families: Sequence[Family]) -> str:
    trained = {each.label for family in families for each in family.members}
    missing = [label for label in (asked.variant, asked.against) if label not in trained]
    where = " on synthetic activations" if families[0].source == "truth" else ""
    if not missing:
        return f"no L0 target at which both were trained{where}"
    return f"{' and '.join(missing)} not trained{where} at any L0 target of this run"


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
