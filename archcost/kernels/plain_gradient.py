"""The gradients of a dense layer between plain arrays: the weight (outputs, inputs) and inputs (samples, inputs).

    to_input[sample, k] = sum over outputs of above[sample, output] * weight[output, k]
    to_weight[output, k] = sum over samples of above[sample, output] * inputs[sample, k]

Both are the sum of the micro-kernel: the output's gradient is the one number, and the vectors lie along the inputs, in
the weight or the samples as they are. No sum of one part of the weight needs another, so that every element of the
weight is read, or its gradient written, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, aligned
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.microkernel import Tile
from archcost.kernels.panels import fitting_vectors, pieces
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_near
from archcost.kernels.weight_gradient import unrolled

PART_BYTES = 256 * 1024
"""Sums of a part of the inputs, for all samples, stay in the second cache level."""

PARTS_OF_THREAD = 2
"""Fewest parts that each thread takes: the longer the stretches of a row, the faster they come."""

STREAMED_BYTES = 2**24
"""Size from which a gradient is written past the caches: it would not be found there when it is wanted."""

FEW_ROWS, MANY_ROWS = 16, 64
"""Rows of the weight that go past all sums of a part before the next ones do: so many streams from memory are followed
well; where several tiles of samples use each row, those that come later find it in a cache."""

VECTORS = 3
"""Vectors of a tile of many samples."""

SIDES = {16: 3, 32: 5}
"""Registers -> rows and vectors of a tile of the weight's gradient: as square as they allow."""


Pieces = tuple[list[int], list[int]]
"""Sizes of the pieces of a length, and where they start."""


def input_step() -> Any:
    """Return the step function of the gradient to the inputs."""
    return add_rows


