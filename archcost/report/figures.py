"""The documented figures: one record for each line of ``archcost/data/figures.csv``."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.resources import files
from typing import Literal, NamedTuple, cast

from archcost.errors import UsageError
from archcost.report.printed import APPROXIMATE, Printed, read_printed

Verb = Literal["gives", "misses", "below"]

NO_NUMBER = "-"
"""Value of a figure whose source prints no number."""

_CHECK = re.compile(r"(?P<expression>.+?)\s+(?P<verb>gives|misses|below)(?:\s+(?P<target>\S.*))?")


class Check(NamedTuple):
    """A computation that proves what a figure's sentence says.

    Attributes:
        expression: what is computed.
        verb: it gives a figure's number, misses it, or is below another expression.
        target: id of the figure (empty for the one that the check belongs to), or the other expression.
    """

    expression: str
    verb: Verb
    target: str


@dataclass(frozen=True)
class Figure:
    """A documented figure; the columns are explained in ``archcost.data``."""

    id: str
    source: str
    subject: str
    quantity: str
    stated: str
    value: str
    unit: str
    rounding: str
    model: str
    measure: str
    because: str
    note: str
    checks: str

    @cached_property
    def printed(self) -> Printed | None:
        """The numbers that the source prints; None if it prints none.

        Raises:
            UsageError: if they cannot be read, or a tolerance is given where the source does not say "about".
        """
        if self.value == NO_NUMBER:
            return None
        if self.rounding.startswith("about") and not APPROXIMATE.search(self.stated):
            raise UsageError(f"{self.id}: the source does not call {self.stated!r} approximate")
        try:
            return read_printed(self.value or self.stated, self.unit, self.rounding)
        except UsageError as error:
            raise UsageError(f"{self.id}: {error}") from None

    @cached_property
    def proofs(self) -> tuple[Check, ...]:
        """The checks. Raises UsageError if one cannot be read."""
        return tuple(self._proof(text.strip()) for text in self.checks.split(";") if text.strip())

    def _proof(self, text: str) -> Check:
        found = _CHECK.fullmatch(text)
        if found is None or (found["verb"] == "below" and not found["target"]):
            raise UsageError(f"{self.id}: {text!r} is no check")
        return Check(found["expression"], cast("Verb", found["verb"]), found["target"] or "")

    @property
    def is_cost(self) -> bool:
        """Whether there is anything to compute."""
        return bool(self.measure)

    @property
    def is_lecture(self) -> bool:
        """Whether it is one of the lecture notes."""
        return self.id.startswith("S-")


COLUMNS = tuple(field.name for field in fields(Figure))


def read_figures(text: str) -> dict[str, Figure]:
    """Return the figures of a CSV text by their ids, in its order.

    Raises:
        UsageError: for other columns than ``COLUMNS``, a line of another length, or an id that occurs twice.
    """
    lines = csv.reader(text.splitlines())
    if tuple(next(lines, ())) != COLUMNS:
        raise UsageError(f"the figures must have the columns {','.join(COLUMNS)}")
    figures: dict[str, Figure] = {}
    for line in lines:
        if len(line) != len(COLUMNS):
            raise UsageError(f"{line[0] if line else 'an empty line'}: {len(line)} columns, not {len(COLUMNS)}")
        figure = Figure(*line)
        if figure.id in figures:
            raise UsageError(f"{figure.id}: the id is used twice")
        figures[figure.id] = figure
    return figures


def documented() -> dict[str, Figure]:
    """Return the figures of the package's own data."""
    return read_figures(files("archcost.data").joinpath("figures.csv").read_text(encoding="utf-8"))
