"""Weights to points and back, for Winograd's filtering along rows: G g, and G^T of the points' gradients.

A weight (outputs, inputs, rows, taps) becomes arrays (outputs, inputs, rows), one for each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.sample_filtering_plan import RowTile
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit
from archcost.kernels.vector import Code, Value
from archcost.kernels.winograd_transforms import combined

UNIT = 64
"""Rows of kernels of a unit."""

RECORD = ("rows", "weight", "points", "point_step", "part_step")
"""What a call reads: rows of kernels, the first one's taps, its first point, bytes to the next point, and to the points
of the next part."""


def filter_kernel(precision: Precision, tile: tuple[int, int], parts: int) -> Any:
    """Return the transform of some rows of kernels, one after the other, as an intrinsic.

    Args:
        precision: element type.
        tile: a ``RowTile``.
        parts: the gradient of so many parts of the points is added up and becomes the weight's; 0 for the way there.
    """

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, 1, precision)
            matrix = RowTile(*tile).filter
            values = dict(zip(RECORD, code.arguments(arguments[0], len(RECORD))))

            def points(place: Value) -> list[Value]:
                result = [place]
                for _ in range(len(matrix) - 1):
                    result.append(code.at(result[-1], values["point_step"]))
                return result

            def one(_: Value, places: list[Value]) -> Sequence[Value]:
                weight, first = places
                taps = [code.at(weight, number * code.element_bytes) for number in range(len(matrix[0]))]
                if parts:
                    starts = [first]
                    for _part in range(parts - 1):
                        starts.append(code.at(starts[-1], values["part_step"]))
                    sums = [reduce(code.add, map(code.load, same)) for same in zip(*map(points, starts))]
                    results, targets = combined(code, tuple(zip(*matrix)), sums), taps
                else:
                    results, targets = combined(code, matrix, [code.load(tap) for tap in taps]), points(first)
                for value, target in zip(results, targets):
                    code.store(value, target)
                return [code.at(weight, len(taps) * code.element_bytes), code.at(first, code.element_bytes)]

            code.repeat(values["rows"], one, [code.pointer(values[name]) for name in ("weight", "points")])
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def filters_step() -> Any:
    """Return the step function."""
    return transform_filters


@function
def transform_filters(row: int, _thread: int, threads: int) -> None:
    """Transform all rows of kernels.

    Arguments: kernel; rows; the weight, bytes of a row; points, bytes of one, to the next point and to the next part.
    """
    words = integers(row)
    rows = words[2]
    address = blank_record()
    record = integers(address)
    record[3], record[4] = words[7], words[8]
    unit = next_unit(row, -1, threads)
    while unit * UNIT < rows:
        record[0] = min(UNIT, rows - unit * UNIT)
        record[1] = words[3] + unit * UNIT * words[4]
        record[2] = words[5] + unit * UNIT * words[6]
        call_tile(words[1], address)
        unit = next_unit(row, unit, threads)


def points_of(weight: Array, tile: RowTile, points: Array, precision: Precision) -> Step:
    """Return the step that sets ``points`` to G g.

    Args:
        weight: (outputs, inputs, rows, taps), contiguous.
        tile: of a row.
        points: (points, outputs, inputs, rows), the array to write.
        precision: element type.
    """
    return _filters(weight, tile, points, 0, precision)


def weights_of(points: Array, tile: RowTile, weight: Array, precision: Precision) -> Step:
    """Return the step that sets ``weight`` to G^T of the sum of ``points``, (parts, points, outputs, inputs, rows)."""
    parts = points.size * tile.taps // (weight.size * tile.points)
    return _filters(weight, tile, points, parts, precision)


def _filters(weight: Array, tile: RowTile, points: Array, parts: int, precision: Precision) -> Step:
    rows, size = weight.size // tile.taps, weight.itemsize
    kernel = compiled.address("tile", "sample_filters", "filter_kernel", precision, tuple(tile), parts)
    arguments = (
        kernel, rows, weight.ctypes.data, tile.taps * size, points.ctypes.data, size, rows * size,
        tile.points * rows * size,
    )  # fmt: skip
    return Step(compiled.address("step", "sample_filters", "filters_step"), arguments, (weight, points))
