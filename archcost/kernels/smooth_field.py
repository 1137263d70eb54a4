"""Smooth random displacements over an image: uniform cubic B-splines of random vectors on a coarse grid.

A coarse grid of random vectors, interpolated with continuous curvature, takes the place of the Gaussian-smoothed field
of Simard, Steinkraus & Platt 2003 (Best Practices for Convolutional Neural Networks Applied to Visual Document
Analysis), at a fraction of its work. The weights of a B-spline are positive and sum to 1, so that no displacement is
larger than the largest vector.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from archcost.kernels.function import function
from archcost.kernels.random_numbers import normal, symmetric

Floats = npt.NDArray[np.float64]


@function
def spline_weights(at: float) -> tuple[float, float, float, float]:
    """Return the weights of the four vectors around a point that lies ``at`` in [0, 1] between the middle two."""
    square, cube, rest = at * at, at * at * at, 1.0 - at
    return (
        rest * rest * rest / 6.0,
        (3.0 * cube - 6.0 * square + 4.0) / 6.0,
        (-3.0 * cube + 3.0 * square + 3.0 * at + 1.0) / 6.0,
        cube / 6.0,
    )


@function
def draw_field(field: Floats, state: int, first: int, size: float, bounded: bool) -> None:
    """Fill a grid of vectors (points, points, 2) with random numbers.

    Args:
        field: where they go.
        state: stream of random numbers.
        first: number of the stream to start with; two for each vector.
        size: bound of the numbers, or their standard deviation.
        bounded: uniform numbers with ``size`` as bound rather than normal ones.
    """
    flat = field.reshape(-1)
    for index in range(flat.size):
        flat[index] = size * (symmetric(state, first + index) if bounded else normal(state, first + index))


@function
def field_line(field: Floats, down: float, line: Floats) -> None:
    """Interpolate a field's vectors along its first axis.

    Args:
        field: (points, points, 2).
        down: place on the first axis, from 0 to 1.
        line: what results, (points, 2).
    """
    cells = field.shape[0] - 3
    place = min(max(down, 0.0), 1.0) * cells
    cell = min(int(place), cells - 1)
    a, b, c, d = spline_weights(place - cell)
    for column in range(field.shape[1]):
        for axis in range(2):
            line[column, axis] = (
                a * field[cell, column, axis]
                + b * field[cell + 1, column, axis]
                + c * field[cell + 2, column, axis]
                + d * field[cell + 3, column, axis]
            )


@function
def on_line(line: Floats, across: float) -> tuple[float, float]:
    """Return the vector of an interpolated line (points, 2) at a place on it, from 0 to 1."""
    cells = line.shape[0] - 3
    place = min(max(across, 0.0), 1.0) * cells
    cell = min(int(place), cells - 1)
    a, b, c, d = spline_weights(place - cell)
    return (
        a * line[cell, 0] + b * line[cell + 1, 0] + c * line[cell + 2, 0] + d * line[cell + 3, 0],
        a * line[cell, 1] + b * line[cell + 1, 1] + c * line[cell + 2, 1] + d * line[cell + 3, 1],
    )


@function
def column_weights(columns: int, points: int) -> Floats:
    """Return how much each vector of a line counts at the middle of each column, (points, columns)."""
    weights, cells = np.zeros((points, columns)), points - 3
    for column in range(columns):
        place = (column + 0.5) / columns * cells
        cell = min(int(place), cells - 1)
        a, b, c, d = spline_weights(place - cell)
        weights[cell, column], weights[cell + 1, column] = a, b
        weights[cell + 2, column], weights[cell + 3, column] = c, d
    return weights


@function
def field_row(line: Floats, weights: Floats, height: float, width: float, row: Floats) -> None:
    """Interpolate a line's vectors (points, 2) at all columns: (2, columns), times height and width."""
    row[:, :] = 0.0
    for point in range(line.shape[0]):
        down, across = height * line[point, 0], width * line[point, 1]
        for column in range(row.shape[1]):
            row[0, column] += weights[point, column] * down
            row[1, column] += weights[point, column] * across
