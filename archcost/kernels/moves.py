"""Elements by table: each output element is a copy of one input element, or a weighted sum of a few of them.

What moves axis by axis between maps goes through vectors (``movement``); here are the plain loops for every other
number of axes, and for what is not separable into channels, rows and columns.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from archcost.geometry import Shape, product
from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.places import (
    Places,
    array_places,
    cut_offsets,
    image_starts,
    line_width,
    lined,
    offsets_of,
    spare_lanes,
)
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import Precision
from archcost.kernels.units import lines_per_unit, next_unit

PIECE = 1024
"""Elements of a unit of weighted sums."""


def moves_step(precision: Precision) -> Any:
    """Return the step function that copies elements."""
    view = float32s if precision == "float32" else float64s

    @function
    def move_by_table(row: int, _thread: int, threads: int) -> None:
        """Copy the elements of every line.

        Arguments: lines, elements of a line, lines of a unit, whether to add, address of the constant; of the output
        and of the input address, table of lines, table of elements, its period.
        """
        words = integers(row)
        lines, width, together, adds = words[1], words[2], words[3], words[4]
        fill = view(words[5])[0]
        target, source = view(words[6]), view(words[10])
        starts = integers(words[7])
        elements = integers(words[8])
        source_starts = integers(words[11])
        source_elements = integers(words[12])
        unit = next_unit(row, -1, threads)
        while unit * together < lines:
            for line in range(unit * together, min(lines, (unit + 1) * together)):
                start, source_start = starts[line], source_starts[line]
                at, source_at = line % words[9] * width, line % words[13] * width
                for index in range(width):
                    place = start + elements[at + index]
                    origin = source_start + source_elements[source_at + index]
                    value = source[origin] if origin >= 0 else fill
                    target[place] = target[place] + value if adds else value
            unit = next_unit(row, unit, threads)

    return move_by_table


def moved_by_places(target: Places, source: Places, precision: Precision, *, adds: bool, fill: float = 0.0) -> Step:
    """Return the step that copies the elements of ``source`` (``fill`` where there is none) to those of ``target``."""
    constant = np.full(1, fill, precision)
    lines, width = len(target.outer), target.width
    arguments = (
        lines, width, lines_per_unit(lines, width), int(adds), int(constant.ctypes.data), *target.arguments,
        *source.arguments,
    )  # fmt: skip
    function = compiled.address("step", "moves", "moves_step", precision)
    return Step(function, arguments, (target, source, constant))


def lanes_cleared(tensor: Blocked, precision: Precision) -> list[Step]:
    """Return the step that sets the lanes beyond the channels to zero, if there are any: vector code computes them."""
    spare = spare_lanes(tensor)
    if not spare.size:
        return []
    width = spare.size
    nothing = lined(tensor, np.full(width, -1), width)
    return [moved_by_places(lined(tensor, spare, width), nothing, precision, adds=False)]


def moved(
    target: tuple[Blocked, Shape],
    source: tuple[Blocked, Shape],
    indices: Integers,
    precision: Precision,
    *,
    adds: bool = False,
    fill: float = 0.0,
    places: Integers | None = None,
) -> list[Step]:
    """Return the steps that set elements of ``target`` to those of ``source`` with the given numbers.

    Args:
        target: what is written, and its shape in the graph.
        source: what is read, and its shape.
        indices: for each element that is written the number of one that is read, in the order of the graph's axes, or
            a negative number for ``fill``.
        precision: element type.
        adds: add to the target.
        fill: the constant.
        places: numbers of the elements of ``target`` that are written, an array like ``indices``; None for all.
    """
    width = line_width(indices.shape)
    into = offsets_of(*target)
    into = into if places is None else into.ravel()[places.ravel()]
    out_of = np.where(
        indices < 0, -1, offsets_of(*source).ravel()[np.maximum(indices, 0).ravel()].reshape(indices.shape)
    )
    step = moved_by_places(
        lined(target[0], into, width), lined(source[0], out_of, width), precision, adds=adds, fill=fill
    )  # fmt: skip
    return [*([] if adds else lanes_cleared(target[0], precision)), step]


def filled(tensor: Blocked, shape: Shape, values: Array, indices: Integers, precision: Precision) -> list[Step]:
    """Return the steps that set every image of a tensor to elements of an array.

    Args:
        tensor: what is written.
        shape: the graph's.
        values: the array, contiguous.
        indices: for each element of the tensor the number of one of the array; of ``shape``.
        precision: element type.
    """
    width = line_width(shape)
    target = lined(tensor, offsets_of(tensor, shape), width)
    source = array_places(values, indices, width, tensor.images)
    return [*lanes_cleared(tensor, precision), moved_by_places(target, source, precision, adds=False)]


class Matrix(NamedTuple):
    """Weighted sums: output i is the sum over k from ``starts[i]`` to ``starts[i + 1]`` of weight x input.

    Attributes:
        starts: a number for each output, and one more.
        inputs: number of the input of each product.
        weights: its weight, float64.
    """

    starts: Integers
    inputs: Integers
    weights: Array

    @classmethod
    def of(cls, outputs: Integers, inputs: Integers, weights: Array, count: int) -> Matrix:
        """Return the matrix with ``count`` outputs of the products (output, input, weight), in their order."""
        order = np.argsort(outputs, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(outputs, minlength=count))])
        return cls(starts.astype(np.int64), inputs[order].astype(np.int64), weights[order].astype(np.float64))

    def transposed(self, count: int) -> Matrix:
        """Return the matrix that brings gradients back to the ``count`` inputs."""
        outputs = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        return Matrix.of(self.inputs, outputs, self.weights, count)


def weighted_step(precision: Precision) -> Any:
    """Return the step function of weighted sums."""
    view = float32s if precision == "float32" else float64s

    @function
    def sum_by_table(row: int, _thread: int, threads: int) -> None:
        """Compute every piece of every line.

        Arguments: lines, elements of a line, elements of a piece, whether to add; output, its table of lines and table
        of elements; input and its table of lines; starts, inputs and weights of a matrix.
        """
        words = integers(row)
        lines, width, piece, adds = words[1], words[2], words[3], words[4]
        target, source = view(words[5]), view(words[8])
        starts = integers(words[6])
        elements = integers(words[7])
        source_starts = integers(words[9])
        first = integers(words[10])
        inputs = integers(words[11])
        weights = float64s(words[12])
        pieces = (width + piece - 1) // piece
        unit = next_unit(row, -1, threads)
        while unit < lines * pieces:
            line = unit // pieces
            begin = (unit - line * pieces) * piece
            for index in range(begin, min(width, begin + piece)):
                total = 0.0
                for number in range(first[index], first[index + 1]):
                    total += weights[number] * source[source_starts[line] + inputs[number]]
                place = starts[line] + elements[index]
                target[place] = target[place] + total if adds else total
            unit = next_unit(row, unit, threads)

    return sum_by_table


def weighted(
    target: tuple[Blocked, Shape],
    source: tuple[Blocked, Shape],
    matrix: Matrix,
    precision: Precision,
    *,
    split: int = 0,
    adds: bool = False,
) -> list[Step]:
    """Return the steps that compute weighted sums on the axes from ``split`` on, the same at all places before."""
    into, out_of = (cut_offsets(*end, split) for end in (target, source))
    lines, starts = (
        np.ascontiguousarray((image_starts(end[0])[:, None] + offsets).ravel())
        for end, (offsets, _) in ((target, into), (source, out_of))
    )
    elements, inputs = np.ascontiguousarray(into[1]), np.ascontiguousarray(out_of[1][matrix.inputs])
    arguments = (
        len(lines), len(elements), PIECE, int(adds), target[0].address(), int(lines.ctypes.data),
        int(elements.ctypes.data), source[0].address(), int(starts.ctypes.data), int(matrix.starts.ctypes.data),
        int(inputs.ctypes.data), int(matrix.weights.ctypes.data),
    )  # fmt: skip
    function = compiled.address("step", "moves", "weighted_step", precision)
    step = Step(function, arguments, (target, source, lines, elements, starts, inputs, matrix))
    return [*([] if adds else lanes_cleared(target[0], precision)), step]


def brought_back(
    target: tuple[Blocked, Shape],
    gradient: tuple[Blocked, Shape],
    indices: Integers,
    precision: Precision,
    *,
    adds: bool,
) -> list[Step]:
    """Return the steps that bring gradients back to where ``indices`` took elements from; copies add up in order."""
    count, flat = product(target[1]), indices.ravel()
    outputs = np.flatnonzero(flat >= 0)
    inputs = flat[outputs]
    if len(inputs) == 0 or np.bincount(inputs).max() == 1:
        back = np.full(count, -1)
        back[inputs] = outputs
        return moved(target, gradient, back.reshape(target[1]), precision, adds=adds)
    split = _kept_axes(indices, target[1])
    leading = product(target[1][:split])
    within = indices.reshape(leading, -1)[0]
    outputs = np.flatnonzero(within >= 0)
    matrix = Matrix.of(within[outputs], outputs, np.ones(len(outputs)), count // leading)
    return weighted(target, gradient, matrix, precision, split=split, adds=adds)


def _kept_axes(indices: Integers, shape: Shape) -> int:
    """Return how many axes in front the elements keep their places on, so that one table of the others holds for all.

    The last axis is none of them: a table has at least one.
    """
    best, leading = 0, 1
    for axis, (size, kept) in enumerate(zip(indices.shape[:-1], shape[:-1])):
        leading *= size
        if size != kept:
            break
        lines = indices.reshape(leading, -1)
        first = np.arange(leading)[:, None] * (product(shape) // leading)
        if np.array_equal(np.where(lines >= 0, lines - first, -1), np.broadcast_to(lines[0], lines.shape)):
            best = axis + 1
    return best
