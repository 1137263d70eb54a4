"""The gradient of a dense layer to its weights, for tensors whose lanes are samples.

    gradient[output, input] = sum over samples of output[sample] * input[sample]

The inputs are turned, so that a vector holds features of one sample. Then the sum is that of the micro-kernel of the
usual layout: the output's gradient is the number, read where it lies, and the gradient is written where it belongs.
Features that fill no whole vector are products of vectors, whose lanes are added up.
"""

from __future__ import annotations

import numpy as np

from archcost.kernels import compiled
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.microkernel import Tile
from archcost.kernels.panels import pieces
from archcost.kernels.plain import Steps
from archcost.kernels.sample_steps import Product, multiplied, pieces_of
from archcost.kernels.sample_tile import ProductTile
from archcost.kernels.samples import converted
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.weight_gradient import Call, Unit

ROWS, VECTORS = 5, 5
"""Outputs and vectors of features of a tile."""


def dense_weight_gradient(
    source: Blocked, output: Blocked, gradient: Array, machine: Target, precision: Precision
) -> list[Step]:
    """Return the steps that set ``gradient`` (outputs, features).

    Args:
        source: input of the layer.
        output: gradient of its output.
        gradient: the plain array to write.
        machine: which vectors there are.
        precision: element type.
    """
    size, lanes, groups = gradient.itemsize, source.lanes, source.images
    outputs, features = gradient.shape
    turned = aligned(groups * lanes * features, gradient.dtype)
    _, height, width = source.shape
    steps = Steps(features * size, height * width * size, width * size, size)
    result = converted("read", source, turned, steps, machine, precision)
    whole = features // lanes
    units, calls = [], []
    first = 0
    for count in pieces(outputs, min(ROWS, outputs)):
        start = 0
        for vectors in pieces(whole, min(VECTORS, whole)):
            tile = Tile(
                count, vectors, 1, output.block_step, size, features * size, min(lanes, 8), weight_step=features * size
            )
            kernel = compiled.address("tile", "tiles", "tile_kernel", machine.name, precision, "Identity", *tile)
            calls.append(tabled([Call(0, 0, 0, kernel)]))
            place = (first * features + start * lanes) * size
            units.append(
                Unit(
                    first * output.block_step, start * lanes * size, place, int(calls[-1].ctypes.data), 1, lanes * size
                )
            )
            start += vectors
        first += count
    offsets = [np.arange(groups) * step for step in (output.image_step, lanes * features * size)]
    places: list[Integers] = [np.ascontiguousarray(offset, np.int64) for offset in offsets]
    zeros, table = aligned(VECTORS * lanes, gradient.dtype), tabled(units)
    arguments = (
        len(table), table.ctypes.data, 1, groups, *(int(place.ctypes.data) for place in places), groups, lanes,
        output.address(), turned.ctypes.data, gradient.ctypes.data, 0, zeros.ctypes.data, 0, lanes * size,
    )  # fmt: skip
    function = compiled.address("step", "weight_gradient", "weight_step")
    keep = (table, *calls, *places, zeros, turned, output, gradient)
    done = whole * lanes * outputs * groups * lanes
    result.append(Step(function, tuple(map(int, arguments)), keep, mult_adds=done, for_weights=True))
    if features % lanes:
        result.append(_rest(source, output, gradient, whole * lanes, machine, precision))
    return result


def _rest(source: Blocked, output: Blocked, gradient: Array, first: int, machine: Target, precision: Precision) -> Step:
    """Return the step of the features from ``first`` on."""
    size, (outputs, features) = gradient.itemsize, gradient.shape
    lines = np.zeros((source.images, 2), np.int64)
    lines[:, 0] = np.arange(source.images) * output.image_step
    lines[:, 1] = np.arange(source.images) * source.image_step
    _, height, width = source.shape
    is_line = not any(map(any, source.halo))
    shape = pieces_of(outputs, features - first if is_line else 1, machine)
    products = []
    feature = first
    for columns in pieces(features - first, shape.width):
        channel, position = divmod(feature, height * width)
        row, column = divmod(position, width)
        second = source.address(row, column) + channel * source.block_step
        number = 0
        for rows in pieces(outputs, shape.height):
            tile = ProductTile(rows, columns, output.block_step, source.pixel_step, 0, 0, features * size, size)
            place = int(gradient.ctypes.data) + (number * features + feature) * size
            products.append(Product(output.address() + number * output.block_step, second, place, lines, 1, tile))
            number += rows
        feature += columns
    executed = outputs * (features - first) * source.images * source.lanes
    return multiplied(products, machine, precision, (source, output, gradient), executed)
