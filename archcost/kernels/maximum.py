"""The gradient of max pooling: each output's gradient goes to the first maximum of its window.

Which element that was is found by comparing the window with the output again, lane by lane: cheaper than to write and
read indices. Windows overlap, so that one thread does a whole channel block of an image, window after window. Where
they do not, and leave nothing out, each element is written once.

The gradient of a ReLU in front of the pool is taken along: a window whose maximum is not positive gives nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.geometry import Pair
from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_near
from archcost.kernels.vector import Code, Value
from archcost.kernels.window import Window, runs

RECORD = ("pixels", "input", "input_step", "gradient", "output", "gradient_output", "output_step",
          "input_row_step", "gradient_row_step", "rows", "columns")  # fmt: skip
"""What a kernel call reads: input, its gradient, output and its gradient for the first of ``pixels`` windows."""


def maximum_kernel(
    target: str, precision: Precision, rows: int, columns: int, overwrites: bool, rectified: bool
) -> Any:
    """Return the loop over the windows of a run, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        rows: rows of a window; 0 to read them from the record.
        columns: columns of a window; 0 to read them from the record.
        overwrites: set the input's gradient instead of adding to it.
        rectified: let nothing through where the maximum is not positive.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(RECORD, code.arguments(arguments[0], len(RECORD))))
            _write_run(code, values, (rows, columns), overwrites, rectified)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def _write_run(code: Code, values: dict[str, Value], fixed: Pair, overwrites: bool, rectified: bool) -> None:
    rows, columns = fixed

    def tap(source: Value, gradient: Value, largest: Value, left: Value) -> Value:
        """Give what is ``left`` to this element in the lanes where it is the largest; return what is left then."""
        is_it = code.builder.fcmp_ordered("==", code.load(source), largest)
        nothing = code.constant(0)
        share = code.builder.select(is_it, left, nothing)
        code.store(share if overwrites else code.add(code.load(gradient), share), gradient)
        return code.builder.select(is_it, nothing, left)

    def line(_: Value, carried: list[Value]) -> list[Value]:
        source, gradient, largest, left = carried
        if columns:
            for column in range(columns):
                place = column * code.vector_bytes
                left = tap(code.at(source, place), code.at(gradient, place), largest, left)
        else:

            def one(_: Value, inner: list[Value]) -> list[Value]:
                left = tap(inner[0], inner[1], largest, inner[2])
                return [code.at(inner[0], code.vector_bytes), code.at(inner[1], code.vector_bytes), left]

            left = code.repeat(values["columns"], one, [source, gradient, left])[2]
        following = code.at(source, values["input_row_step"]), code.at(gradient, values["gradient_row_step"])
        return [*following, largest, left]

    def window(_: Value, places: list[Value]) -> list[Value]:
        source, gradient, output, from_output = places
        largest, left = code.load(output), code.load(from_output)
        if rectified:
            is_positive = code.builder.fcmp_ordered(">", largest, code.constant(0))
            left = code.builder.select(is_positive, left, code.constant(0))
        carried = [source, gradient, largest, left]
        if rows:
            for _ in range(rows):
                carried = line(None, carried)
        else:
            code.repeat(values["rows"], line, carried)
        inputs = [code.at(place, values["input_step"]) for place in places[:2]]
        return [*inputs, *(code.at(place, values["output_step"]) for place in places[2:])]

    names = ("input", "gradient", "output", "gradient_output")
    code.repeat(values["pixels"], window, [code.pointer(values[name]) for name in names])


def zero_kernel(target: str, precision: Precision) -> Any:
    """Return the loop that sets pixels to zero, as an intrinsic; its record: pixels, address."""
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            pixels, address = code.arguments(arguments[0], 2)

            def pixel(_: Value, places: list[Value]) -> list[Value]:
                code.store(code.constant(0), places[0])
                return [code.at(places[0], code.vector_bytes)]

            code.repeat(pixels, pixel, [code.pointer(address)])
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def maximum_step() -> Any:
    """Return the step function."""
    return spread_maxima


