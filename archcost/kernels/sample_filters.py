"""Weights to points and back, for Winograd's filtering along rows: G g, and G^T of the points' gradients.

A weight (outputs, inputs, rows, taps) becomes arrays (outputs, inputs, rows), one for each point.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import njit

from archcost.kernels import compiled
from archcost.kernels.layout import Array
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.sample_filtering_plan import RowTile
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit

UNIT = 128
"""Rows of a kernel of a unit."""


def combine_step(precision: Precision, tile: tuple[int, int], turned: bool) -> Any:
    """Return the step function that multiplies short vectors by G of a ``RowTile``, or by G^T if ``turned``."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)
    matrix = np.array(RowTile(*tile).filter, dtype)
    matrix = np.ascontiguousarray(matrix.T) if turned else matrix
    rows, columns = matrix.shape  # constants of the machine code, as the matrix is

    @njit(nogil=True)
    def combine(row: int, _thread: int, threads: int) -> None:
        """Write matrix x vector for each of many vectors.

        Arguments: vectors; addresses of the vectors and of the results, each with the steps in elements from vector to
        vector and within one.
        """
        words = numba.carray(integers(row), (40,), np.int64)
        vectors = words[1]
        source = numba.carray(view(words[2]), (vectors * columns,), dtype)
        target = numba.carray(view(words[5]), (vectors * rows,), dtype)
        unit = next_unit(row, -1, threads)
        while unit * UNIT < vectors:
            for vector in range(unit * UNIT, min(vectors, (unit + 1) * UNIT)):
                for line in range(rows):
                    total = dtype(0)
                    for column in range(columns):
                        total += matrix[line, column] * source[vector * words[3] + column * words[4]]
                    target[vector * words[6] + line * words[7]] = total
            unit = next_unit(row, unit, threads)

    return combine


def points_of(weight: Array, tile: RowTile, points: Array, precision: Precision) -> Step:
    """Return the step that sets ``points`` (points, outputs, inputs, rows) to G g.

    Args:
        weight: (outputs, inputs, rows, taps), contiguous.
        tile: of a row.
        points: the array to write.
        precision: element type.
    """
    vectors = weight.size // tile.taps
    steps = (weight.ctypes.data, tile.taps, 1, points.ctypes.data, 1, vectors)
    return _combined(tile, (vectors, *steps), precision, (weight, points), turned=False)


def weights_of(points: Array, tile: RowTile, weight: Array, precision: Precision) -> Step:
    """Return the step that sets ``weight`` to G^T of ``points``; shapes as in ``points_of``."""
    vectors = weight.size // tile.taps
    steps = (points.ctypes.data, 1, vectors, weight.ctypes.data, tile.taps, 1)
    return _combined(tile, (vectors, *steps), precision, (weight, points), turned=True)


def _combined(
    tile: RowTile, arguments: tuple[int, ...], precision: Precision, keep: tuple[Array, ...], *, turned: bool
) -> Step:
    function = compiled.address("step", "sample_filters", "combine_step", precision, tuple(tile), turned)
    return Step(function, arguments, keep)
