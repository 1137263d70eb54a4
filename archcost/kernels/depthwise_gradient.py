"""The gradient of a depthwise convolution to its weights: sums of the taps in registers, along the pixels of a row."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.field import Field
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import blank_record, call_tile, clear, float32s, float64s, integers
from archcost.kernels.panels import pieces
from archcost.kernels.passes import Window
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_unit
from archcost.kernels.vector import Code, Value

SUM_RECORD = ("pixels", "larger", "smaller", "sums", "row_step")
"""What a call for a row's products reads; ``row_step`` goes from a row of taps to the next."""


def product_kernel(
    target: str, precision: Precision, rows: int, columns: int, column_step: int, larger_step: int, smaller_step: int
) -> Any:
    """Return the loop that adds a row's products for some taps, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        rows: rows of taps.
        columns: columns of taps.
        column_step: bytes from a column of taps to the next.
        larger_step: bytes from a pixel of the row to the next, where the taps read.
        smaller_step: bytes from a pixel of the row to the next in the smaller map.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(SUM_RECORD, code.arguments(arguments[0], len(SUM_RECORD))))
            larger, smaller, sums = (code.pointer(values[name]) for name in SUM_RECORD[1:4])

            def pixel(index: Value, totals: list[Value]) -> list[Value]:
                place = code.at(larger, builder.mul(index, code.int(larger_step)))
                gradient = code.load(smaller, builder.mul(index, code.int(smaller_step)))
                result = []
                for row in range(rows):
                    for column in range(columns):
                        value = code.load(place, column * column_step)
                        result.append(code.fma(value, gradient, totals[row * columns + column]))
                    place = code.at(place, values["row_step"])
                return result

            totals = code.repeat(values["pixels"], pixel, [code.constant(0)] * (rows * columns))
            for tap, total in enumerate(totals):
                offset = tap * code.vector_bytes
                code.store(code.add(code.load(sums, offset), total), sums, offset)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def product_step() -> Any:
    """Return the step function."""
    return sum_rows


@function
def sum_rows(row: int, _thread: int, threads: int) -> None:
    """Add up the products of every block and part.

    Arguments: blocks, parts, images, rows, pixels; calls, their table (offset in the larger map and in the sums, and
    kernel); row step of taps; address, image step, block step and row step of the larger and the smaller map; sums,
    64-bit words of a unit's.
    """
    words = integers(row)
    blocks, parts, rows, calls = words[1], words[2], words[4], words[6]
    lines = words[3] * rows
    table = numba.carray(integers(words[7]), (calls, 3), np.int64)
    address = blank_record()
    record = integers(address)
    record[0], record[4] = words[5], words[8]
    unit = next_unit(row, -1, threads)
    while unit < blocks * parts:
        block = unit // parts
        part = unit - block * parts
        sums = words[17] + unit * words[18] * 8
        clear(sums, words[18] * 8)
        for line in range(part * lines // parts, (part + 1) * lines // parts):
            image = line // rows
            place = line - image * rows
            larger = words[9] + image * words[10] + block * words[11] + place * words[12]
            record[2] = words[13] + image * words[14] + block * words[15] + place * words[16]
            for call in range(calls):
                record[1] = larger + table[call, 0]
                record[3] = sums + table[call, 1]
                call_tile(table[call, 2], address)
        unit = next_unit(row, unit, threads)


def read_step(precision: Precision) -> Any:
    """Return the step function that adds the parts and writes the plain gradient."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @function
    def read(row: int, _thread: int, threads: int) -> None:
        """Write every channel. Arguments: channels, lanes, blocks, parts, taps; sums; plain gradient."""
        words = integers(row)
        channels, lanes, blocks, parts, taps = words[1], words[2], words[3], words[4], words[5]
        sums = numba.carray(view(words[6]), (blocks, parts, taps, lanes), dtype)
        plain = numba.carray(view(words[7]), (channels, taps), dtype)
        unit = next_unit(row, -1, threads)
        while unit < blocks:
            for lane in range(min(lanes, channels - unit * lanes)):
                for tap in range(taps):
                    value = 0.0
                    for part in range(parts):
                        value += sums[unit, part, tap, lane]
                    plain[unit * lanes + lane, tap] = value
            unit = next_unit(row, unit, threads)

    return read


PARTS = 32
"""Units that a gradient is cut into, if it is large enough."""

LEAST_PIXELS = 512
"""Fewest pixels of a part."""


def weight_gradient(
    field: Field,
    window: Window,
    tensors: tuple[Blocked, Blocked],
    gradient: Array,
    machine: Target,
    precision: Precision,
) -> list[Step]:
    """Return the steps that set ``gradient`` (channels, 1, rows, columns).

    Args:
        field: the smaller map's pixels (its ``target``), and where the larger map's lie at the first tap.
        window: how the convolution goes from the larger map to the smaller one.
        tensors: larger and smaller map.
        gradient: the plain array to write.
        machine: which vectors there are.
        precision: element type.
    """
    (larger, smaller), lanes = tensors, machine.lanes(precision)
    blocks, taps = smaller.memory.shape[1], window.kernel[0] * window.kernel[1]
    lines = field.images * field.rows
    parts = max(1, min(-(-PARTS // blocks), lines * field.columns // LEAST_PIXELS, lines))
    column_step, row_step = window.dilation[1] * larger.pixel_step, window.dilation[0] * larger.row_step
    room = machine.registers - 3
    column_pieces = pieces(window.kernel[1], room)
    row_pieces = pieces(window.kernel[0], max(1, room // column_pieces[0])) if len(column_pieces) == 1 else None
    calls = []
    row = 0
    for rows in row_pieces or [1] * window.kernel[0]:
        column = 0
        for columns in column_pieces:
            kernel = compiled.address(
                "tile", "depthwise_gradient", "product_kernel", machine.name, precision, rows, columns, column_step,
                field.source.pixel_step, field.target.pixel_step,
            )  # fmt: skip
            offset = (row * window.kernel[1] + column) * machine.vector_bytes
            calls.append((row * row_step + column * column_step, offset, kernel))
            column += columns
        row += rows
    table = tabled(calls)
    sums = aligned(blocks * parts * taps * lanes, precision)
    arguments = (
        blocks, parts, field.images, field.rows, field.columns, len(table), table.ctypes.data, row_step,
        *field.source[:4], *field.target[:4], sums.ctypes.data, taps * machine.vector_bytes // 8,
    )  # fmt: skip
    function = compiled.address("step", "depthwise_gradient", "product_step")
    products = Step(
        function, arguments, (table, sums, larger, smaller),
        mult_adds=lines * field.columns * taps * smaller.shape[0], for_weights=True,
    )  # fmt: skip
    reading = (smaller.shape[0], lanes, blocks, parts, taps, sums.ctypes.data, gradient.ctypes.data)
    function = compiled.address("step", "depthwise_gradient", "read_step", precision)
    return [products, Step(function, reading, (sums, gradient))]
