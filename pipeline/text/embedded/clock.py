"""The slow states of a document: each lasts for a while, then takes another value.

Language holds for the whole document. Every other state has a clock of its own: durations are lognormal in
tokens, and what is due changes at the next sentence's begin, to another value drawn evenly. States are
independent of one another, but for the sub-domain, which lies in the domain and is drawn anew with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log
from random import Random

from pipeline.text.section import EmbeddedText

SLOW = ("language", "domain", "sub_domain", "register", "speaker", "tense")
"""Names, in the order of `Clock.now`."""
SPREAD = 0.8
"""Sigma of the lognormal durations."""


def slow_values(section: EmbeddedText) -> dict[str, int]:
    """How many values each slow state has."""
    return {
        "language": section.languages,
        "domain": section.domains,
        "sub_domain": section.domains * section.sub_domains,
        "register": section.registers,
        "speaker": section.speakers,
        "tense": section.tenses,
    }


class Clock:
    """The states of one document; `held` ones have the given value throughout."""

    def __init__(self, section: EmbeddedText, rng: Random, held: Mapping[str, int]) -> None:
        self._rng, self._held = rng, held
        self._children = section.sub_domains
        self._values = slow_values(section)
        self._medians = {name: getattr(section, f"{name}_tokens") for name in SLOW if name != "language"}
        self._state = {name: int(rng.random() * self._values[name]) for name in SLOW} | dict(held)
        self._due = {name: self._duration(name) for name in self._medians}
        if "sub_domain" in held:
            self._state["domain"] = held["sub_domain"] // self._children
        else:
            self._redraw_sub_domain()

    @property
    def now(self) -> tuple[int, ...]:
        """The values, in the order of SLOW."""
        return tuple(self._state[name] for name in SLOW)

    def advance(self, tokens: int) -> None:
        """Change what is due when a sentence begins after `tokens` tokens of the document."""
        for name, due in self._due.items():
            if due <= tokens:
                self._due[name] = tokens + self._duration(name)
                if name not in self._held and not (name == "domain" and "sub_domain" in self._held):
                    self._change(name)

    def _change(self, name: str) -> None:
        if name == "sub_domain":
            self._redraw_sub_domain(self._state[name] % self._children)
            return
        self._state[name] = self._other(self._values[name], self._state[name])
        if name == "domain":
            self._redraw_sub_domain()

    def _redraw_sub_domain(self, but: int | None = None) -> None:
        """A sub-domain of the domain, another than `but`."""
        child = int(self._rng.random() * self._children) if but is None else self._other(self._children, but)
        self._state["sub_domain"] = self._state["domain"] * self._children + child

    def _other(self, values: int, now: int) -> int:
        return (now + 1 + int(self._rng.random() * (values - 1))) % values if values > 1 else now

    def _duration(self, name: str) -> float:
        return exp(log(self._medians[name]) + SPREAD * self._rng.gauss(0, 1))
