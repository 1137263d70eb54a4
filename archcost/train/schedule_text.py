"""Schedules as the command line writes them: ``step:20=0.01,50=0.001``, ``plateau:patience=3``, a warm-up of ``5``."""

from __future__ import annotations

import math
from itertools import pairwise

from archcost.errors import UsageError, did_you_mean
from archcost.train.schedules import Constant, Cosine, Exponential, Plateau, Schedule, Steps, WarmUp

FORMS = {
    "constant": "constant",
    "step": "step:EPOCH=RATE,...",
    "cosine": "cosine",
    "exponential": "exponential[:FACTOR]",
    "plateau": "plateau[:factor=F,patience=N,threshold=T]",
}
"""Name of a schedule -> how it is written."""


def schedule(
    text: str, learning_rate: float, epochs: int, *, minimum: float = 0.0, warmup: str | None = None
) -> Schedule:
    """Return the schedule that a text describes.

    Args:
        text: one of ``FORMS``: ``constant``, ``step:20=0.01,50=0.001``, ``cosine``, ``exponential``,
            ``exponential:0.95``, ``plateau:factor=0.1,patience=5``.
        learning_rate: the rate at the beginning.
        epochs: how many there will be.
        minimum: lowest rate of ``cosine``, ``exponential`` and ``plateau``.
        warmup: ``5`` or ``5epochs``, ``500steps``, either with ``,from=RATE``; None or ``0`` for none.

    Raises:
        UsageError: if the text or a number is none of these.
    """
    _number("learning rate", str(learning_rate), above=0)
    if not 0 <= minimum <= learning_rate:
        raise UsageError(f"the lowest learning rate (={minimum}) must be from 0 to the learning rate {learning_rate}")
    if epochs < 1:
        raise UsageError(f"`epochs` (={epochs}) must be at least 1")
    made = _schedule(text.strip(), learning_rate, epochs, minimum)
    return made if warmup is None else _warmed_up(made, warmup)


def _schedule(text: str, learning_rate: float, epochs: int, minimum: float) -> Schedule:
    name, colon, rest = text.partition(":")
    where = f"schedule {text!r}"
    if name not in FORMS:
        raise UsageError(f"unknown {where}{did_you_mean(name, FORMS)}; known are {', '.join(FORMS.values())}")
    if (colon and not rest.strip()) or (rest and name in ("constant", "cosine")) or (name == "step" and not rest):
        raise UsageError(f"{where} must be written {FORMS[name]}")
    if name == "constant":
        return Constant(learning_rate)
    if name == "cosine":
        return Cosine(learning_rate, epochs, minimum)
    if name == "exponential":
        factor = _number(f"{where}: factor", rest, above=0, most=1) if rest else Exponential.factor
        return Exponential(learning_rate, factor, minimum)
    given = _pairs(where, rest, FORMS[name])
    if name == "step":
        changes = tuple(
            (_whole(f"{where}: epoch", key), _number(f"{where}: rate", value, above=0)) for key, value in given
        )
        for (before, _), (after, _) in pairwise(changes):
            if after <= before:
                raise UsageError(f"{where}: epoch {after} must come after epoch {before}")
        return Steps(learning_rate, changes)
    options = dict(given)
    allowed = ("factor", "patience", "threshold")
    for key in options:
        if key not in allowed:
            raise UsageError(f"{where}: unknown {key!r}{did_you_mean(key, allowed)}; known are {', '.join(allowed)}")
    if len(options) < len(given):
        raise UsageError(f"{where}: a name stands twice")
    result = Plateau(learning_rate, minimum=minimum)
    if "factor" in options:
        result.factor = _number(f"{where}: factor", options["factor"], above=0, most=1)
    if "patience" in options:
        result.patience = _whole(f"{where}: patience", options["patience"])
    if "threshold" in options:
        result.threshold = _number(f"{where}: threshold", options["threshold"], least=0, most=1)
    return result


def _warmed_up(after: Schedule, text: str) -> Schedule:
    """Return a schedule with the warm-up in front that a text describes."""
    where = f"warm-up {text!r}"
    form = "EPOCHS, EPOCHSepochs or STEPSsteps, each with ,from=RATE"
    length, comma, rest = text.replace(" ", "").partition(",")
    unit = "steps" if length.endswith("steps") else "epochs"
    count = length.removesuffix(unit)
    start = 0.0
    if comma:
        given = _pairs(where, rest, form)
        if [key for key, _ in given] != ["from"]:
            raise UsageError(f"{where} must be written {form}")
        start = _number(f"{where}: from", given[0][1], least=0)
    number = _number(f"{where}: {unit}", count, least=0)
    if unit == "steps" and number != int(number):
        raise UsageError(f"{where}: steps (={count}) must be a whole number")
    return WarmUp(after, number, unit, start) if number else after


def _pairs(where: str, text: str, form: str) -> list[tuple[str, str]]:
    """Return the (name, value) of ``name=value,...``."""
    if not text:
        return []
    found = [part.partition("=") for part in text.split(",")]
    if not all(key.strip() and equals and value.strip() for key, equals, value in found):
        raise UsageError(f"{where} must be written {form}")
    return [(key.strip(), value.strip()) for key, _, value in found]


def _number(
    what: str, text: str, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> float:
    """Return a finite number between bounds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and least <= value <= most and value > above:
        return value
    bound = f"above {above:g}" if above > least else f"at least {least:g}"
    bound += f" and at most {most:g}" if most < math.inf else ""
    raise UsageError(f"{what} (={text}) must be a number {bound}")


def _whole(what: str, text: str) -> int:
    """Return a whole number of 1 or more."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise UsageError(f"{what} (={text}) must be a whole number from 1 to 999999999")
    return int(text)
