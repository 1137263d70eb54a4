"""The transforms of Winograd's minimal filtering for 3x3 kernels, as vector code.

    Y = A^T [ (G g G^T) * (B^T d B) ] A

A tile of m x m outputs takes (m + 2)^2 products of channels instead of 9 m^2: 16 instead of 36 for F(2x2, 3x3), 36
instead of 144 for F(4x4, 3x3) (Lavin & Gray 2016, Fast Algorithms for Convolutional Neural Networks). The matrices
follow from the points at which polynomials are multiplied (Toom and Cook; Blahut 2010, section 5.2). The vectors are
channels, so that a transform is a few additions of whole pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels.elementary import epilogue_of
from archcost.kernels.target import TARGETS, Precision
from archcost.kernels.vector import Code, Value

Matrix = tuple[tuple[float, ...], ...]

POINTS: dict[int, tuple[float, ...]] = {2: (0, 1, -1), 4: (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)}
"""Where the polynomials are evaluated, beside infinity, by the outputs m of a tile's side.

Those usual for m = 4, (0, 1, -1, 2, -2), make three times the error. Of pairs of signs with few binary digits, which
leave the matrices exact, these make the least; pairs of signs let two rows share their sums.
"""


def input_matrix(points: tuple[float, ...]) -> Matrix:
    """Return B^T: row j holds the coefficients of the product of (x - p) over all points p but the j-th."""
    rows = [np.poly([other for other in points if other != point])[::-1].tolist() for point in points]
    return (*((*row, 0.0) for row in rows), tuple(np.poly(points)[::-1].tolist()))


def filter_matrix(points: tuple[float, ...], taps: int = 3) -> Matrix:
    """Return G: powers of each point, over the product of its distances from the others."""
    distances = [math.prod(point - other for other in points if other != point) for point in points]
    rows = [tuple(point**power / distance for power in range(taps)) for point, distance in zip(points, distances)]
    return (*rows, (*[0.0] * (taps - 1), 1.0))


def output_matrix(points: tuple[float, ...], taps: int = 3) -> Matrix:
    """Return A^T: powers of the points."""
    last = len(points) + 1 - taps
    return tuple((*(point**power for point in points), float(power == last)) for power in range(last + 1))


INPUT = {outputs: input_matrix(points) for outputs, points in POINTS.items()}
"""B^T by the outputs m of a tile's side."""

FILTER = {outputs: filter_matrix(points) for outputs, points in POINTS.items()}
"""G by the outputs m of a tile's side."""

OUTPUT = {outputs: output_matrix(points) for outputs, points in POINTS.items()}
"""A^T by the outputs m of a tile's side."""


