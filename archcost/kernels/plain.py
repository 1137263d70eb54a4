"""Between the blocked layout and plain arrays: where a graph begins and ends, and around parameters of channels.

A plain array has any distances between images, channels, rows and columns, so that NCHW, a flattened map and the vector
of a parameter are all read and written here. Where the elements of a channel lie side by side, as many pixels as a
vector has lanes are transposed in registers; where the channels of a pixel do, vectors are copied; what is left over
goes element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import NO_HALO, Array, Blocked
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import lines_per_unit, next_near
from archcost.kernels.vector import Code, Value, transposed

Direction = Literal["read", "write", "add"]
"""Blocked to plain; plain to blocked; plain added to blocked."""

PLAIN = 0
"""The argument of a conversion step that is the address of the plain array; it may be set before each run."""

LONGEST_PIECE = 1024
"""Pixels of a piece of work: their vectors stay in the second cache level."""


class Steps(NamedTuple):
    """Bytes in a plain array from an image, channel, row or column to the next."""

    image: int
    channel: int
    row: int
    column: int

    @classmethod
    def of(cls, shape: tuple[int, int, int], element: int, order: Sequence[int] = (0, 1, 2)) -> Steps:
        """Return the distances of a contiguous array whose axes are those of (C, H, W) in another ``order``."""
        steps, distance = [0, 0, 0], element
        for axis in reversed(order):
            steps[axis] = distance
            distance *= shape[axis]
        return cls(distance, *steps)


RECORD = ("pixels", "plain", "channel_step", "column_step", "blocked", "offsets")
"""What a kernel call reads; ``offsets`` is a table with the place of each pixel in the blocked tensor."""


def plain_kernel(target: str, precision: Precision, direction: Direction, way: str, channels: int) -> Any:
    """Return a loop over pixels of one block, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        direction: what is copied where.
        way: "transpose" (groups of as many pixels as a vector has lanes, side by side in the plain array), "copy" (the
            channels of a pixel side by side) or "elements" (anything).
        channels: channels of the block.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(RECORD, code.arguments(arguments[0], len(RECORD))))
            pixels = _Pixels(code, values, direction, channels)
            step = lanes if way == "transpose" else 1
            body = {"transpose": pixels.transpose, "copy": pixels.copy, "elements": pixels.elements}[way]

            def one(index: Value, places: list[Value]) -> list[Value]:
                body(index, places[0])
                return [code.at(places[0], builder.mul(values["column_step"], code.int(step)))]

            code.repeat(values["pixels"], one, [code.pointer(values["plain"])], step=step)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


class _Pixels:
    """Writes the three ways to move pixels."""

    def __init__(self, code: Code, values: dict[str, Value], direction: Direction, channels: int) -> None:
        self.code, self.values, self.direction, self.channels = code, values, direction, channels
        self.blocked = code.pointer(values["blocked"])

    def place(self, index: Value, offset: int = 0) -> Value:
        """Return where pixel ``index`` + ``offset`` lies in the blocked tensor."""
        index = self.code.builder.add(index, self.code.int(offset))
        return self.code.at(self.blocked, self.code.element(self.values["offsets"], index))

    def store(self, value: Value, place: Value) -> None:
        """Write or add a pixel to the blocked tensor."""
        self.code.store(self.code.add(self.code.load(place), value) if self.direction == "add" else value, place)

    def transpose(self, index: Value, plain: Value) -> None:
        """Move a group of pixels, whose plain elements lie side by side."""
        code = self.code
        rows = [plain]
        while len(rows) < self.channels:
            rows.append(code.at(rows[-1], self.values["channel_step"]))
        places = [self.place(index, pixel) for pixel in range(code.lanes)]
        if self.direction == "read":
            vectors = transposed(code, [code.load(place) for place in places])
            for row, vector in zip(rows, vectors):
                code.store(vector, row)
            return
        zeros = [code.constant(0)] * (code.lanes - self.channels)
        for vector, place in zip(transposed(code, [*map(code.load, rows), *zeros]), places):
            self.store(vector, place)

    def copy(self, index: Value, plain: Value) -> None:
        """Move a pixel, whose channels lie side by side in the plain array."""
        if self.direction == "read":
            self.code.store(self.code.load(self.place(index)), plain)
        else:
            self.store(self.code.load(plain), self.place(index))

    def elements(self, index: Value, plain: Value) -> None:
        """Move a pixel element by element."""
        code, builder = self.code, self.code.builder
        vector = code.load(self.place(index)) if self.direction == "read" else code.constant(0)
        for channel in range(self.channels):
            place = builder.bitcast(plain, code.scalar.as_pointer())
            lane = code.int(channel)
            if self.direction == "read":
                builder.store(builder.extract_element(vector, lane), place, align=code.element_bytes)
            else:
                vector = builder.insert_element(vector, builder.load(place, align=code.element_bytes), lane)
            plain = code.at(plain, self.values["channel_step"])
        if self.direction != "read":
            self.store(vector, self.place(index))


