"""Which counter, variant or rule gives a stated number.

Everything that people state (``report.quantities``) is computed for every network that may be meant
(``report.places``); what agrees with the number is ranked by how exactly it agrees and by how much had to be changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from archcost.report.counters import Terms
from archcost.report.places import Place
from archcost.report.quantities import Quantity, quantities
from archcost.report.stated import MATCHES, Match, Stated

MOST = 5
"""Explanations that are given at most."""

APART = 2
"""Explanations by one network that have lines of their own; more of them share one."""

MARGIN = 1
"""How much worse than the best an explanation may be to be given."""

TELLING = 100_000
"""A number of so many units of its last digit that agrees exactly does so by no coincidence: no other is offered."""

NEAREST_CHANGES = 1
"""How much may be changed in the network that is named as the nearest."""

ENDINGS: dict[Match, str] = {"exact": "exactly", "rounded": "rounded", "truncated": "cut off, not rounded"}


class Explanation(NamedTuple):
    """Equal quantities of one network, and how they agree with the stated number (None: they do not).

    Attributes:
        place: the network.
        quantities: all of the same value.
        match: how they agree.
        also: others of the same network that agree in the same way.
    """

    place: Place
    quantities: tuple[Quantity, ...]
    match: Match | None
    also: tuple[Explanation, ...] = ()

    @property
    def value(self) -> Fraction:
        """What the quantities amount to."""
        return self.quantities[0].value

    @property
    def distance(self) -> int:
        """How much had to be changed, and how inexact the agreement is."""
        first = self.quantities[0]
        # That a certain tool was run, and on another network than the named one, are two assumptions.
        elsewhere = self.place.changes if first.tool else 0
        inexact = MATCHES.index(self.match) if self.match else len(MATCHES)
        return self.place.changes + first.changes + elsewhere + inexact

    @property
    def subject(self) -> str:
        """What the number is, of which network."""
        first = self.quantities[0]
        tools = [quantity for quantity in self.quantities if quantity.tool]
        plain = [quantity for quantity in self.quantities if not quantity.tool]
        listed = joined([quantity.tool for quantity in tools])
        one = len(tools) == 1 and (tools[0].changes == 0 or tools[0].factor != 1)  # "older releases" are many
        if not plain:
            return f"{first.factor_words}what {listed} {'prints' if one else 'print'} for {self.place.words}"
        text = f"{first.factor_words}the {plain[0].words} of {self.place.words}"
        return f"{text}, as {listed} {'counts' if one else 'count'}" if tools else text

    @property
    def short(self) -> str:
        """Who counts so, or what is counted, without the network."""
        first = self.quantities[0]
        return first.factor_words + joined([quantity.tool or quantity.words for quantity in self.quantities])

    @property
    def equation(self) -> str:
        """The number, and the terms that make it where there are several."""
        quantity = self.quantities[0]
        number = f"{round(quantity.value):,}"
        factor = "1/2" if quantity.factor == Fraction(1, 2) else str(quantity.factor)
        terms = sum_text(quantity.terms)
        if len(quantity.terms) < 2:
            count = sum(quantity.terms.values())
            return number if quantity.factor == 1 else f"{number} = {factor} x {count:,}"
        return f"{number} = {terms}" if quantity.factor == 1 else f"{number} = {factor} x ({terms})"

    def sentence(self, stated: Stated) -> str:
        """What the number is, in one line."""
        if self.match:
            also = ", ".join(f"{one.short} {round(one.value):,}" for one in self.also)
            others = f" (so are {also})" if also else ""
            return f"{stated.text} is {self.subject}: {self.equation}; {ENDINGS[self.match]}{others}"
        share = float(abs(self.value - stated.value) / stated.value)
        side = "more" if self.value > stated.value else "less"
        return f"nearest is {self.subject}: {self.equation}; {share:.2%} {side}"


class Answer(NamedTuple):
    """What explains a stated number, best first; if nothing does, the nearest quantity."""

    stated: Stated
    explanations: tuple[Explanation, ...]
    nearest: Explanation | None

    @property
    def text(self) -> str:
        """One line for each explanation."""
        if self.explanations:
            return "\n".join(explanation.sentence(self.stated) for explanation in self.explanations)
        nearest = f"; {self.nearest.sentence(self.stated)}" if self.nearest else ""
        return f"{self.stated.text}: no counter, variant or rule gives it{nearest}"


def sum_text(terms: Terms) -> str:
    """Return ``4,089,184,256 (conv+dense MACs) + 100,352 (adaptive pool inputs)``."""
    text = ""
    for what, count in terms.items():
        sign = ("-" if count < 0 else "") if not text else " - " if count < 0 else " + "
        text += f"{sign}{abs(count):,} ({what})"
    return text


def joined(words: list[str]) -> str:
    """Return ``fvcore, timm and thop``."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def explain(stated: Stated, networks: Iterable[Place]) -> Answer:
    """Return which quantities of ``networks`` (nearest first) agree with the number."""
    found: list[Explanation] = []
    nearest: Explanation | None = None
    known: set[tuple[str, Fraction, Fraction]] = set()
    for place in networks:
        groups: dict[tuple[Fraction, str], list[Quantity]] = {}
        for quantity in sorted(quantities(place.graph, batches=place.changes == 0), key=lambda one: one.changes):
            key = (quantity.rule, quantity.factor, quantity.value)
            if not quantity.value or key in known:  # a relative that changes nothing of it explains nothing
                continue
            known.add(key)
            members = groups.setdefault((quantity.value, quantity.factor_words), [])
            if not members or members[0].changes == quantity.changes:  # else it is said already, and more simply
                members.append(quantity)
        for members in groups.values():
            candidate = Explanation(place, tuple(members), stated.match(members[0].value))
            if candidate.match:
                found.append(candidate)
            elif place.changes + members[0].changes <= NEAREST_CHANGES:
                nearest = min(filter(None, (nearest, candidate)), key=lambda one: abs(one.value - stated.value))
    return Answer(stated, _best(stated, found), None if found else nearest)


def _best(stated: Stated, found: list[Explanation]) -> tuple[Explanation, ...]:
    """The exact ones alone if they cannot be so by chance; else the nearest few, without what they already say."""
    exact = [one for one in found if one.match == "exact"]
    if exact and stated.value / stated.unit >= TELLING:
        return (min(exact, key=lambda one: one.distance),)
    ranked = sorted(found, key=lambda one: (one.distance, MATCHES.index(one.match or "exact")))
    groups: dict[tuple[int, Match | None], list[Explanation]] = {}
    for one in ranked:
        if one.distance > ranked[0].distance + MARGIN:
            break
        group = groups.setdefault((id(one.place), one.match), [])
        # Twice what one tool prints, next to what another prints, is the same number once more.
        if all(other.value != one.value for other in group):
            group.append(one)
    kept: list[Explanation] = []
    for group in groups.values():
        kept += group if len(group) <= APART else [group[0]._replace(also=tuple(group[1:]))]
    return tuple(kept[:MOST])
