"""Where the rows of a convolution are filtered by Winograd's way, for tensors whose lanes are samples.

A row of outputs is cut into tiles of m, which take m + r - 1 products of each row of the kernel instead of m r. Along
one axis alone the transforms are short, which few channels need, and rounding stays near that of the direct sums.
"""

from __future__ import annotations

from typing import NamedTuple

from archcost.geometry import Pair
from archcost.kernels.layers import Layer
from archcost.kernels.winograd_plan import allowed
from archcost.kernels.winograd_transforms import Matrix, filter_matrix, input_matrix, output_matrix

POINTS: dict[int, tuple[float, ...]] = {
    4: (0, 1, -1),
    6: (0, 5 / 8, -5 / 8, 3 / 2, -3 / 2),
    8: (0, 1 / 2, -1 / 2, 1, -1, 2, -2),
}
"""Where polynomials are evaluated, beside infinity, by the number of products: of pairs of signs, those of the least
error (F(4, 5): five times that of direct sums)."""

SIDES = (2, 4)
"""Outputs of a tile that are considered."""

LONGEST = 8
"""Most tiles of a row: their code is written out."""

EFFICIENCY = 0.85
"""Speed of products of points, with few taps each, against that of direct sums."""

TRANSFORM_CYCLES = 6.0
"""Cycles to transform a point of a tile: operations, loads and stores."""

LEAST_GAIN = 1.1
"""Rows are filtered where that is so many times faster by the model."""


class RowTile(NamedTuple):
    """A tile of a row: F(outputs, taps).

    Attributes:
        outputs: outputs of a tile, m.
        taps: of a row of the kernel, r.
    """

    outputs: int
    taps: int

    @property
    def points(self) -> int:
        """Products of a tile."""
        return self.outputs + self.taps - 1

    def tiles(self, width: int) -> int:
        """Return how many tiles a row of ``width`` outputs has."""
        return -(-width // self.outputs)

    @property
    def input(self) -> Matrix:
        """B^T, points x points."""
        return input_matrix(POINTS[self.points])

    @property
    def filter(self) -> Matrix:
        """G, points x taps."""
        return filter_matrix(POINTS[self.points], self.taps)

    @property
    def output(self) -> Matrix:
        """A^T, outputs x points."""
        return output_matrix(POINTS[self.points], self.taps)


def row_tile(layer: Layer, size: Pair) -> RowTile | None:
    """Return the tiles that a convolution and its gradients are computed in; None where the direct way is faster.

    Args:
        layer: the convolution.
        size: height and width of its output.
    """
    window, filters = layer.window, layer.filters
    suits = window.stride == window.dilation == (1, 1) and not (layer.spreads or filters.connections)
    if not (suits and allowed()):
        return None
    rows, taps = window.kernel
    inputs, outputs = filters.inputs, filters.outputs
    pairs = inputs * outputs // filters.groups * rows
    overlap = (size[0] + rows - 1) / size[0]

    def cycles(tile: RowTile) -> float:
        points = tile.points * tile.tiles(size[1])
        return points * (pairs / EFFICIENCY + (overlap * inputs + outputs) * TRANSFORM_CYCLES)

    found = [RowTile(side, taps) for side in SIDES if side + taps - 1 in POINTS]
    found = [tile for tile in found if tile.tiles(size[1]) <= LONGEST]
    best = min(found, key=cycles, default=None)
    return best if best and cycles(best) * LEAST_GAIN < pairs * taps * size[1] else None


def products(layer: Layer, tile: RowTile, width: int, pairs_of_rows: int) -> int:
    """Return the multiply-adds of one image.

    Args:
        layer: the convolution.
        tile: of its rows.
        width: outputs of a row.
        pairs_of_rows: pairs of a row of a map and a row of the kernel that are multiplied.
    """
    channels = layer.filters.inputs * layer.filters.outputs // layer.filters.groups
    return channels * pairs_of_rows * tile.points * tile.tiles(width)
