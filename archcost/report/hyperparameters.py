"""Quantities that figures state and that no graph holds: coefficients of compound scaling, state of optimizers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from archcost.cost import OPTIMIZERS
from archcost.errors import UsageError, did_you_mean
from archcost.report.measures import number, numbers
from archcost.report.printed import Value
from archcost.zoo.efficientnet_scaling import ALPHA, BETA, EFFICIENTNET, GAMMA, Coefficients

BASE_RESOLUTION = EFFICIENTNET["b0"].resolution


def decimal(value: float) -> Fraction:
    """Return the decimal number that ``value`` is written as: 1.1, not the binary fraction next to it."""
    return Fraction(str(value))


def _coefficients(scale: str) -> Coefficients:
    if scale not in EFFICIENTNET:
        raise UsageError(f"no coefficients of {scale!r}{did_you_mean(scale, EFFICIENTNET)}")
    return EFFICIENTNET[scale]


def _scaling(scale: str) -> Value:
    """Width, depth and resolution from which a network of the family is built."""
    found = _coefficients(scale)
    return numbers((decimal(found.width), decimal(found.depth), found.resolution))


def _powers(phi: str) -> Value:
    """Width, depth and resolution that equation 3 gives for the compound coefficient phi."""
    exponent = float(phi)
    factors = (Fraction(base**exponent) for base in (BETA, ALPHA, GAMMA))
    width, depth, resolution = factors
    return numbers((width, depth, BASE_RESOLUTION * resolution))


def _optimizer_state(name: str) -> Value:
    """Values that an optimizer keeps for each trained parameter."""
    if name not in OPTIMIZERS:
        raise UsageError(f"unknown optimizer {name!r}{did_you_mean(name, OPTIMIZERS)}")
    return number(OPTIMIZERS[name].state)


HYPERPARAMETERS: dict[str, Callable[[str], Value]] = {
    "alpha": lambda _: number(decimal(ALPHA)),
    "beta": lambda _: number(decimal(BETA)),
    "gamma": lambda _: number(decimal(GAMMA)),
    "powers": _powers,
    "scaling": _scaling,
    "scaling_dropout": lambda scale: number(decimal(_coefficients(scale).dropout)),
    "optimizer_state": _optimizer_state,
}
"""Name -> function of the argument behind the colon."""
