"""What is computed of groups of elements that lie anywhere: softmax, normalisation, sums, extremes, in plain loops.

A line is a group: the elements along some axes of a tensor at one place of the others. Networks whose softmax or layer
norm goes along the channels of a map have vector code for it; this is for all other axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.places import Places
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision
from archcost.kernels.units import lines_per_unit, next_unit


@function
def _place_of_largest(line: Any, sign: float) -> int:
    """Return the first place of the largest element, or with ``sign`` -1 of the smallest; NaN counts as either."""
    place = 0
    for index in range(1, len(line)):
        is_beyond = sign * line[index] > sign * line[place]
        if is_beyond or (np.isnan(line[index]) and not np.isnan(line[place])):
            place = index
    return place


@function
def _total(line: Any) -> float:
    """Return the sum of a line."""
    total = 0.0
    for value in line:
        total += value
    return total


@function
def _products(first: Any, second: Any) -> float:
    """Return the sum of the products of two lines."""
    total = 0.0
    for index in range(len(first)):
        total += first[index] * second[index]
    return total


@function
def _exponentials(line: Any, result: Any) -> float:
    """Set ``result`` to the exponentials of what the elements are above the largest; return the largest."""
    largest: float = line[_place_of_largest(line, 1.0)]
    for index in range(len(line)):
        result[index] = np.exp(line[index] - largest)
    return largest


@function
def _softmax(lines: Any, _: float) -> None:
    """Set line 1 to the softmax of line 0."""
    _exponentials(lines[0], lines[1])
    total = _total(lines[1])
    for index in range(lines.shape[1]):
        lines[1, index] /= total


@function
def _softmax_gradient(lines: Any, _: float) -> None:
    """Set line 2 to the gradient, given the gradient of the output in line 0 and the output in line 1."""
    dot = _products(lines[0], lines[1])
    for index in range(lines.shape[1]):
        lines[2, index] = lines[1, index] * (lines[0, index] - dot)


@function
def _log_softmax(lines: Any, _: float) -> None:
    """Set line 1 to the logarithm of the softmax of line 0."""
    largest = _exponentials(lines[0], lines[1])
    total = largest + np.log(_total(lines[1]))
    for index in range(lines.shape[1]):
        lines[1, index] = lines[0, index] - total


@function
def _log_softmax_gradient(lines: Any, _: float) -> None:
    """Set line 2 to the gradient, given the gradient of the output in line 0 and the output in line 1."""
    total = _total(lines[0])
    for index in range(lines.shape[1]):
        lines[2, index] = lines[0, index] - np.exp(lines[1, index]) * total


@function
def _normalise(line: Any, eps: float) -> float:
    """Normalise a line in place; return 1 / its standard deviation."""
    mean = _total(line) / len(line)
    for index in range(len(line)):
        line[index] -= mean
    scale: float = 1.0 / np.sqrt(_products(line, line) / len(line) + eps)
    for index in range(len(line)):
        line[index] *= scale
    return scale


@function
def _layer_norm(lines: Any, eps: float) -> None:
    """Set line 3 to the normalised line 0 times the weight in line 1 plus the bias in line 2."""
    _normalise(lines[0], eps)
    for index in range(lines.shape[1]):
        lines[3, index] = lines[0, index] * lines[1, index] + lines[2, index]


@function
def _layer_norm_gradient(lines: Any, eps: float) -> None:
    """Set line 3 to the gradient, given that of the output in line 0, the input in line 1, the weight in line 2."""
    scale = _normalise(lines[1], eps)
    for index in range(lines.shape[1]):
        lines[0, index] *= lines[2, index]
    mean, product = _total(lines[0]) / lines.shape[1], _products(lines[0], lines[1]) / lines.shape[1]
    for index in range(lines.shape[1]):
        lines[3, index] = scale * (lines[0, index] - mean - lines[1, index] * product)


@function
def _normal_products(lines: Any, eps: float) -> None:
    """Set line 2 to the gradient in line 0 times the normalised line 1."""
    _normalise(lines[1], eps)
    for index in range(lines.shape[1]):
        lines[2, index] = lines[0, index] * lines[1, index]


@function
def _sum(lines: Any, factor: float) -> None:
    """Set the element of line 1 to the sum of line 0 times a factor."""
    lines[1, 0] = _total(lines[0]) * factor


@function
def _spread(lines: Any, factor: float) -> None:
    """Set line 1 to the element of line 0 times a factor."""
    for index in range(lines.shape[1]):
        lines[1, index] = lines[0, 0] * factor


@function
def _largest(lines: Any, sign: float) -> None:
    """Set the element of line 1 to the largest of line 0, or with ``sign`` -1 to the smallest."""
    lines[1, 0] = lines[0, _place_of_largest(lines[0], sign)]


@function
def _largest_gradient(lines: Any, sign: float) -> None:
    """Set line 2 to the element of line 0 where line 1 has its (first) largest or smallest, else to 0."""
    place = _place_of_largest(lines[1], sign)
    for index in range(lines.shape[1]):
        lines[2, index] = lines[0, 0] if index == place else 0.0


LINES: dict[str, tuple[int, Callable[..., None]]] = {
    "softmax": (2, _softmax),
    "softmax_gradient": (3, _softmax_gradient),
    "log_softmax": (2, _log_softmax),
    "log_softmax_gradient": (3, _log_softmax_gradient),
    "layer_norm": (4, _layer_norm),
    "layer_norm_gradient": (4, _layer_norm_gradient),
    "normal_products": (3, _normal_products),
    "sum": (2, _sum),
    "spread": (2, _spread),
    "largest": (2, _largest),
    "largest_gradient": (3, _largest_gradient),
}
"""Name -> tensors, of which the last is written, and what is done to a line of each, in float64."""


def along_step(precision: Precision, name: str) -> Any:
    """Return the step function of what ``LINES`` calls ``name``."""
    view = float32s if precision == "float32" else float64s
    tensors, compute = LINES[name]

    @function
    def run(row: int, _thread: int, threads: int) -> None:
        """Compute every line.

        Arguments: lines, their length, lines of a unit, whether to add; address of the number that belongs to the
        function; table of the tensors: address, table of lines, table of elements, elements of a line (its length, or
        1 for one element that holds for all).
        """
        words = integers(row)
        count, length, together, adds = words[1], words[2], words[3], words[4]
        number = float64s(words[5])[0]
        table = numba.carray(integers(words[6]), (tensors, 4), np.int64)
        lines = np.zeros((tensors, length))
        unit = next_unit(row, -1, threads)
        while unit * together < count:
            for line in range(unit * together, min(count, (unit + 1) * together)):
                for tensor in range(tensors):
                    values = view(table[tensor, 0])
                    start = integers(table[tensor, 1])[line]
                    size = table[tensor, 3]
                    places = integers(table[tensor, 2])
                    if tensor < tensors - 1:
                        for index in range(size):
                            lines[tensor, index] = values[start + places[index]]
                        for index in range(size, length):
                            lines[tensor, index] = lines[tensor, 0]
                        continue
                    compute(lines, number)
                    for index in range(size):
                        old = values[start + places[index]] if adds else 0.0
                        values[start + places[index]] = old + lines[tensor, index]
            unit = next_unit(row, unit, threads)

    return run


def along(name: str, tensors: Sequence[Places], precision: Precision, *, adds: bool = False, number: float = 0) -> Step:
    """Return the step that computes lines.

    Args:
        name: a name in ``LINES``.
        tensors: as many as it takes, of the same number of lines, all of one length or of a single element; the last
            one is written. A table of one line holds for all.
        precision: element type.
        adds: add to the last tensor.
        number: the function's own: eps of a norm, a factor, the sign of an extreme.
    """
    if any(one.period != 1 for one in tensors):
        raise ValueError("the elements of a line must lie at the same distances in all lines")
    count, length = max(len(one.outer) for one in tensors), max(one.width for one in tensors)
    starts: list[Integers] = [
        one.outer if len(one.outer) == count else np.ascontiguousarray(np.broadcast_to(one.outer, count))
        for one in tensors
    ]
    table = tabled([
        (one.address, int(start.ctypes.data), int(one.inner.ctypes.data), one.width)
        for one, start in zip(tensors, starts)
    ])  # fmt: skip
    numbers = np.array([number], np.float64)
    arguments = (
        count, length, lines_per_unit(count, 4 * length), int(adds), int(numbers.ctypes.data), int(table.ctypes.data)
    )  # fmt: skip
    function = compiled.address("step", "along", "along_step", precision, name)
    return Step(function, arguments, (*tensors, *starts, table, numbers))


def single(values: Array) -> Places:
    """Return places of one number, which holds for every element of every line."""
    zero = np.zeros(1, np.int64)
    return Places(int(values.ctypes.data), zero, zero, 1, values)
