"""Reductions over sliding windows: what every pooling operator, and every gradient of an average, is made of.

An output vector is a maximum or a sum over a rectangle of input vectors, whose rows and columns stand in tables
(``window.py``). Neighbouring outputs whose rectangles have one size and move by one step form a run, and a kernel call
computes a run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.geometry import Pair
from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.pointwise import Operand
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import lines_per_unit, next_near
from archcost.kernels.vector import Code, Value
from archcost.kernels.window import Window, runs

Kind = Literal["max", "mean", "weighted", "product", "affine"]
"""What is made of a window: its maximum; its sum divided by a count; the sum of its taps, each times a weight; its sum
times a factor; its sum times a factor plus a term."""

WRITTEN_OUT = 16
"""Most taps (or columns) of a kernel that is generated for one size of window."""

COMMON = 0.2
"""Share of all outputs from which a size of window gets a kernel of its own."""

RECORD = ("pixels", "output", "output_step", "source", "source_step", "source_row_step", "rows", "columns", "divisor",
          "factor", "factor_step", "term", "weights", "weight_step", "weight_row_step")  # fmt: skip
"""What a kernel call reads: addresses, counts, and distances in bytes from one output (or row of taps) to the next."""


def window_kernel(target: str, precision: Precision, kind: Kind, rows: int, columns: int, adds: bool) -> Any:
    """Return the loop over the outputs of a run, as an intrinsic.

    Args:
        target: name of the target.
        precision: element type.
        kind: what is made of a window.
        rows: rows of a window; 0 to read them from the record.
        columns: columns of a window; 0 to read them from the record.
        adds: add to the output instead of overwriting it.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            values = dict(zip(RECORD, code.arguments(arguments[0], len(RECORD))))
            size = (code.int(rows) if rows else values["rows"], code.int(columns) if columns else values["columns"])
            _write_run(code, values, kind, size, (rows, columns), adds)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def _write_run(
    code: Code, values: dict[str, Value], kind: Kind, size: tuple[Value, Value], fixed: Pair, adds: bool
) -> None:
    start = code.constant(float("-inf") if kind == "max" else 0.0)
    scale = code.div(code.constant(1), code.splat(code.builder.sitofp(values["divisor"], code.scalar)))
    there = code.builder.icmp_signed(">", code.builder.mul(*size), code.int(0))

    def pixel(_: Value, places: list[Value]) -> list[Value]:
        output, source, factor, weights = places

        def window() -> list[Value]:
            if fixed[0]:
                taps, place = [], source
                for _ in range(fixed[0]):
                    taps += [code.load(place, column * code.vector_bytes) for column in range(fixed[1])]
                    place = code.at(place, values["source_row_step"])
                return [_tree(code, kind, taps)]

            def line(_: Value, carried: list[Value]) -> list[Value]:
                total, place, weight = carried
                part = _line(code, kind, place, weight, size[1], fixed[1])
                following = code.at(weight, values["weight_row_step"])
                return [_combine(code, kind, total, part), code.at(place, values["source_row_step"]), following]

            return code.repeat(size[0], line, [start, source, weights])[:1]

        result = window()[0] if fixed[1] else code.choose(there, window, [start])[0]
        if kind == "mean":
            result = code.mul(result, scale)
        elif kind == "product":
            result = code.mul(result, code.load(factor))
        elif kind == "affine":
            result = code.fma(result, code.load(factor), code.load(code.pointer(values["term"])))
        code.store(code.add(code.load(output), result) if adds else result, output)
        steps = (values["output_step"], values["source_step"], values["factor_step"], values["weight_step"])
        return [code.at(place, step) for place, step in zip(places, steps)]

    names = ("output", "source", "factor", "weights")
    code.repeat(values["pixels"], pixel, [code.pointer(values[name]) for name in names])


