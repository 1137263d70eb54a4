"""Depthwise convolution: every channel has a filter of its own, so that the lanes of a vector never meet.

Forward and the gradient to the input keep the outputs of a piece of a row in registers and go over the taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.elementary import epilogue_of
from archcost.kernels.field import Field
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import blank_record, call_tile, float32s, float64s, integers
from archcost.kernels.panels import Filters, pieces
from archcost.kernels.passes import Pass
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import lines_per_unit, next_near, next_unit
from archcost.kernels.vector import Code, Value

RECORD = ("source", "output", "weights", "offsets", "taps", "bias", "residual")
"""What a call for a piece of a row reads; the weights are a vector for each tap."""

LEAST_ROWS = 4
"""Fewest rows of a block that go together: they read each other's rows."""

LONGEST_TILE = 16
"""Most pixels of a tile."""


def channel_kernel(
    target: str, precision: Precision, activation: str, pixels: int, source_step: int, output_step: int, unroll: int
) -> Any:
    """Return the sum over taps for a piece of a row of one block, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        activation: operator that is fused behind.
        pixels: outputs of the piece.
        source_step: bytes from an output to the next, where it reads.
        output_step: bytes from an output to the next, where it is written.
        unroll: taps written out; their number is a multiple of it.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(RECORD, code.arguments(arguments[0], len(RECORD))))
            source, output, weights = (code.pointer(values[name]) for name in RECORD[:3])
            bias = code.load(code.pointer(values["bias"]))

            def taps(index: Value, sums: list[Value]) -> list[Value]:
                start = code.at(weights, builder.mul(index, code.int(code.vector_bytes)))
                for tap in range(unroll):
                    offset = code.element(values["offsets"], builder.add(index, code.int(tap)))
                    place, weight = code.at(source, offset), code.load(start, tap * code.vector_bytes)
                    sums = [
                        code.fma(code.load(place, pixel * source_step), weight, total)
                        for pixel, total in enumerate(sums)
                    ]
                return sums

            def added() -> list[Value]:
                place = code.pointer(values["residual"])
                return [code.add(total, code.load(place, pixel * output_step)) for pixel, total in enumerate(sums)]

            sums = code.repeat(values["taps"], taps, [bias] * pixels, step=unroll)
            is_there = builder.icmp_signed("!=", values["residual"], code.int(0))
            sums = code.choose(is_there, added, sums)
            for pixel, total in enumerate(sums):
                code.store(epilogue_of(activation)(code, total), output, pixel * output_step)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def channel_step() -> Any:
    """Return the step function."""
    return filter_channels


@function
def filter_channels(row: int, thread: int, threads: int) -> None:
    """Compute every piece of every row of every block: some rows of all blocks, then the next rows.

    Arguments: images, blocks, rows, lines of a unit; pieces, their table (offset in source, output and residual, and
    kernel); taps, their offsets, weights, biases, bytes of a block's biases; then address, image step, block step and
    row step of source, output and residual; rows that go together.
    """
    words = integers(row)
    images, blocks, rows, unit_lines, count, taps = words[1], words[2], words[3], words[4], words[5], words[7]
    table = numba.carray(integers(words[6]), (count, 4), np.int64)
    lines = images * blocks * rows
    vector = words[11]
    address = blank_record()
    record = integers(address)
    record[3], record[4] = words[8], taps
    together = words[24]
    units = (lines + unit_lines - 1) // unit_lines
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for line in range(unit * unit_lines, min((unit + 1) * unit_lines, lines)):
            image = line // (blocks * rows)
            rest = line - image * blocks * rows
            first = rest // (blocks * together) * together
            high = min(together, rows - first)
            rest -= first * blocks
            block = rest // high
            place = first + rest - block * high
            source = words[12] + image * words[13] + block * words[14] + place * words[15]
            output = words[16] + image * words[17] + block * words[18] + place * words[19]
            residual = words[20] + image * words[21] + block * words[22] + place * words[23]
            record[2] = words[9] + block * taps * vector
            record[5] = words[10] + block * vector
            for piece in range(count):
                record[0] = source + table[piece, 0]
                record[1] = output + table[piece, 1]
                record[6] = residual + table[piece, 2] if words[20] else 0
                call_tile(table[piece, 3], address)
        unit = next_near(row, unit, thread, threads, units)


def filters_step(precision: Precision) -> Any:
    """Return the step function that packs filters: a vector for each block and tap."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @function
    def pack(row: int, _thread: int, threads: int) -> None:
        """Pack all channels.

        Arguments: channels, lanes, taps, table of the taps' places in a filter, elements of a filter; plain weights;
        packed; factors of channels, or 0.
        """
        words = integers(row)
        channels, lanes, taps, size = words[1], words[2], words[3], words[5]
        places = integers(words[4])
        blocks = (channels + lanes - 1) // lanes
        plain = numba.carray(view(words[6]), (channels, size), dtype)
        packed = numba.carray(view(words[7]), (blocks, taps, lanes), dtype)
        unit = next_unit(row, -1, threads)
        while unit < blocks:
            for lane in range(min(lanes, channels - unit * lanes)):
                channel = unit * lanes + lane
                for tap in range(taps):
                    packed[unit, tap, lane] = plain[channel, places[tap]]
                    if words[8]:
                        packed[unit, tap, lane] *= view(words[8])[channel]
            unit = next_unit(row, unit, threads)

    return pack