@function
def spread_maxima(row: int, thread: int, threads: int) -> None:
    """Give the gradients of all windows of every block to the inputs.

    Arguments: images, blocks, output rows, table of rows, runs, table of runs, rows and columns of the usual window,
    its kernel, the kernel of any window, the kernel that sets zeros (0 if none are needed), height and width of the
    input; address and steps of image, block, row of input, its gradient, output and its gradient; pixel step.
    """
    words = integers(row)
    images, blocks, rows, runs_of_row = words[1], words[2], words[3], words[5]
    row_table = numba.carray(integers(words[4]), (rows, 3), np.int64)
    run_table = numba.carray(integers(words[6]), (runs_of_row, 7), np.int64)
    height, pixel_step = words[12], words[30]
    address, clearing = blank_record(), blank_record()
    record, blank = integers(address), integers(clearing)
    record[7], record[8] = words[17], words[21]
    blank[0] = words[13]
    unit = next_near(row, -1, thread, threads, images * blocks)
    while unit < images * blocks:
        image, block = unit // blocks, unit % blocks
        source = words[14] + image * words[15] + block * words[16]
        gradient = words[18] + image * words[19] + block * words[20]
        blanked = height if words[11] == 0 else 0
        for place in range(rows + 1):
            # Rows are set to zero when the first window reaches them: they are still in the first cache level then.
            end = row_table[place, 0] + row_table[place, 1] if place < rows else height
            while blanked < end:
                blank[1] = gradient + blanked * words[21]
                call_tile(words[11], clearing)
                blanked += 1
            if place == rows:
                break
            first = row_table[place, 0]
            output = words[22] + image * words[23] + block * words[24] + place * words[25]
            from_output = words[26] + image * words[27] + block * words[28] + place * words[29]
            record[9] = row_table[place, 1]
            for run in range(runs_of_row):
                start, position = run_table[run, 3] * pixel_step, run_table[run, 0] * pixel_step
                record[0] = run_table[run, 1]
                record[1] = source + first * words[17] + start
                record[2] = run_table[run, 4] * pixel_step
                record[3] = gradient + first * words[21] + start
                record[4] = output + position
                record[5] = from_output + position
                record[6] = run_table[run, 2] * pixel_step
                record[10] = run_table[run, 5]
                usual = record[9] == words[7] and record[10] == words[8]
                call_tile(words[9] if usual else words[10], address)
        unit = next_near(row, unit, thread, threads, images * blocks)


def maximum_gradient(
    tensors: tuple[Blocked, Blocked, Blocked, Blocked],
    windows: tuple[list[Window], list[Window]],
    kernel: tuple[int, int],
    adds: bool,
    machine: Target,
    precision: Precision,
    *,
    rectified: bool = False,
) -> Step:
    """Return the step for the gradient of the maximum over ``windows``.

    Args:
        tensors: input, its gradient, output, its gradient.
        windows: of the output's rows and columns.
        kernel: rows and columns of a window that no border cuts.
        adds: add to the input's gradient instead of overwriting it.
        machine: which vectors there are.
        precision: element type.
        rectified: take the gradient of a ReLU along, whose output the input is.
    """

    def address(factory: str, *arguments: int) -> int:
        return compiled.address("tile", "maximum", factory, machine.name, precision, *arguments)

    source, _, output, _ = tensors
    overwrites = not adds and all(_tile(axis, size) for axis, size in zip(windows, source.shape[1:]))
    ways = overwrites, rectified
    row_table, run_table = tabled(windows[0]), tabled(runs(windows[1]))
    written_out = kernel if kernel[0] * kernel[1] <= 16 else (0, 0)
    _, height, width = source.shape
    arguments = (
        source.images, source.memory.shape[1], output.shape[1], row_table.ctypes.data, len(run_table),
        run_table.ctypes.data, *kernel,
        address("maximum_kernel", *written_out, *ways), address("maximum_kernel", 0, 0, *ways),
        0 if adds or overwrites else address("zero_kernel"), height, width,
        *(number for tensor in tensors
          for number in (tensor.address(), tensor.image_step, tensor.block_step, tensor.row_step)),
        source.pixel_step,
    )  # fmt: skip
    return Step(compiled.address("step", "maximum", "maximum_step"), arguments, (*tensors, row_table, run_table))


def _tile(windows: Sequence[Window], size: int) -> bool:
    """Return whether windows lie side by side and leave nothing of an axis out."""
    ends = [0, *(window.start + window.length for window in windows)]
    return ends[-1] == size and all(window.start == end for window, end in zip(windows, ends))
