"""What a network takes images for: classes with their probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from archcost.report.formats import Cell, Table

SCHEMA = "archcost.predict/1"


class Guess(NamedTuple):
    """One class that an image may be of.

    Attributes:
        number: of the class, from 0.
        label: its name; empty if nobody has given one.
        probability: from 0 to 1.
    """

    number: int
    label: str
    probability: float


Predictions = Mapping[str, Sequence[Guess]]
"""Image file -> classes, the most probable first."""


def best(probabilities: Sequence[float], labels: Sequence[str], count: int) -> list[Guess]:
    """Return the ``count`` most probable classes; of equal ones the first."""
    order = sorted(range(len(probabilities)), key=lambda index: -probabilities[index])
    return [Guess(index, labels[index] if labels else "", float(probabilities[index])) for index in order[:count]]


def predictions_table(title: str, found: Predictions, notes: str = "") -> Table:
    """Return predictions as a table; without the column of labels if there are none."""
    named = any(guess.label for guesses in found.values() for guess in guesses)
    rows: list[tuple[Cell, ...]] = []
    for image, guesses in found.items():
        for rank, guess in enumerate(guesses):
            label = (guess.label,) if named else ()
            rows.append((image if rank == 0 else "", guess.number, *label, f"{100 * guess.probability:.2f}%"))
    headers = ("image", "class", *(("label",) if named else ()), "probability")
    return Table(title, headers, tuple(rows), notes)


def predictions_dict(model: str, found: Predictions) -> dict[str, object]:
    """Return predictions as plain values: the schema ``archcost.predict/1``."""
    images = [{"image": image, "classes": [guess._asdict() for guess in guesses]} for image, guesses in found.items()]
    return {"schema": SCHEMA, "model": model, "images": images}