def _line(code: Code, kind: Kind, source: Value, weights: Value, columns: Value, fixed: int) -> Value:
    """Return what one row of a window amounts to."""
    step = code.vector_bytes
    start = code.constant(float("-inf") if kind == "max" else 0.0)
    if kind == "weighted":

        def tap(index: Value, carried: list[Value]) -> list[Value]:
            weight = code.broadcast(weights, code.builder.mul(index, code.int(code.element_bytes)))
            value = code.load(source, code.builder.mul(index, code.int(step)))
            return [code.fma(weight, value, carried[0])]

        return code.repeat(columns, tap, [start])[0]
    if fixed:
        return _tree(code, kind, [code.load(source, column * step) for column in range(fixed)])

    def four(_: Value, carried: list[Value]) -> list[Value]:
        *sums, place = carried
        new = [_combine(code, kind, total, code.load(place, index * step)) for index, total in enumerate(sums)]
        return [*new, code.at(place, 4 * step)]

    def one(_: Value, carried: list[Value]) -> list[Value]:
        return [_combine(code, kind, carried[0], code.load(carried[1])), code.at(carried[1], step)]

    # Four chains of additions hide their latency; what is left over goes one by one.
    many = code.builder.and_(columns, code.int(-4))
    rest = code.builder.sub(columns, many)
    carried = [start] * 4 + [source]
    is_some = code.builder.icmp_signed(">", many, code.int(0))
    *sums, place = code.choose(is_some, lambda: code.repeat(many, four, carried, step=4), carried)
    last = [_tree(code, kind, sums), place]
    is_more = code.builder.icmp_signed(">", rest, code.int(0))
    return code.choose(is_more, lambda: code.repeat(rest, one, last), last)[0]


def _largest(code: Code, values: Sequence[Value]) -> Value:
    """Return the largest of each lane; not a number wins, as in PyTorch: a pooled map must not hide it.

    One comparison tells of two values whether both are numbers.
    """
    builder, largest = code.builder, values[0]
    pairs = list(zip(values[::2], values[1::2])) + [(values[-1], values[-1])] * (len(values) % 2)
    unordered = builder.fcmp_unordered("uno", *pairs[0])
    for pair in pairs[1:]:
        unordered = builder.or_(unordered, builder.fcmp_unordered("uno", *pair))
    for value in values[1:]:
        largest = builder.select(builder.fcmp_ordered(">", largest, value), largest, value)
    return builder.select(unordered, code.constant(float("nan")), largest)


def _tree(code: Code, kind: Kind, values: Sequence[Value]) -> Value:
    """Return the values combined in pairs, then the pairs, and so on."""
    if kind == "max":
        return _largest(code, values)
    while len(values) > 1:
        pairs = [_combine(code, kind, a, b) for a, b in zip(values[::2], values[1::2])]
        values = [*pairs, values[-1]] if len(values) % 2 else pairs
    return values[0]


def _combine(code: Code, kind: Kind, a: Value, b: Value) -> Value:
    return _largest(code, [a, b]) if kind == "max" else code.add(a, b)


ROW_TABLE = ("start", "length", "divisor", "length_index")
RUN_TABLE = ("first", "pixels", "step", "start", "start_step", "length", "divisor", "length_index")


def window_step() -> Any:
    """Return the step function."""
    return slide_windows


