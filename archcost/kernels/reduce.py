"""Sums over pixels: of each channel over all images (batch norm, gradients of scales) or image by image (gates).

The pixels of a channel block are cut into a fixed number of pieces, so that threads share the work of few blocks too. A
piece adds up short stretches in four vectors of the element type, and the stretches in float64; whoever uses the sums
adds the pieces in their order. The result depends on the shape alone, not on the threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.formulas import sums_of
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import RECORD_WORDS, blank_record, call_tile, clear, float32s, float64s, integers
from archcost.kernels.pixels import UNROLL, Readers, Reading, unrolled
from archcost.kernels.pointwise import Operand, merged, reading
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_unit
from archcost.kernels.vector import Code, Value

STRETCH = 256
"""Most pixels that are added up in the element type: 64 of them in each of four sums."""

PIECES = 32
"""Units that a sum is cut into, if it is long enough."""

LEAST_PIXELS = 256
"""Fewest pixels of a piece."""


@dataclass(frozen=True)
class Sums:
    """Where sums stand: float64, [group][piece][sum][lane]; a group is a block, or an (image, block).

    Attributes:
        memory: the pieces' sums.
        groups: blocks of channels, times images where each has sums of its own.
        pieces: how many parts are to be added.
        count: sums of each channel.
    """

    memory: Array
    groups: int
    pieces: int
    count: int

    @property
    def arguments(self) -> tuple[int, int, int]:
        """What a step that adds the pieces needs to know: address, groups, pieces."""
        return int(self.memory.ctypes.data), self.groups, self.pieces


def sums_kernel(target: str, precision: Precision, formula: str, ways: Reading, output_step: int | None) -> Any:
    """Return the loop that adds a formula's values over one stretch of pixels, as an intrinsic.

    Its record: pixels, address of the sums to add to (float64, a vector for each), the address of each operand, and of
    the output if there is one.

    Args:
        target: name of the target.
        precision: element type.
        formula: a name that ``formulas.sums_of`` knows.
        ways: how the operands are read.
        output_step: bytes from a pixel to the next of where the formula's first values are stored; None for nowhere.
    """
    lanes = TARGETS[target].lanes(precision)
    count, write_formula = sums_of(formula)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            stores = output_step is not None
            pixels, sums, *addresses = code.arguments(arguments[0], 2 + len(ways) + stores)
            readers = Readers(code, addresses[: len(ways)], ways)

            def some(first: Value, pixels_now: int, totals: list[Value]) -> list[Value]:
                totals = list(totals)
                # All loads come before the first store: the compiler cannot know that they do not overlap.
                found = [write_formula(code, *readers.load(first, ahead)) for ahead in range(pixels_now)]
                for ahead, values in enumerate(found):
                    for index, value in enumerate(values):
                        place = index * UNROLL + ahead
                        totals[place] = code.add(totals[place], value)
                    if output_step is not None:
                        start = code.at(code.pointer(addresses[-1]), builder.mul(first, code.int(output_step)))
                        code.store(values[0], start, ahead * output_step)
                return totals

            totals = unrolled(code, pixels, some, [code.constant(0)] * (count * UNROLL))
            wide = Code(builder, lanes, "float64")
            place = wide.pointer(sums)
            for index in range(count):
                part = totals[index * UNROLL : (index + 1) * UNROLL]
                total = code.add(code.add(part[0], part[1]), code.add(part[2], part[3]))
                if precision == "float32":
                    total = builder.fpext(total, wide.vector)
                offset = index * wide.vector_bytes
                wide.store(wide.add(wide.load(place, offset), total), place, offset)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def sums_step() -> Any:
    """Return the step function."""
    return sum_pieces


@function
def sum_pieces(row: int, _thread: int, threads: int) -> None:
    """Add up every piece of every group.

    Arguments: kernel, operands, table of their addresses and steps; images of a group's index, blocks, images of a
    group, rows, pixels; pieces, sums, numbers of a piece; most pixels of a stretch.
    """
    words = integers(row)
    kernel, operands = words[1], words[2]
    table = numba.carray(integers(words[3]), (operands, 5), np.int64)
    outer, blocks, images, rows, pixels = words[4], words[5], words[6], words[7], words[8]
    pieces, sums, numbers, longest = words[9], words[10], words[11], words[12]
    stretches = (pixels + longest - 1) // longest
    stretch = (pixels + stretches - 1) // stretches
    lines = images * rows * stretches
    address = blank_record()
    record = integers(address)
    unit = next_unit(row, -1, threads)
    while unit < outer * blocks * pieces:
        group = unit // pieces
        piece = unit - group * pieces
        block = group % blocks
        record[1] = sums + unit * numbers * 8
        clear(record[1], numbers * 8)
        for line in range(piece * lines // pieces, (piece + 1) * lines // pieces):
            image = group // blocks + line // (rows * stretches)
            place = (line // stretches) % rows
            first = (line % stretches) * stretch
            record[0] = min(stretch, pixels - first)
            for operand in range(operands):
                record[2 + operand] = (
                    table[operand, 0]
                    + image * table[operand, 1]
                    + block * table[operand, 2]
                    + place * table[operand, 3]
                    + first * table[operand, 4]
                )
            call_tile(kernel, address)
        unit = next_unit(row, unit, threads)


@function
def total(pieces: Any, group: int, index: int, lane: int) -> float:
    """Return a sum: its pieces, [group][piece][sum][lane], added in their order."""
    result = 0.0
    for piece in range(pieces.shape[1]):
        result += pieces[group, piece, index, lane]
    return result


def channel_sums(
    formula: str,
    shape: Blocked,
    operands: Sequence[Operand],
    machine: Target,
    precision: Precision,
    keep: Sequence[object],
    *,
    per_image: bool = False,
    output: Blocked | None = None,
) -> tuple[Step, Sums]:
    """Return the step that adds a formula over all pixels, and where its sums stand.

    Args:
        formula: a name that ``formulas.sums_of`` knows.
        shape: a tensor with the images, blocks, rows and columns to go through.
        operands: as many as the formula takes.
        machine: which vectors there are.
        precision: element type.
        keep: tensors and arrays that the operands point into.
        per_image: sums of each image instead of sums over all.
        output: where the first of the values that are added is stored; may be the memory of an operand.
    """
    operands = [*operands, *([Operand.exact(output)] if output else [])]
    images, blocks = shape.images, shape.memory.shape[1]
    _, height, width = shape.shape
    (_, _, rows, pixels), places = merged((1, 1, height, width), operands, machine.vector_bytes)
    # The two outer axes were left out of the merging: their steps are those of the operands.
    places = [
        type(place)(place.address, operand.image_step, operand.block_step, place.row_step, place.pixel_step)
        for place, operand in zip(places, operands)
    ]
    count, _ = sums_of(formula)
    outer, inner = (images, 1) if per_image else (1, images)
    groups = outer * blocks
    longest = min(pixels, STRETCH)
    lines = inner * rows * -(-pixels // longest)
    work = inner * rows * pixels
    pieces = max(1, min(lines, -(-PIECES // max(1, groups)), work // LEAST_PIXELS))
    memory = aligned(max(1, groups * pieces * count * shape.lanes), np.float64)
    sums = Sums(memory, groups, pieces, count)
    ways = reading(places)
    ways, output_step = (ways[:-1], ways[-1][1]) if output else (ways, None)
    kernel = compiled.address("tile", "reduce", "sums_kernel", machine.name, precision, formula, ways, output_step)
    assert len(places) + 1 < RECORD_WORDS
    table = tabled(places)
    arguments = (
        kernel, len(places), table.ctypes.data, outer, blocks, inner, rows, pixels, pieces, memory.ctypes.data,
        count * shape.lanes, longest,
    )  # fmt: skip
    function = compiled.address("step", "reduce", "sums_step")
    return Step(function, arguments, (memory, table, shape, output, *keep)), sums


def collect_step(precision: Precision) -> Any:
    """Return the step function that writes finished sums to a plain array or a tensor of one pixel."""
    view = float32s if precision == "float32" else float64s

    @function
    def collect(row: int, _thread: int, threads: int) -> None:
        """Add the pieces of every group.

        Arguments: sums, groups, pieces, sums of a channel, which of them, lanes; blocks, channels; output, its image
        step and block step; whether to add to the output; address of a factor.
        """
        words = integers(row)
        groups, pieces, count, index, lanes = words[2], words[3], words[4], words[5], words[6]
        sums = numba.carray(float64s(words[1]), (groups, pieces, count, lanes), np.float64)
        blocks, channels, adds = words[7], words[8], words[12]
        factor = float64s(words[13])[0]
        unit = next_unit(row, -1, threads)
        while unit < groups:
            block = unit % blocks
            place = words[9] + (unit // blocks) * words[10] + block * words[11]
            output = view(place)
            for lane in range(min(lanes, channels - block * lanes)):
                value = factor * total(sums, unit, index, lane)
                output[lane] = output[lane] + value if adds else value
            unit = next_unit(row, unit, threads)

    return collect


def collected(
    sums: Sums,
    index: int,
    shape: Blocked,
    output: Array | Blocked,
    precision: Precision,
    *,
    factor: float = 1.0,
    adds: bool = False,
) -> Step:
    """Return the step that adds the pieces of sum number ``index`` and writes factor x sum to ``output``.

    Args:
        sums: the sums.
        index: which of each channel's sums.
        shape: a tensor with the channels that were summed.
        output: a plain array (C,), or the tensor (N, C, 1, 1) for sums of each image.
        precision: element type of the output.
        factor: what the sums are multiplied by.
        adds: add to the output instead of overwriting it.
    """
    if isinstance(output, Blocked):
        place = (output.address(), output.image_step, output.block_step)
    else:
        place = (int(output.ctypes.data), 0, shape.lanes * output.itemsize)
    factors = np.array([factor])
    arguments = (
        *sums.arguments, sums.count, index, shape.lanes, shape.memory.shape[1], shape.shape[0], *place, int(adds),
        factors.ctypes.data,
    )  # fmt: skip
    function = compiled.address("step", "reduce", "collect_step", precision)
    return Step(function, arguments, (sums, output, factors))