PIECE_TABLE = ("plain_offset", "blocked_offset", "offsets", "pixels", "elements")


def plain_step() -> Any:
    """Return the step function."""
    return convert


@function
def convert(row: int, thread: int, threads: int) -> None:
    """Move every piece of every block.

    Arguments: plain array, its image step, block step, channel step and column step; images, blocks, pieces, table of
    pieces, lines of a unit; blocked tensor, its image step and block step; then the kernels for full blocks and for
    the last one: for the pixels of a piece, and for its elements.
    """
    words = integers(row)
    images, blocks, pieces = words[6], words[7], words[8]
    table = numba.carray(integers(words[9]), (pieces, 5), np.int64)
    unit_lines = words[10]
    lines = images * blocks * pieces
    address = blank_record()
    record = integers(address)
    record[2], record[3] = words[4], words[5]
    units = (lines + unit_lines - 1) // unit_lines
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for line in range(unit * unit_lines, min((unit + 1) * unit_lines, lines)):
            image = line // (blocks * pieces)
            block = (line // pieces) % blocks
            piece = line % pieces
            kernels = 14 if block < blocks - 1 else 16
            record[1] = words[1] + image * words[2] + block * words[3] + table[piece, 0]
            record[4] = words[11] + image * words[12] + block * words[13] + table[piece, 1]
            record[5] = table[piece, 2]
            record[0] = table[piece, 3]
            if record[0] > 0:
                call_tile(words[kernels], address)
                record[1] += record[0] * words[5]
                record[5] += record[0] * 8
            record[0] = table[piece, 4]
            if record[0] > 0:
                call_tile(words[kernels + 1], address)
        unit = next_near(row, unit, thread, threads, units)


def conversion(
    direction: Direction,
    blocked: Blocked,
    plain: Array | int,
    machine: Target,
    precision: Precision,
    *,
    steps: Steps | None = None,
    keep: Sequence[object] = (),
) -> Step:
    """Return the step that moves elements between ``blocked`` and a plain array.

    Args:
        direction: "read" fills the plain array; "write" fills ``blocked``; "add" adds to it.
        blocked: the tensor; (N, C) if it has one pixel. Lanes that fill up its last block are set to zero.
        plain: the array, or its address; argument ``PLAIN`` of the step, to be set before a run if it is not known.
        machine: which vectors there are.
        precision: element type.
        steps: distances in the plain array; None if it is contiguous, (N, C, H, W) or (N, C).
        keep: what the address points into.
    """
    element, lanes = blocked.memory.itemsize, blocked.lanes
    steps = steps or Steps.of(blocked.shape, element)
    channels, height, width = blocked.shape
    blocks = blocked.memory.shape[1]
    last = channels - (blocks - 1) * lanes
    is_vector = height * width == 1 and steps.channel == element
    if is_vector:
        # A vector of features is a row of blocks: what is a pixel otherwise is a block here.
        table, offsets = _blocks_as_pixels(blocked)
        ways, blocks, column_step = ("copy", "copy"), 1, lanes * element
        counts = lanes, last
    else:
        transposes, copies = steps.column == element, steps.channel == element
        table, offsets = _pieces(blocked, steps, lanes if transposes else 1, transposes or copies)
        grouped = "transpose" if transposes else "copy"
        ways = grouped, grouped if transposes or last == lanes else "elements"
        column_step = steps.column
        counts = lanes if blocks > 1 else last, last
        if not table[:, 3].any() or not (transposes or copies):
            ways = "elements", "elements"

    def kernel(way: str, count: int) -> int:
        return compiled.address("tile", "plain", "plain_kernel", machine.name, precision, direction, way, count)

    def kernels(way: str, count: int) -> tuple[int, int]:
        return kernel(way, lanes if way == "copy" else count), kernel("elements", count)

    address = plain if isinstance(plain, int) else int(plain.ctypes.data)
    lines = blocked.images * blocks * len(table)
    work = 2 * int(table[:, 3:].sum()) // len(table)
    arguments = (
        address, steps.image, steps.channel * lanes, steps.channel, column_step, blocked.images, blocks, len(table),
        table.ctypes.data, lines_per_unit(lines, work), blocked.address(), blocked.image_step, blocked.block_step,
        *kernels(ways[0], counts[0]), *kernels(ways[1], counts[1]),
    )  # fmt: skip
    function = compiled.address("step", "plain", "plain_step")
    return Step(function, arguments, (blocked, plain, table, offsets, *keep))


def _blocks_as_pixels(blocked: Blocked) -> tuple[Integers, Integers]:
    """Return the table of pieces of a vector of features, and the table of block offsets."""
    blocks, lanes = blocked.memory.shape[1], blocked.lanes
    offsets = np.ascontiguousarray(np.arange(blocks) * blocked.block_step, np.int64)
    table = []
    for first in range(0, blocks, LONGEST_PIECE):
        count = min(LONGEST_PIECE, blocks - first)
        full = min(count, blocked.shape[0] // lanes - first)
        start = first * lanes * blocked.memory.itemsize
        table.append((start, 0, offsets.ctypes.data + first * offsets.itemsize, full, count - full))
    return tabled(table), offsets


def _pieces(blocked: Blocked, steps: Steps, group: int, grouped: bool) -> tuple[Integers, Integers]:
    """Return the table of pieces and the table of pixel offsets that it points to.

    Rows are pieces of their own if groups of pixels fill them; else the whole map is one line, if it is one in the
    plain array.
    """
    _, height, width = blocked.shape
    rows, columns = np.divmod(np.arange(height * width), width)
    is_line = steps.row == width * steps.column
    if width % group and is_line:
        offsets = rows * blocked.row_step + columns * blocked.pixel_step
        lines = [(0, 0, height * width, True)]
    else:
        offsets = np.arange(width) * blocked.pixel_step
        lines = [(row * steps.row, row * blocked.row_step, width, False) for row in range(height)]
    offsets = np.ascontiguousarray(offsets, np.int64)
    table = []
    for plain, start, length, moves in lines:
        for first in range(0, length, LONGEST_PIECE):
            pixels = min(LONGEST_PIECE, length - first)
            full = pixels // group * group if grouped else 0
            where = start if moves else start + first * blocked.pixel_step
            address = offsets.ctypes.data + (first * offsets.itemsize if moves else 0)
            table.append((plain + first * steps.column, where, address, full, pixels - full))
    return tabled(table), offsets


def channel_vector(values: Array, lanes: int) -> Blocked:
    """Return a tensor to hold one number for each channel, for ``conversion`` to fill from a parameter."""
    return Blocked.make(1, values.shape[:1], NO_HALO, lanes, values.dtype)