@function
def add_rows(row: int, thread: int, threads: int) -> None:
    """Compute every part of the inputs.

    Arguments: fewest parts; tiles of k, their table; tiles of samples, their table; outputs, outputs at once; gradient
    of the output, bytes to its next sample; weight, bytes to its next row; gradient of the input, bytes to its next
    sample, whether it is added to; zeros; offsets of the only tap; bytes of a vector and of an element.
    """
    words = integers(row)
    places, tiles, outputs, at_once, size = words[2], words[4], words[6], words[7], words[17]
    # However the inputs are cut, each of their sums is the same.
    rounds = max(PARTS_OF_THREAD, (words[1] + threads - 1) // threads)
    parts = min(places, rounds * threads)
    vector_table = numba.carray(integers(words[3]), (places, 3), np.int64)
    tile_table = numba.carray(integers(words[5]), (tiles, 2), np.int64)
    address = blank_record()
    record = integers(address)
    record[3], record[4], record[6], record[7], record[9] = 1, words[16], size, words[15], size
    record[15], record[16] = words[16], size
    unit = next_near(row, -1, thread, threads, parts)
    while unit < parts:
        for first in range(0, outputs, at_once):
            record[5] = min(at_once, outputs - first)
            adds = words[14] or first
            for place in range(unit * places // parts, (unit + 1) * places // parts):
                record[1] = words[10] + first * words[11] + vector_table[place, 0]
                for tile in range(tiles):
                    sample = tile_table[tile, 0]
                    record[0] = words[8] + sample * words[9] + first * words[18]
                    record[2] = words[12] + sample * words[13] + vector_table[place, 0]
                    record[8] = record[2] if adds else 0
                    call_tile(vector_table[place, 1 + tile_table[tile, 1]], address)
        unit = next_near(row, unit, thread, threads, parts)


def input_gradient(
    above: Array, weight: Array, target: Array, machine: Target, precision: Precision, *, adds: bool, keep: object
) -> Step:
    """Return the step of the gradient to the inputs.

    Args:
        above: gradient of the output (samples, at least the outputs).
        weight: (outputs, inputs), the inputs in whole vectors; read when the step runs.
        target: gradient of the inputs (samples, inputs).
        machine: which vectors there are.
        precision: element type.
        adds: add to what is there.
        keep: what the arrays are views of.
    """
    (outputs, inputs), images = weight.shape, len(target)
    size, lanes = weight.itemsize, machine.lanes(precision)
    samples, starts = _pieces(images, machine.tile_pixels(VECTORS))
    vectors, places = _pieces(inputs // lanes, max(VECTORS, fitting_vectors(max(samples), inputs // lanes, machine)))
    unroll, at_once = unrolled(outputs), FEW_ROWS if len(samples) == 1 else MANY_ROWS

    def kernel(count: int, width: int) -> int:
        steps = (above.strides[0], target.strides[0]) if count > 1 else (machine.vector_bytes,) * 2
        return _kernel(
            Tile(count, width, 1, steps[0], size, steps[1], unroll, prefetch=True, weight_step=weight.strides[0]),
            machine,
            precision,
        )

    table, tiles = _tables((vectors, places), (samples, starts), kernel, machine)
    zeros, offsets = aligned(max(vectors) * lanes, precision), np.zeros(1, np.int64)
    arguments = (
        -(-target.nbytes // PART_BYTES), len(table), table.ctypes.data, len(tiles), tiles.ctypes.data, outputs,
        max(1, at_once // unroll) * unroll, above.ctypes.data, above.strides[0], weight.ctypes.data,
        weight.strides[0], target.ctypes.data, target.strides[0], int(adds), zeros.ctypes.data, offsets.ctypes.data,
        machine.vector_bytes, size,
    )  # fmt: skip
    function = compiled.address("step", "plain_gradient", "input_step")
    arrays = (above, weight, target, table, tiles, zeros, offsets, keep)
    return Step(function, tuple(map(int, arguments)), arrays, mult_adds=images * outputs * inputs)


def weight_step() -> Any:
    """Return the step function of the gradient to the weight."""
    return set_rows


@function
def set_rows(row: int, thread: int, threads: int) -> None:
    """Compute some rows of the weight's gradient at a time.

    Arguments: tiles of rows, their table; tiles of k, their table; samples; gradient of the output; inputs; gradient,
    bytes to its next row; zeros; offsets of the only tap; bytes of a vector, of an element; tiles of rows of a unit.
    """
    words = integers(row)
    rows, tiles, size, per_unit = words[1], words[3], words[12], words[14]
    row_table = numba.carray(integers(words[2]), (rows, 2), np.int64)
    vector_table = numba.carray(integers(words[4]), (tiles, 3), np.int64)
    address = blank_record()
    record = integers(address)
    record[3], record[4], record[5], record[6], record[7] = 1, words[11], words[5], size, words[10]
    record[15], record[16] = words[11], size
    units = (rows + per_unit - 1) // per_unit
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for tile in range(unit * per_unit, min((unit + 1) * per_unit, rows)):
            record[0] = words[6] + row_table[tile, 0] * words[13]
            for place in range(tiles):
                record[1] = words[7] + vector_table[place, 0]
                record[2] = words[8] + row_table[tile, 0] * words[9] + vector_table[place, 0]
                call_tile(vector_table[place, 1 + row_table[tile, 1]], address)
        unit = next_near(row, unit, thread, threads, units)


def weight_gradient(
    above: Array, source: Array, gradient: Array, machine: Target, precision: Precision, *, keep: object
) -> Step:
    """Return the step of the gradient to the weight.

    Args:
        above: gradient of the output (samples, at least the outputs).
        source: inputs (samples, inputs).
        gradient: of the weight (outputs, inputs), the inputs in whole vectors; set.
        machine: which vectors there are.
        precision: element type.
        keep: what the arrays are views of.
    """
    (outputs, inputs), images = gradient.shape, len(source)
    size, lanes = gradient.itemsize, machine.lanes(precision)
    side = SIDES[machine.registers]
    rows, starts = _pieces(outputs, side)
    vectors, places = _pieces(inputs // lanes, side)
    is_aligned = (gradient.ctypes.data | gradient.strides[0]) % machine.vector_bytes == 0
    streams = is_aligned and gradient.nbytes >= STREAMED_BYTES

    def kernel(count: int, width: int) -> int:
        tile = Tile(
            count, width, 1, size, above.strides[0], gradient.strides[0], unrolled(images),
            weight_step=source.strides[0], streams=streams,
        )  # fmt: skip
        return _kernel(tile, machine, precision)

    table, row_table = _tables((vectors, places), (rows, starts), kernel, machine)
    zeros, offsets = aligned(max(vectors) * lanes, precision), np.zeros(1, np.int64)
    arguments = (
        len(row_table), row_table.ctypes.data, len(table), table.ctypes.data, images, above.ctypes.data,
        source.ctypes.data, gradient.ctypes.data, gradient.strides[0], zeros.ctypes.data, offsets.ctypes.data,
        machine.vector_bytes, size, max(1, min(4, len(row_table) // 16)),
    )  # fmt: skip
    function = compiled.address("step", "plain_gradient", "weight_step")
    arrays = (above, source, gradient, row_table, table, zeros, offsets, keep)
    return Step(function, tuple(map(int, arguments)), arrays, mult_adds=images * outputs * inputs, for_weights=True)


def _pieces(length: int, longest: int) -> Pieces:
    """Return nearly equal pieces of a length."""
    sizes = pieces(length, longest)
    return sizes, np.cumsum([0, *sizes[:-1]]).tolist()


def _tables(
    along: Pieces, others: Pieces, kernel: Callable[[int, int], int], machine: Target
) -> tuple[Integers, Integers]:
    """Return the table of pieces along the inputs, with a kernel for either size of the others, and that of the others.

    Args:
        along: vectors of the inputs.
        others: samples, or rows of the weight.
        kernel: returns the kernel for some others and some vectors.
        machine: which vectors there are.
    """
    sizes = max(others[0]), min(others[0])
    table = tabled([
        (place * machine.vector_bytes, *(kernel(count, width) for count in sizes)) for width, place in zip(*along)
    ])  # fmt: skip
    return table, tabled([(start, int(count != sizes[0])) for count, start in zip(*others)])


def _kernel(tile: Tile, machine: Target, precision: Precision) -> int:
    return compiled.address("tile", "tiles", "tile_kernel", machine.name, precision, "Identity", *tile)
