"""Numbers as a source prints them, and how a computed value agrees with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from archcost.errors import UsageError
from archcost.report.stated import Stated

Value = tuple[Fraction, ...]
"""A computed quantity: one number, or several (a shape, a row of a table)."""

Agreement = Literal["exact", "rounds", "truncates", "rounds up"]
AGREEMENTS: tuple[Agreement, ...] = ("exact", "rounds", "truncates", "rounds up")
"""From the closest to the loosest."""

UNITS: dict[str, Fraction] = {
    "": Fraction(1),
    "M": Fraction(10**6),
    "million": Fraction(10**6),
    "B": Fraction(10**9),
    "G": Fraction(10**9),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "MiB": Fraction(2**20),
    "%": Fraction(1, 100),
    "times": Fraction(1),
    "layers": Fraction(1),
}
"""What a printed number is a multiple of."""

_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?![\d,])|\d+(?:\.\d+)?")
_DIGITS = re.compile(r"([1-9]) digits?")
_ABOUT = re.compile(r"about (\d+)%")
APPROXIMATE = re.compile(r"~|\baround\b|\babout\b", re.IGNORECASE)
"""How a source says that a number is approximate."""


@dataclass(frozen=True)
class Printed:
    """The number or numbers that a source prints.

    Attributes:
        numbers: each with the value of one unit of its last digit.
        rounding: "nearest", "down" or "up": how the source is known to round.
        tolerance: for a number that the source calls approximate: how far off it may be, as a share of it.
        upper_bound: the source says that the quantity is below the number.
    """

    numbers: tuple[Stated, ...]
    rounding: Literal["nearest", "down", "up"] = "nearest"
    tolerance: Fraction = Fraction(0)
    upper_bound: bool = False

    def agreement(self, value: Value) -> Agreement | None:
        """Return how ``value`` agrees with the numbers, the loosest of them counting; None if one does not."""
        if len(value) != len(self.numbers):
            return None
        found = [_agreement(number, part) for number, part in zip(self.numbers, value)]
        loosest = max((AGREEMENTS.index(one) for one in found if one), default=0)
        return None if None in found or not found else AGREEMENTS[loosest]

    def is_near(self, value: Value) -> bool:
        """Return whether ``value`` lies within the tolerance of an approximate number."""
        return len(value) == len(self.numbers) and all(
            abs(part - number.value) <= self.tolerance * number.value for number, part in zip(self.numbers, value)
        )


def _agreement(number: Stated, value: Fraction) -> Agreement | None:
    match = number.match(value)
    if match is not None:
        words: dict[str, Agreement] = {"exact": "exact", "rounded": "rounds", "truncated": "truncates"}
        return words[match]
    return "rounds up" if 0 < number.value - value < number.unit else None


def read_printed(text: str, unit: str = "", rounding: str = "") -> Printed:
    """Return the numbers in ``text``: ``~60``, ``1,516``, ``28x28x256``, ``(1, 1.1, 240)``.

    A product written with ``*`` (``61*16``) is one number: a line of arithmetic in the source, literally.

    Args:
        text: what the source prints, or the part of it that is the number.
        unit: key of ``UNITS``.
        rounding: see ``archcost.data``.

    Raises:
        UsageError: if there is no number, or the unit or the rounding is unknown.
    """
    if unit not in UNITS:
        raise UsageError(f"unknown unit {unit!r}")
    digits, about = _DIGITS.fullmatch(rounding), _ABOUT.fullmatch(rounding)
    if rounding not in ("", "down", "up") and not digits and not about:
        raise UsageError(f"unknown rounding {rounding!r}")
    if "*" in text:
        product = Fraction(1)
        for factor in text.split("*"):
            product *= int(factor)
        return Printed((Stated(text, product, Fraction(1)),))
    numbers = [_stated(word, UNITS[unit], int(digits[1]) if digits else None) for word in _NUMBER.findall(text)]
    if not numbers:
        raise UsageError(f"no number in {text!r}")
    return Printed(
        tuple(numbers),
        "down" if rounding == "down" else "up" if rounding == "up" else "nearest",
        Fraction(int(about[1]), 100) if about else Fraction(0),
        upper_bound="<" in text,
    )


def _stated(word: str, scale: Fraction, digits: int | None) -> Stated:
    """One number; its last digit is the last one printed, or of a whole number the last of ``digits`` ones."""
    whole, _, decimals = word.replace(",", "").partition(".")
    last = Fraction(1, 10 ** len(decimals))
    if digits is not None and not decimals and len(whole) > digits:
        last = Fraction(10 ** (len(whole) - digits))
    return Stated(word, Fraction(f"{whole}.{decimals or 0}") * scale, last * scale)
