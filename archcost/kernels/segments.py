"""Flat arrays: ranges of them that are treated alike, and how they are cut into windows for the threads.

Windows begin at fixed places and cover whole cache lines; what a window computes does not depend on the thread that
takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.kernels.step import Integers, tabled

WINDOWS = 16
"""Units that an array is cut into, if it is long enough."""

LEAST_ELEMENTS, MOST_ELEMENTS = 2048, 32768
"""Sizes of a window: a microsecond of work at least; with all states, at most what the second cache level holds."""


class Segment(NamedTuple):
    """A range of the flat arrays, such as one parameter; elements outside of all segments are left alone.

    Attributes:
        start: first element.
        stop: one past the last.
        penalty: factor of the L1 and L2 penalties here; 0 for biases and normalisation by the usual practice.
        decay: factor of the weight decay here.
    """

    start: int
    stop: int
    penalty: float = 1.0
    decay: float = 1.0


class Windows(NamedTuple):
    """An array cut into units of work.

    Attributes:
        ranges: first element, elements, and number of the segment, of every range.
        firsts: the first range of each window, and one past the last range of all.
        factors: penalty and decay of each segment.
    """

    ranges: Integers
    firsts: Integers
    factors: npt.NDArray[np.float64]

    @classmethod
    def of(cls, elements: int, segments: Sequence[Segment] | None) -> Windows:
        """Return the windows of an array; ``segments`` lie in order and do not overlap, None is one of all elements."""
        segments = [Segment(0, elements)] if segments is None else segments
        size = min(MOST_ELEMENTS, max(LEAST_ELEMENTS, -(-elements // WINDOWS)))
        size = -(-size // 64) * 64
        rows: list[tuple[int, int, int]] = []
        firsts, index = [0], 0
        for start in range(0, elements, size):
            stop = start + size
            while index < len(segments) and segments[index].start < stop:
                low, high = max(start, segments[index].start), min(stop, segments[index].stop)
                if low < high:
                    rows.append((low, high - low, index))
                if segments[index].stop > stop:
                    break
                index += 1
            firsts.append(len(rows))
        factors = np.array([(segment.penalty, segment.decay) for segment in segments] or [(0, 0)], np.float64)
        return cls(tabled(rows or [(0, 0, 0)]), np.array(firsts, np.int64), factors)

    @property
    def arguments(self) -> tuple[int, int, int]:
        """What a step needs to know: how many windows, the table of ranges, that of the windows' first ranges."""
        return len(self.firsts) - 1, address(self.ranges), address(self.firsts)


def address(array: npt.NDArray[Any]) -> int:
    """Return where an array lies."""
    return int(array.ctypes.data)
