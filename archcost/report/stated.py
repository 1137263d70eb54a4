"""A number as somebody wrote it: ``4.11G``, ``3.8 billion``, ``4089184256``; and what agrees with it."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from archcost.errors import UsageError

Match = Literal["exact", "rounded", "truncated"]
MATCHES: tuple[Match, ...] = ("exact", "rounded", "truncated")

PREFIXES: dict[str, int] = {
    "": 0, "k": 3, "thousand": 3, "m": 6, "mio": 6, "million": 6, "g": 9, "b": 9, "bn": 9, "billion": 9, "t": 12,
    "trillion": 12, "p": 15,
}  # fmt: skip
"""Prefix or word, in small letters -> power of ten."""

UNITS = ("flops", "flop", "flop/s", "macs", "mac", "mult-adds", "madds", "params", "parameters")
"""Words that may follow; they say what the writer called the number, which is not always what it is."""

_NUMBER = re.compile(r"([0-9][0-9,_' ]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?\s*([a-z/-]*)\s*([a-z/-]*)")

LONGEST = 64
FEWEST_ZEROS = 3


class Stated(NamedTuple):
    """A stated number.

    Attributes:
        text: as it was written.
        value: its value.
        unit: value of one unit of its last digit: what rounding may have changed.
    """

    text: str
    value: Fraction
    unit: Fraction

    def match(self, count: Fraction | int) -> Match | None:
        """Return how ``count`` agrees with the number; None if it does not."""
        difference = count - self.value
        if difference == 0:
            return "exact"
        if abs(difference) <= self.unit / 2:
            return "rounded"
        return "truncated" if 0 < difference < self.unit else None


def parse(text: str) -> Stated:
    """Return the number that ``text`` states.

    The zeros at the end of a whole number written out (``25600000``) may be there because it was rounded.

    Raises:
        UsageError: if it states none.
    """
    found = _NUMBER.fullmatch(text.strip().lower()) if len(text) <= LONGEST else None
    prefix = _power(found[3], found[4]) if found else None
    if found is None or prefix is None:
        shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
        raise UsageError(f"NUMBER (={shown!r}) must be a number such as 4.11G, 25.6M, 4.1e9 or 4089184256")
    digits = re.sub(r"[,_' ]", "", found[1])
    whole, _, decimals = digits.partition(".")
    power = prefix + int(found[2] or 0)
    value = Fraction(int(whole or "0") * 10 ** len(decimals) + int(decimals or "0"), 10 ** len(decimals))
    unit = Fraction(10) ** (power - len(decimals))
    if power == 0 and not decimals:
        zeros = len(whole) - len(whole.rstrip("0"))
        unit = Fraction(10**zeros if zeros >= FEWEST_ZEROS else 1)
    value *= Fraction(10) ** power
    if value <= 0:
        raise UsageError(f"NUMBER (={text!r}) must be above 0")
    return Stated(text.strip(), value, unit)


def _power(first: str, second: str) -> int | None:
    """The power of ten of ``g``, ``gflops``, ``g macs``, ``million params``, ``flops``; None for other words."""
    if second:
        return PREFIXES.get(first) if second in UNITS else None
    if first in PREFIXES:
        return PREFIXES[first]
    for unit in UNITS:
        if first.endswith(unit) and first.removesuffix(unit) in PREFIXES:
            return PREFIXES[first.removesuffix(unit)]
    return None