def channel_filters(
    passes: Sequence[Pass],
    filters: Filters,
    tensors: tuple[Blocked, Blocked, Blocked | None],
    weight: Array,
    biases: Array,
    scale: Array | None,
    activation: str,
    machine: Target,
    precision: Precision,
) -> tuple[list[Step], list[Step]]:
    """Return the steps that pack the filters of all passes, and the steps that compute them.

    Args:
        passes: outputs with their taps (``kernels.passes``).
        filters: the weight.
        tensors: source, target and residual.
        weight: the plain weight (channels, 1, rows, columns), read when the steps run.
        biases: a number for each channel, in whole blocks.
        scale: a factor for each channel, in whole blocks, or None.
        activation: operator that is fused behind.
        machine: which vectors there are.
        precision: element type.
    """
    blocks = -(-filters.outputs // machine.lanes(precision))
    pack: list[Step] = []
    compute = []
    for one in passes:
        packed, steps = packed_filters(one, filters, weight, scale, machine, precision)
        pack += steps
        step = _pass(one, packed, blocks, biases, activation, machine, precision, tensors)
        pixels = one.field.images * one.field.rows * one.field.columns
        compute.append(replace(step, mult_adds=pixels * len(one.taps) * filters.outputs))
    return pack, compute


def packed_filters(
    one: Pass, filters: Filters, weight: Array, scale: Array | None, machine: Target, precision: Precision
) -> tuple[Array, list[Step]]:
    """Return memory for a vector of each block and tap of a pass, and the steps that fill it.

    Without any tap the weights stay zero, and the one tap reads the first pixel of the source.
    """
    lanes = machine.lanes(precision)
    taps = max(1, len(one.taps))
    packed = aligned(-(-filters.outputs // lanes) * taps * lanes, precision)
    if not one.taps:
        return packed, []
    places = np.array([row * filters.kernel[1] + column for row, column in one.taps], np.int64)
    arguments = (
        filters.outputs, lanes, taps, places.ctypes.data, filters.kernel[0] * filters.kernel[1],
        weight.ctypes.data, packed.ctypes.data, 0 if scale is None else scale.ctypes.data,
    )  # fmt: skip
    function = compiled.address("step", "depthwise", "filters_step", precision)
    return packed, [Step(function, arguments, (places, weight, packed, scale))]


def row_pieces(field: Field, taps: int, activation: str, machine: Target, precision: Precision) -> Integers:
    """Return the table of the pieces of a row: offset in source, output and residual, and kernel."""
    unroll = max(count for count in range(1, 10) if taps % count == 0)
    rows = []
    column = 0
    for pixels in pieces(field.columns, min(LONGEST_TILE, machine.registers - 2)):
        steps = (field.source.pixel_step, field.target.pixel_step) if pixels > 1 else (machine.vector_bytes,) * 2
        kernel = compiled.address(
            "tile", "depthwise", "channel_kernel", machine.name, precision, activation, pixels, *steps, unroll
        )
        rows.append((*(column * o.pixel_step for o in (field.source, field.target, field.residual)), kernel))
        column += pixels
    return tabled(rows)


def _pass(
    one: Pass,
    packed: Array,
    blocks: int,
    biases: Array,
    activation: str,
    machine: Target,
    precision: Precision,
    keep: Sequence[object],
) -> Step:
    field, offsets = one.field, np.array(one.offsets or (0,), np.int64)
    if field.columns == 1 < field.rows and field.writes_alike("row_step"):
        field = field.moved(field.images, 1, field.rows, lambda o: (o.image_step, 0, o.row_step))
    taps = len(offsets)
    table = row_pieces(field, taps, activation, machine, precision)
    places = [number for o in (field.source, field.target, field.residual) for number in o[:4]]
    lines = field.images * blocks * field.rows
    arguments = (
        field.images, blocks, field.rows, lines_per_unit(lines, field.columns * taps), len(table), table.ctypes.data,
        taps, offsets.ctypes.data, packed.ctypes.data, biases.ctypes.data, machine.vector_bytes, *places,
        max(LEAST_ROWS, -(-field.rows // 8)),
    )  # fmt: skip
    function = compiled.address("step", "depthwise", "channel_step")
    return Step(function, arguments, (table, offsets, packed, biases, *keep))