def combined(code: Code, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    """Return ``matrix`` x ``values``, where zeros and ones cost nothing.

    Two columns that differ in the signs of some places alone multiply sum and difference of their values; two such rows
    are sum and difference of the same two parts.
    """
    matrix, values = _folded(code, matrix, values)
    result: list[Value | None] = [None] * len(matrix)
    for index, row in enumerate(matrix):
        if result[index] is not None:
            continue
        partner = _mirrored(matrix, index)
        if partner is None:
            result[index] = _sum(code, row, values)
            continue
        same = [a if a == b else 0.0 for a, b in zip(row, matrix[partner])]
        turned = [a if a != b else 0.0 for a, b in zip(row, matrix[partner])]
        one, other = _sum(code, same, values), _sum(code, turned, values)
        result[index], result[partner] = code.add(one, other), code.sub(one, other)
    return result


def _folded(code: Code, matrix: Matrix, values: Sequence[Value]) -> tuple[Matrix, list[Value]]:
    """Replace the values of two columns of the same magnitudes by their sum and difference."""
    columns, folded = [*zip(*matrix)], list(values)
    for index in range(len(columns)):
        partner = _mirrored(tuple(columns), index)
        if partner is not None:
            one, other = columns[index], columns[partner]
            columns[index] = tuple(a if a == b else 0.0 for a, b in zip(one, other))
            columns[partner] = tuple(a if a != b else 0.0 for a, b in zip(one, other))
            first, second = folded[index], folded[partner]
            folded[index], folded[partner] = code.add(first, second), code.sub(first, second)
    return tuple(zip(*columns)), folded


def _mirrored(matrix: Matrix, index: int) -> int | None:
    """Return a later row of the same magnitudes, of which some signs differ and some do not; None if there is none."""
    row = matrix[index]
    for other in range(index + 1, len(matrix)):
        pairs = [(a, b) for a, b in zip(row, matrix[other]) if a or b]
        if all(abs(a) == abs(b) for a, b in pairs) and {a == b for a, b in pairs} == {True, False}:
            return other
    return None


def _sum(code: Code, row: Sequence[float], values: Sequence[Value]) -> Value:
    """Return the sum of factor x value."""
    terms = [(factor, value) for factor, value in zip(row, values) if factor]
    if not terms:
        return code.constant(0)
    terms.sort(key=lambda term: term[0] != 1)  # begin with what is taken as it is
    factor, value = terms[0]
    total = value if factor == 1 else code.mul(code.constant(factor), value)
    for factor, value in terms[1:]:
        if factor in (1, -1):
            total = code.add(total, value) if factor == 1 else code.sub(total, value)
        else:
            total = code.fma(code.constant(factor), value, total)
    return total


def both_sides(code: Code, matrix: Matrix, grid: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """Return matrix x grid x matrix^T, as rows."""
    columns = [combined(code, matrix, column) for column in zip(*grid)]
    return [combined(code, matrix, row) for row in zip(*columns)]


FILTER_ARGUMENTS = ("rounds", "taps", "tap_step", "points", "point_step", "points_round_step")
"""What a call of the transform of weights reads: one vector of lanes for each tap and round of the depth."""


def filter_kernel(target: str, precision: Precision, outputs: int) -> Any:
    """Return G g G^T of the 3x3 kernels of some rounds of the depth, as an intrinsic."""
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(FILTER_ARGUMENTS, code.arguments(arguments[0], len(FILTER_ARGUMENTS))))

            def one(_: Value, places: list[Value]) -> list[Value]:
                taps, tap = [], places[0]
                for _tap in range(9):
                    taps.append(code.load(tap))
                    tap = code.at(tap, values["tap_step"])
                point = places[1]
                for row in both_sides(code, FILTER[outputs], [taps[:3], taps[3:6], taps[6:]]):
                    for value in row:
                        code.store(value, point)
                        point = code.at(point, values["point_step"])
                return [code.at(places[0], code.vector_bytes), code.at(places[1], values["points_round_step"])]

            code.repeat(values["rounds"], one, [code.pointer(values["taps"]), code.pointer(values["points"])])
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


INPUT_ARGUMENTS = ("blocks", "input", "row_step", "block_step", "points", "point_step", "points_block_step")
"""What a call of the input transform reads: one tile, all blocks of channels."""


def input_kernel(target: str, precision: Precision, outputs: int) -> Any:
    """Return B^T d B of one tile for every block of channels, as an intrinsic."""
    lanes = TARGETS[target].lanes(precision)
    side = outputs + 2

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(INPUT_ARGUMENTS, code.arguments(arguments[0], len(INPUT_ARGUMENTS))))

            def block(_: Value, places: list[Value]) -> list[Value]:
                line, grid = places[0], []
                for _row in range(side):
                    grid.append([code.load(line, pixel * code.vector_bytes) for pixel in range(side)])
                    line = code.at(line, values["row_step"])
                point = places[1]
                for row in both_sides(code, INPUT[outputs], grid):
                    for value in row:
                        code.store(value, point)
                        point = code.at(point, values["point_step"])
                return [code.at(places[0], values["block_step"]), code.at(places[1], values["points_block_step"])]

            code.repeat(values["blocks"], block, [code.pointer(values["input"]), code.pointer(values["points"])])
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


OUTPUT_ARGUMENTS = (
    "blocks", "points", "point_step", "points_block_step", "output", "row_step", "block_step", "residual",
    "residual_row_step", "residual_block_step", "bias",
)  # fmt: skip
"""What a call of the output transform reads: one tile, some blocks of channels; a residual of 0 means none."""


def output_kernel(target: str, precision: Precision, activation: str, outputs: int, rows: int, columns: int) -> Any:
    """Return activation(A^T M A + bias + residual) of one tile, of which ``rows`` x ``columns`` are written."""
    lanes = TARGETS[target].lanes(precision)
    side = outputs + 2

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(OUTPUT_ARGUMENTS, code.arguments(arguments[0], len(OUTPUT_ARGUMENTS))))
            has_residual = builder.icmp_signed("!=", values["residual"], code.int(0))

            def block(_: Value, places: list[Value]) -> list[Value]:
                points, output, residual, bias = places
                grid, point = [], points
                for _row in range(side):
                    line = []
                    for _column in range(side):
                        line.append(code.load(point))
                        point = code.at(point, values["point_step"])
                    grid.append(line)
                start = code.load(bias)
                sums = [
                    code.add(value, start)
                    for row in both_sides(code, OUTPUT[outputs], grid)[:rows]
                    for value in row[:columns]
                ]

                def added() -> list[Value]:
                    result, line = [], residual
                    for row in range(rows):
                        for column in range(columns):
                            shortcut = code.load(line, column * code.vector_bytes)
                            result.append(code.add(sums[row * columns + column], shortcut))
                        line = code.at(line, values["residual_row_step"])
                    return result

                line = output
                for index, value in enumerate(code.choose(has_residual, added, sums)):
                    code.store(epilogue_of(activation)(code, value), line, index % columns * code.vector_bytes)
                    if index % columns == columns - 1:
                        line = code.at(line, values["row_step"])
                steps = ("points_block_step", "block_step", "residual_block_step")
                return [
                    *(code.at(place, values[step]) for place, step in zip(places, steps)),
                    code.at(bias, code.vector_bytes),
                ]

            starts = [code.pointer(values[name]) for name in ("points", "output", "residual", "bias")]
            code.repeat(values["blocks"], block, starts)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation
