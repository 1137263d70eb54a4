"""Width and depth multipliers: the scaling rules that the networks for small devices share, and the checks of options.

A width multiplies channels, which are then rounded to a multiple of 8 (``geometry.make_divisible``); a depth multiplies
the layers of a stage, rounded up (Tan & Le 2019, section 3.3 and the authors' code).
"""

from __future__ import annotations

import math

from archcost.errors import ModelError
from archcost.geometry import make_divisible


def positive(name: str, value: float) -> float:
    """Return ``value``. Raises ModelError if it is not a number above 0 and at most 100."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 100:
        raise ModelError(f"`{name}` (={value!r}) must be a number above 0 and at most 100")
    return value


def rate(name: str, value: float) -> float:
    """Return ``value``. Raises ModelError if it is not a probability below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ModelError(f"`{name}` (={value!r}) must be a number from 0 to below 1")
    return value


def count(name: str, value: int, multiple_of: int = 1) -> int:
    """Return ``value``. Raises ModelError if it is not an integer from 1 to a million, or not such a multiple."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10**6 or value % multiple_of:
        wanted = "an integer" if multiple_of == 1 else f"a multiple of {multiple_of}"
        raise ModelError(f"`{name}` (={value!r}) must be {wanted} above 0 and at most a million")
    return value


def scaled(channels: float, width: float) -> int:
    """Return ``channels`` times ``width``, rounded to a multiple of 8 but never more than 10 % down."""
    return make_divisible(channels * width)


def repeated(layers: int, depth: float) -> int:
    """Return how many layers a stage of ``layers`` has at this depth."""
    return math.ceil(layers * depth)
