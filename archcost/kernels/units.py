"""How the threads share a step: they take units from its counter until none is left.

A unit computes the same numbers whoever takes it, and nobody else writes where it writes, so that results do not depend
on the number of threads.
"""

from __future__ import annotations

from archcost.kernels.function import function
from archcost.kernels.machine import integers, take


@function
def argument(row: int, index: int) -> int:
    """Return argument ``index`` of a step (the counter is not counted)."""
    words: int = integers(row)[index + 1]
    return words


@function
def next_unit(row: int, previous: int, threads: int) -> int:
    """Return the next unit for this thread; ``previous`` is -1 at first."""
    if threads == 1:
        return previous + 1
    counter = integers(row)[0]
    taken: int = take(counter, 1)
    return taken


@function
def next_near(row: int, previous: int, thread: int, threads: int, units: int) -> int:
    """Return the next unit for this thread, near its last one; ``units`` if none is left.

    Two threads take them from both ends, so that each goes on with the part of a map that it has written in the layer
    before, which its own cache still holds. What one has done more than the other, it takes from the middle.
    """
    if threads == 1:
        return previous + 1
    counter = integers(row)[0]
    taken: int = take(counter, 1)
    if taken >= units:
        return units
    if threads != 2:
        return taken
    if thread == 0:
        return previous + 1
    return previous - 1 if previous >= 0 else units - 1


LEAST_WORK = 4096
"""Vector operations of a unit: a microsecond or so, many times what it costs to take a unit."""


def lines_per_unit(lines: int, work: int) -> int:
    """Return how many of ``lines`` form a unit, if a line takes ``work`` vector operations.

    Units are large enough to be worth taking and, where that allows it, at least sixteen.
    """
    return max(1, min(-(-lines // 16), -(-LEAST_WORK // max(1, work))))
