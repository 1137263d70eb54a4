"""The gradient of a convolution to its weights, with the same micro-kernel as forward.

    gradient[output, input, tap] = sum over images and positions of smaller[output] * larger[input at the tap]

What is a pixel forward is an input channel here, the vectors are output channels, the depth goes over the positions of
a row, and the taps over rows and images. The sums stand in panels, in the order of the forward weights, and are read
out at the end. A unit is a pair of channel blocks and a share of the rows; where there are few pairs, the rows are cut
into a number of parts that depends on the shapes alone, each part has sums of its own, and they are added in their
order.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.kernels import compiled, depthwise_gradient
from archcost.kernels.field import Field
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.microkernel import Tile
from archcost.kernels.packing import unpacking
from archcost.kernels.panels import Filters, Panels, pieces
from archcost.kernels.passes import Window, forward_halo, forward_pass, live_taps, with_halo
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_unit

VECTORS = 3
"""Most output vectors of a panel: of the tiles that fit the registers, those that load least."""

CHUNK_PIXELS = 512
"""Positions that all taps and channels of a pair go through together: their vectors stay in the second cache level."""

UNITS = 16
"""Fewest units, if the work allows it."""

LEAST_PIXELS = 1024
"""Fewest positions of a part of the rows."""


class Call(NamedTuple):
    """A call for one chunk: some input channels at some columns of the kernel."""

    larger: int
    sums: int
    row_step: int
    kernel: int


class Unit(NamedTuple):
    """A pair of channel blocks: where they and their sums lie, and the table of calls."""

    larger: int
    smaller: int
    sums: int
    calls: int
    length: int
    vector_step: int


def weight_step() -> Any:
    """Return the step function."""
    return sum_products


@function
def sum_products(row: int, _thread: int, threads: int) -> None:
    """Add up the products of every pair and part.

    Arguments: pairs, their table (``Unit``), parts; lines, tables of their offsets in the larger and the smaller map,
    lines of a chunk, positions of a line; larger and smaller map; sums, bytes of a part's; zeros; bytes from column to
    column of the kernel in the larger map, between blocks of the smaller map.
    """
    words = integers(row)
    pairs, parts, lines, chunk = words[1], words[3], words[4], words[7]
    table = numba.carray(integers(words[2]), (pairs, 6), np.int64)
    address = blank_record()
    record = integers(address)
    record[5] = words[8]
    record[7] = words[13]
    record[10] = words[14]
    record[16] = words[15]
    unit = next_unit(row, -1, threads)
    while unit < pairs * parts:
        pair = unit // parts
        part = unit - pair * parts
        calls = numba.carray(integers(table[pair, 3]), (table[pair, 4], 4), np.int64)
        larger, smaller = words[9] + table[pair, 0], words[10] + table[pair, 1]
        sums = words[11] + part * words[12] + table[pair, 2]
        record[6] = record[9] = table[pair, 5]
        first, end = part * lines // parts, (part + 1) * lines // parts
        for line in range(first, end, chunk):
            record[1] = smaller
            record[3] = min(chunk, end - line)
            record[4] = words[5] + line * 8
            record[15] = words[6] + line * 8
            for call in range(len(calls)):
                record[0] = larger + calls[call, 0]
                record[2] = sums + calls[call, 1]
                record[8] = record[2] if line > first else 0
                record[11] = record[12] = calls[call, 2]
                call_tile(calls[call, 3], address)
        unit = next_unit(row, unit, threads)


def weight_gradient(
    filters: Filters,
    window: Window,
    larger: Blocked,
    smaller: Blocked,
    gradient: Array,
    machine: Target,
    precision: Precision,
) -> list[Step]:
    """Return the steps that set ``gradient`` to the sum over images and positions.

    Args:
        filters: the weight.
        window: how the convolution goes from the larger map to the smaller one.
        larger: input of the convolution (or gradient of a transposed convolution's output).
        smaller: gradient of its output (or input of a transposed convolution).
        gradient: the plain array to write.
        machine: which vectors there are.
        precision: element type.
    """
    steps, larger = with_halo(larger, forward_halo(window, larger.shape[1:], smaller.shape[1:]), machine, precision)
    field = forward_pass(window, larger, smaller, None).field
    if filters.is_depthwise:
        return [
            *steps,
            *depthwise_gradient.weight_gradient(field, window, (larger, smaller), gradient, machine, precision),
        ]
    field = field.simplified()
    taps = live_taps(window, larger.shape[1:], smaller.shape[1:])
    depth = max(count for count in range(1, min(field.columns, CHUNK_PIXELS) + 1) if field.columns % count == 0)
    places = _line_offsets(field, depth)
    lines = len(places[0])
    panels = Panels.make(filters, filters.taps, VECTORS, smaller.lanes, gradient.dtype)
    pairs = sum(map(len, panels.blocks))
    parts = 1
    while pairs * parts < UNITS and 2 * parts * LEAST_PIXELS <= lines * depth and 2 * parts <= lines:
        parts *= 2
    if parts > 1:
        panels = Panels.make(filters, filters.taps, VECTORS, smaller.lanes, gradient.dtype, copies=parts)
    calls = _Calls(panels, field, window, taps, larger, depth, machine, precision)
    table = tabled(_units(panels, calls, field))
    zeros = aligned(VECTORS * smaller.lanes, gradient.dtype)
    arguments = (
        len(table), table.ctypes.data, parts, lines, *(int(offsets.ctypes.data) for offsets in places),
        max(1, CHUNK_PIXELS // depth), depth, field.source.address, field.target.address, panels.memory.ctypes.data,
        panels.size * panels.memory.itemsize, zeros.ctypes.data, window.dilation[1] * larger.pixel_step,
        field.target.block_step,
    )  # fmt: skip
    keep = (table, *places, zeros, calls, panels.memory, larger, smaller)
    function = compiled.address("step", "weight_gradient", "weight_step")
    done = lines * depth * sum(panels.products) // len(filters.taps) * len(taps[0]) * len(taps[1])
    products = Step(function, arguments, keep, mult_adds=done, for_weights=True)
    return [*steps, products, *unpacking(panels, gradient, machine, precision)]


def _line_offsets(field: Field, depth: int) -> list[Integers]:
    """Return the byte offsets of all lines in the larger and in the smaller map."""
    image, row, part = np.meshgrid(
        np.arange(field.images), np.arange(field.rows), np.arange(field.columns // depth), indexing="ij"
    )
    return [
        np.ascontiguousarray(
            (image * place.image_step + row * place.row_step + part * depth * place.pixel_step).ravel(), np.int64
        )
        for place in (field.source, field.target)
    ]


class _Calls:
    """The tables of calls, one for each width of a panel and number of channels of a block.

    The sums of taps that never reach the larger map stay zero.
    """

    def __init__(
        self,
        panels: Panels,
        field: Field,
        window: Window,
        taps: tuple[range, range],
        larger: Blocked,
        depth: int,
        machine: Target,
        precision: Precision,
    ) -> None:
        self.panels, self.window, self.taps, self.larger = panels, window, taps, larger
        self.machine, self.precision, self.depth = machine, precision, depth
        steps = (field.source.pixel_step, field.target.pixel_step)
        self.steps = steps if depth > 1 else (machine.vector_bytes,) * 2
        self.tables: dict[tuple[int, int], Integers] = {}

    def table(self, width: int, channels: int) -> Integers:
        """Return the calls for a panel of ``width`` vectors and ``channels`` input channels."""
        if (width, channels) not in self.tables:
            self.tables[width, channels] = tabled(self._calls(width, channels))
        return self.tables[width, channels]

    def _calls(self, width: int, channels: int) -> list[Call]:
        panels, window, larger, size = self.panels, self.window, self.larger, self.panels.memory.itemsize
        fitting = (self.machine.registers - width - 1) // width
        channel_pieces = pieces(channels, fitting)
        column_pieces = pieces(len(self.taps[1]), max(1, fitting // channel_pieces[0]))
        vectors = width * panels.lanes * size
        result = []
        for row in self.taps[0]:
            column = self.taps[1].start
            for columns in column_pieces:
                channel = 0
                for count in channel_pieces:
                    tap = row * window.kernel[1] + column
                    place = row * window.dilation[0] * larger.row_step + column * window.dilation[1] * larger.pixel_step
                    result.append(
                        Call(
                            place + channel * size,
                            (tap * panels.depth + channel) * vectors,
                            panels.depth * vectors,
                            self._kernel(count, width, columns),
                        )
                    )
                    channel += count
                column += columns
        return result

    def _kernel(self, channels: int, width: int, columns: int) -> int:
        size = self.panels.memory.itemsize
        tile = Tile(
            channels, width, columns, size, self.steps[0], width * self.machine.vector_bytes, unrolled(self.depth),
            weight_step=self.steps[1],
        )  # fmt: skip
        return compiled.address("tile", "tiles", "tile_kernel", self.machine.name, self.precision, "Identity", *tile)


def unrolled(depth: int) -> int:
    """Return how many rounds are written out: a divisor of the depth, from 4 to 8 or else to 16 if there is one."""
    best = max(count for count in range(1, 9) if depth % count == 0)
    return best if best >= 4 else max(count for count in range(1, 17) if depth % count == 0)


def _units(panels: Panels, calls: _Calls, field: Field) -> list[Unit]:
    size, lanes = panels.memory.itemsize, panels.lanes
    inputs, depth = panels.filters.inputs, panels.depth
    rounds = len(panels.taps) * depth * lanes
    source_step, target_step = field.source.block_step, field.target.block_step

    @cache
    def table_of(width: int, channels: int) -> tuple[int, int]:
        table = calls.table(width, channels)
        return int(table.ctypes.data), len(table)

    return [
        Unit(
            block * source_step,
            first * target_step,
            (start + index * rounds * width) * size,
            *table_of(width, min(depth, inputs - block * lanes)),
            lanes * size,
        )
        for width, blocks, first, start in zip(panels.widths, panels.blocks, panels.first_blocks, panels.starts)
        for index, block in enumerate(blocks)
    ]
