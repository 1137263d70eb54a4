"""Documented figures that are proven by execution: the number is what was allocated or executed, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Literal, NamedTuple

from archcost.graph import Graph
from archcost.patterns import matches
from archcost.report.figures import Figure, documented
from archcost.report.formats import Table
from archcost.report.printed import Agreement
from archcost.report.stacks import build
from archcost.report.verify import Verification

HEADERS = ("id", "what", "stated", "counted by execution", "verdict", "executed network", "source")


class ByExecution(NamedTuple):
    """A figure and the network whose execution gives it.

    Attributes:
        figure: id in the data of the documented figures.
        model: name and options (``report.stacks.build``); weights do not depend on the size of the image.
        quantity: what is counted.
        only: pattern of the operators that count; all without one.
    """

    figure: str
    model: str
    quantity: Literal["params", "mult_adds"]
    only: str = "*"


FIGURES: tuple[ByExecution, ...] = (
    ByExecution("S-046", "vgg16 resolution=32", "params"),
    ByExecution("S-029", "bottleneck channels=192 size=28 reduced=16 filters=32 kernel=5", "mult_adds"),
    ByExecution("S-120", "convolution channels=256 size=8 filters=64 kernel=1", "params"),
    ByExecution("S-123", "bottleneck channels=256 size=8 reduced=64 filters=64 kernel=5", "params"),
    ByExecution("S-061", "convolution channels=3 size=6 filters=5 kernel=3 padding=valid", "mult_adds"),
    ByExecution("S-062", "separable channels=3 size=6 filters=5 kernel=3 padding=valid", "mult_adds", "depthwise"),
    ByExecution("S-063", "separable channels=3 size=6 filters=5 kernel=3 padding=valid", "mult_adds", "pointwise"),
)
"""The figures of the lecture notes that are of parameters and mult-adds: VGG-16, the Inception branch, the 1x1
bottleneck, the separable convolution."""


class Proof(NamedTuple):
    """A documented figure and what the execution counted for it.

    Attributes:
        figure: what is documented.
        model: the network that was executed.
        executed: what was counted.
        agreement: how the number agrees with the printed one; None if it does not.
        holds: whether it agrees, and the execution did what was computed.
    """

    figure: Figure
    model: str
    executed: int
    agreement: Agreement | None
    holds: bool


def proofs(run: Callable[[Graph], Verification], wanted: Iterable[ByExecution] = FIGURES) -> list[Proof]:
    """Return the figures with what their networks' executions counted.

    Args:
        run: executes a network.
        wanted: the figures.
    """
    figures, done = documented(), dict[str, Verification]()
    result = []
    for one in wanted:
        if one.model not in done:
            done[one.model] = run(build(one.model))
        verification, figure = done[one.model], figures[one.figure]
        rows = [row for row in verification.executed if matches(row.name, one.only)]
        counted = sum(getattr(row, one.quantity) for row in rows)
        agreement = figure.printed.agreement((Fraction(counted),)) if figure.printed else None
        agrees = agreement in ("exact", "rounds", "truncates")
        result.append(Proof(figure, one.model, counted, agreement, agrees and verification.holds))
    return result


def figures_table(found: Iterable[Proof]) -> Table:
    """Return one line for each figure."""
    rows = tuple(
        (
            one.figure.id,
            f"{one.figure.subject}: {one.figure.quantity}",
            f"{one.figure.stated}",
            one.executed,
            (one.agreement or "differs") if one.holds or one.agreement is None else "execution differs",
            one.model,
            one.figure.source,
        )
        for one in found
    )
    return Table("documented figures by execution", HEADERS, rows, "", (100, 60, 80, 90, 95, 30, 10))


def figures_dict(found: Iterable[Proof]) -> list[dict[str, object]]:
    """Return the figures as plain values."""
    return [
        {
            "id": one.figure.id,
            "source": one.figure.source,
            "subject": one.figure.subject,
            "quantity": one.figure.quantity,
            "stated": one.figure.stated,
            "model": one.model,
            "executed": one.executed,
            "agreement": one.agreement,
            "holds": one.holds,
        }
        for one in found
    ]
