"""A program: steps as tables that the threads run without returning to Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from archcost.engine.team import Team
from archcost.kernels.step import WORDS, Step

FIRST_ARGUMENT = 1
"""Column of a step's first argument: the counter stands before it."""


class Argument(NamedTuple):
    """An argument of a program's step that is an address in an array.

    Attributes:
        words: the arguments of the program.
        place: number of this one.
        offset: bytes from the start of the array.
        column: place in its row.
    """

    words: memoryview
    place: int
    offset: int
    column: int


class Program:
    """A sequence of steps, ready to run any number of times.

    Args:
        steps: what to do, in order; each step starts when all threads have ended the one before it.

    Attributes:
        mult_adds: multiply-adds that a run executes (``Step.mult_adds``).
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)
        self.mult_adds = sum(step.mult_adds for step in steps)
        self._addresses = np.array([step.function for step in steps], np.int64)
        self._rows = np.zeros((len(steps), WORDS), np.int64)
        # Counters lie on cache lines of their own: two threads take units at the same time.
        self._counters = np.zeros((len(steps), 8), np.int64)
        for index, step in enumerate(steps):
            self._rows[index, 0] = self._counters[index].ctypes.data
            self._rows[index, 1 : 1 + len(step.arguments)] = step.arguments
        # As ``kernels.serving`` names them.
        self._task = np.array(
            [
                self._addresses.ctypes.data, self._rows.ctypes.data, self._rows.strides[0], len(steps),
                self._counters.ctypes.data, self._counters.nbytes,
            ],
            np.int64,
        )  # fmt: skip
        self._place = int(self._task.ctypes.data)

    def arguments_in(self, array: np.ndarray[Any, Any]) -> list[Argument]:
        """Return the arguments that are addresses of elements of ``array``."""
        start = array.ctypes.data
        rows, columns = np.nonzero((self._rows >= start) & (self._rows < start + array.nbytes))
        words = self._rows.reshape(-1).data
        return [
            Argument(words, int(row) * WORDS + int(column), int(self._rows[row, column]) - start, int(column))
            for row, column in zip(rows, columns)
        ]

    def run(self, team: Team) -> None:
        """Run all steps on the threads of ``team``; only one run of a program at a time."""
        if self.steps:
            team.run(self._place)


def grouped(steps: Sequence[Step]) -> list[tuple[str, list[Step]]]:
    """Return the steps of each node, in the order of the first."""
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.name, []).append(step)
    return list(groups.items())
