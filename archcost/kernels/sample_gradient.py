"""The gradient of a convolution to its weights, for tensors whose lanes are samples.

    gradient[output, input, tap] = sum over samples and positions of output[position] * input[position at the tap]

Both factors are vectors, whose lanes are added up once, at the end. A unit is some outputs and some taps of a row of
the kernel; where these are few, the lines of positions are cut into parts with sums of their own.
"""

from __future__ import annotations

import numpy as np

from archcost.kernels.accumulate import accumulated
from archcost.kernels.field import Field
from archcost.kernels.layers import Layer
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.panels import pieces
from archcost.kernels.passes import Window, forward_halo, forward_pass, with_halo
from archcost.kernels.plain_weights import Weights
from archcost.kernels.sample_steps import Product, multiplied, pieces_of
from archcost.kernels.sample_tile import ProductTile
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import Precision, Target

UNITS = 16
"""Fewest units, if the lines allow it."""

ROWS_OF_BIASES = 8
"""Channels of a tile of sums."""


def weight_gradient(
    layer: Layer,
    source: Blocked,
    output: Blocked,
    gradient: Array,
    bias: Array | None,
    machine: Target,
    precision: Precision,
) -> list[Step]:
    """Return the steps that set ``gradient`` to the sums over all samples and positions, and ``bias`` likewise.

    Args:
        layer: the convolution.
        source: its input.
        output: gradient of its output.
        gradient: the plain array to write.
        bias: that of the bias; None if none is wanted.
        machine: which vectors there are.
        precision: element type.
    """
    window = layer.window
    steps, source = with_halo(source, forward_halo(window, source.shape[1:], output.shape[1:]), machine, precision)
    field = forward_pass(window, source, output, None).field
    weights = Weights(0, layer.filters, gradient.itemsize)
    columns = window.kernel[1]
    shape = pieces_of(weights.outputs, columns, machine)
    units = layer.filters.groups * weights.inputs * window.kernel[0]
    units *= len(pieces(weights.outputs, shape.height)) * len(pieces(columns, shape.width))
    lines = _lines(field)
    parts = min(len(lines), -(-UNITS // units))
    arrays = _with_parts(gradient, parts)
    biases = _with_parts(bias, parts) if bias is not None else []
    products = []
    for part, sums in enumerate(arrays):
        own = np.ascontiguousarray(lines[part * len(lines) // parts : (part + 1) * len(lines) // parts])
        for first, second, offset, rows, taps in _tiles(layer, weights, output, source, shape):
            tile = ProductTile(
                rows, taps, output.block_step, window.dilation[1] * source.pixel_step, field.target.pixel_step,
                field.source.pixel_step, weights.offset(1), weights.size,
            )  # fmt: skip
            place = int(sums.ctypes.data) + offset
            products.append(
                Product(field.target.address + first, field.source.address + second, place, own, field.columns, tile)
            )
        if biases:
            products += bias_products(output, biases[part], own)
    executed = gradient.size * len(lines) * field.columns * machine.lanes(precision)
    steps.append(multiplied(products, machine, precision, (source, output, arrays, biases), executed))
    return steps + [accumulated(all_[0], part, precision) for all_ in (arrays, biases) for part in all_[1:]]


def _with_parts(total: Array, parts: int) -> list[Array]:
    """Return an array and others of its size for parts of what is to be summed."""
    return [total, *(aligned(total.size, total.dtype) for _ in range(parts - 1))]


def _tiles(
    layer: Layer, weights: Weights, output: Blocked, source: Blocked, shape: tuple[int, int]
) -> list[tuple[int, int, int, int, int]]:
    """Return the tiles of a weight's gradient: some outputs x some taps of a row of the kernel.

    Each is (byte offset in the output's gradient, in the input, in the weight's gradient, outputs, taps).
    """
    result = []
    window = layer.window
    for group in range(layer.filters.groups):
        for channel in range(weights.inputs):
            for row in range(window.kernel[0]):
                tap = 0
                for taps in pieces(window.kernel[1], shape[1]):
                    number = group * weights.outputs
                    place = (group * weights.inputs + channel) * source.block_step
                    place += row * window.dilation[0] * source.row_step + tap * window.dilation[1] * source.pixel_step
                    for rows in pieces(weights.outputs, shape[0]):
                        offset = weights.offset(number, channel, row * window.kernel[1] + tap)
                        result.append((number * output.block_step, place, offset, rows, taps))
                        number += rows
                    tap += taps
    return result


def bias_gradient(output: Blocked, gradient: Array, machine: Target, precision: Precision) -> list[Step]:
    """Return the step that sets ``gradient`` to the sums of the output's gradient."""
    products = bias_products(output, gradient, output_lines(output))
    return [multiplied(products, machine, precision, (output, gradient), 0)]


def bias_products(output: Blocked, sums: Array, lines: Integers, *, adds: bool = False) -> list[Product]:
    """Return the tiles that sum rows of the output's gradient: its products with ones.

    Args:
        output: gradient of the output.
        sums: one for each channel, to write.
        lines: byte offsets of the rows, as ``output_lines`` gives them.
        adds: add to what is there.
    """
    lines = lines * np.array([1, 0])
    ones = aligned(output.lanes, sums.dtype)
    ones.fill(1)
    products, first = [], 0
    for count in pieces(len(sums), ROWS_OF_BIASES):
        tile = ProductTile(count, 1, output.block_step, 0, output.pixel_step, 0, sums.itemsize, 0, int(adds))
        start, place = output.address() + first * output.block_step, int(sums.ctypes.data) + first * sums.itemsize
        products.append(Product(start, int(ones.ctypes.data), place, lines, output.shape[2], tile, (ones, sums)))
        first += count
    return products


def output_lines(output: Blocked) -> Integers:
    """Return the byte offsets of all rows of all groups of a tensor, twice."""
    return _lines(forward_pass(Window((1, 1)), output, output, None).field)


def _lines(field: Field) -> Integers:
    """Return the byte offsets of all rows of all groups: in the output's gradient and in the input."""
    group, row = np.meshgrid(np.arange(field.images), np.arange(field.rows), indexing="ij")
    places = [group * place.image_step + row * place.row_step for place in (field.target, field.source)]
    return np.ascontiguousarray(np.stack([place.ravel() for place in places], axis=1), np.int64)