@function
def slide_windows(row: int, thread: int, threads: int) -> None:
    """Compute every run of every output row of every block.

    Arguments: images, blocks, rows, table of rows, runs, table of runs, table of kernels (length of rows, length of
    columns), its columns, lines of a unit; five each of source, output and factor (``Operand``); address and block
    step of the term; weights, bytes of a weight, bytes of a row of weights.
    """
    words = integers(row)
    images, blocks, rows, runs_of_row = words[1], words[2], words[3], words[5]
    row_table = numba.carray(integers(words[4]), (rows, 4), np.int64)
    run_table = numba.carray(integers(words[6]), (runs_of_row, 8), np.int64)
    kernels = integers(words[7])
    kernel_columns, unit_lines = words[8], words[9]
    lines = images * blocks * rows
    address = blank_record()
    record = integers(address)
    record[5] = words[13]
    record[14] = words[29]
    units = (lines + unit_lines - 1) // unit_lines
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for line in range(unit * unit_lines, min((unit + 1) * unit_lines, lines)):
            image = line // (blocks * rows)
            block = (line // rows) % blocks
            place = line % rows
            window = row_table[place, 0]
            source = words[10] + image * words[11] + block * words[12] + window * words[13]
            output = words[15] + image * words[16] + block * words[17] + place * words[18]
            factor = words[20] + image * words[21] + block * words[22] + place * words[23]
            record[6] = row_table[place, 1]
            record[11] = words[25] + block * words[26]
            for run in range(runs_of_row):
                first, start = run_table[run, 0], run_table[run, 3]
                record[0] = run_table[run, 1]
                record[1] = output + first * words[19]
                record[2] = run_table[run, 2] * words[19]
                record[3] = source + start * words[14]
                record[4] = run_table[run, 4] * words[14]
                record[7] = run_table[run, 5]
                record[8] = row_table[place, 2] * run_table[run, 6]
                record[9] = factor + first * words[24]
                record[10] = run_table[run, 2] * words[24]
                record[12] = words[27] + window * words[29] + start * words[28]
                record[13] = run_table[run, 4] * words[28]
                call_tile(kernels[row_table[place, 3] * kernel_columns + run_table[run, 7]], address)
        unit = next_near(row, unit, thread, threads, units)


NOTHING = Operand(0, 0, 0, 0, 0)


def windowed(
    kind: Kind,
    source: Blocked,
    output: Blocked,
    windows: tuple[Sequence[Window], Sequence[Window]],
    machine: Target,
    precision: Precision,
    *,
    factor: Operand = NOTHING,
    term: Operand = NOTHING,
    weights: Array | None = None,
    adds: bool = False,
    keep: Sequence[object] = (),
) -> Step:
    """Return the step that computes every output of ``output`` from its window of ``source``.

    Args:
        kind: what is made of a window.
        source: where the windows lie; its halo is not read.
        output: where the results go.
        windows: of the output's rows and columns.
        machine: which vectors there are.
        precision: element type.
        factor: of the kinds "product" and "affine".
        term: of the kind "affine": per channel.
        weights: of the kind "weighted": one number for each pixel of ``source``, (H, W).
        adds: add to the output instead of overwriting it.
        keep: tensors that the operands point into.
    """
    row_lengths = _lengths([window.length for window in windows[0]])
    grouped = runs(windows[1])
    column_lengths = _lengths([length for _, pixels, _, _, _, length, _ in grouped for _ in range(pixels)])
    kernels = [
        _kernel(kind, _size(row, column, row_lengths, column_lengths), adds, machine, precision)
        for row in row_lengths
        for column in column_lengths
    ]
    row_indices, column_indices = ({length: i for i, length in enumerate(x)} for x in (row_lengths, column_lengths))
    row_table = tabled([(*window, row_indices[window.length]) for window in windows[0]])
    run_table = tabled([(*run, column_indices[run[5]]) for run in grouped])
    kernel_table = tabled([kernels])
    blocks, (_, height, width) = output.memory.shape[1], output.shape
    taps = max(1, sum(window.length for window in windows[1])) * max(1, windows[0][len(windows[0]) // 2].length)
    arguments = (
        output.images, blocks, height, row_table.ctypes.data, len(grouped), run_table.ctypes.data,
        kernel_table.ctypes.data, len(column_lengths), lines_per_unit(output.images * blocks * height, taps + width),
        *Operand.exact(source), *Operand.exact(output), *factor, term.address, term.block_step,
        *((0, 0, 0) if weights is None else (weights.ctypes.data, weights.itemsize, weights.strides[0])),
    )  # fmt: skip
    function = compiled.address("step", "windowed", "window_step")
    return Step(function, arguments, (source, output, row_table, run_table, kernel_table, weights, *keep))


def _lengths(lengths: Sequence[int]) -> dict[int, float]:
    """Return the lengths that occur, with their shares."""
    return {length: count / len(lengths) for length, count in sorted(Counter(lengths).items())}


def _size(row: int, column: int, rows: dict[int, float], columns: dict[int, float]) -> Pair:
    """Return the rows and columns that a kernel is generated for, 0 for any."""
    if rows[row] * columns[column] < COMMON or not 0 < column <= WRITTEN_OUT or row == 0:
        return 0, 0
    return (row if row * column <= WRITTEN_OUT else 0), column


def _kernel(kind: Kind, size: Pair, adds: bool, machine: Target, precision: Precision) -> int:
    size = (0, 0) if kind == "weighted" else size
    return compiled.address("tile", "windowed", "window_kernel", machine.name, precision, kind, *size, adds)
