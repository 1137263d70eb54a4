"""Sliding windows as tables: which part of an input axis each output position sees.

The windows are already cut at the borders, so that one step function serves strides, any padding, ceil mode, adaptive
windows, whole maps, and gradients: there, an input position sees the outputs whose windows hold it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from archcost.geometry import Pair, adaptive_window


class Window(NamedTuple):
    """The part of an input axis that one output position sees.

    Attributes:
        start: its first element.
        length: how many elements; 0 if none.
        divisor: this axis's factor of what a sum is divided by.
    """

    start: int
    length: int
    divisor: int


def sliding(size: int, outputs: int, kernel: int, stride: int, padding: Pair, include_padding: bool) -> list[Window]:
    """Return the windows of a pooling axis.

    With ``include_padding`` the divisor counts the taps on the padding, but not those that hang over it in ceil mode
    (PyTorch's rule).
    """
    windows = []
    for output in range(outputs):
        first = output * stride - padding[0]
        end = min(first + kernel, size + padding[1])
        start, stop = max(first, 0), min(end, size)
        windows.append(Window(start, stop - start, end - first if include_padding else stop - start))
    return windows


def adaptive(size: int, outputs: int) -> list[Window]:
    """Return the windows of an adaptive pooling axis; one output sees everything."""
    bounds = [adaptive_window(index, size, outputs) for index in range(outputs)]
    return [Window(first, end - first, end - first) for first, end in bounds]


def covering(windows: Sequence[Window], size: int, divisor: int = 1) -> list[Window]:
    """Return, for each of the ``size`` input positions, the window of the outputs whose windows hold it."""
    result = []
    for position in range(size):
        seen = [index for index, (start, length, _) in enumerate(windows) if start <= position < start + length]
        result.append(Window(seen[0] if seen else 0, len(seen), divisor))
    return result


def runs(windows: Sequence[Window]) -> list[tuple[int, ...]]:
    """Return outputs in runs: first, how many, step; first input, its step; length of the windows, divisor.

    Outputs of a run lie ``period`` apart: 1, or the stride where that makes fewer runs (a gradient of stride 2 has one
    pattern at even positions and another at odd ones).
    """
    readers = Counter(window.start for window in windows)
    usual = Counter(readers.values()).most_common(1)[0][0]
    return min((_runs(windows, period) for period in sorted({1, usual if len(readers) > 1 else 1})), key=len)


def _runs(windows: Sequence[Window], period: int) -> list[tuple[int, ...]]:
    result: list[list[int]] = []
    for phase in range(period):
        open_run: list[int] | None = None
        for position in range(phase, len(windows), period):
            start, length, divisor = windows[position]
            if open_run and open_run[5:] == [length, divisor]:
                moved = start - open_run[3] - open_run[4] * (open_run[1] - 1)
                if open_run[1] == 1 or moved == open_run[4]:
                    open_run[4] = moved
                    open_run[1] += 1
                    continue
            open_run = [position, 1, period, start, 0, length, divisor]
            result.append(open_run)
    return [tuple(run) for run in result]
