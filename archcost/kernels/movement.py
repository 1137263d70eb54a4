"""Moving elements: every output element is a copy of one input element, found axis by axis, or a constant.

Three maps say from which input channel, row and column an output channel, row and column come: a slice, a crop, a
concatenation, a shuffle, padding are nothing else, and neither are their gradients (a map turned around, more than one
where an input element was copied more than once). Along rows and columns whole vectors move. Across channels a vector
is put together from lanes of several blocks, by shuffles that are constants of the generated code as long as few
different ones are needed, else element by element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import lines_per_unit, next_unit
from archcost.kernels.vector import Code, Value

FILL, SKIP = -1, -2
"""In a map: the constant; nothing at all (what is there stays)."""

PATTERNS = 8
"""Most different shuffles of a step; each is machine code of its own."""


class Maps(NamedTuple):
    """Where the output's channels, rows and columns come from: a position of the source, ``FILL`` or ``SKIP``.

    Attributes:
        channels: (number of the source, channel) for each channel; ``SKIP`` only for whole blocks or with adding.
        rows: for each row.
        columns: for each column.
    """

    channels: Sequence[tuple[int, int]]
    rows: Sequence[int]
    columns: Sequence[int]


def lanes_kernel(target: str, precision: Precision, adds: bool, slots: int, pattern: tuple[int, ...]) -> Any:
    """Return the loop over a run of pixels, as an intrinsic.

    Its record: pixels, output, then the address and pixel step of each slot.

    Args:
        target: name of the target.
        precision: element type.
        adds: add to the output instead of overwriting it.
        slots: source vectors that an output vector is put together from.
        pattern: for each lane, slot * lanes + lane of the source; empty if each lane has a slot of its own element.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            pixels, output, *rest = code.arguments(arguments[0], 2 + 2 * slots)
            steps = [code.int(code.vector_bytes), *rest[1::2]]

            def pixel(_: Any, places: list[Value]) -> list[Value]:
                value = _joined(code, places[1:], pattern) if pattern else _gathered(code, places[1:])
                code.store(code.add(code.load(places[0]), value) if adds else value, places[0])
                return [code.at(place, step) for place, step in zip(places, steps)]

            code.repeat(pixels, pixel, [code.pointer(address) for address in (output, *rest[0::2])])
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def _joined(code: Code, places: list[Value], pattern: tuple[int, ...]) -> Value:
    """Return the lanes that ``pattern`` names of the vectors at ``places``."""
    lanes = code.lanes
    value = code.load(places[0])
    if len(places) == 1:
        return value if pattern == tuple(range(lanes)) else code.shuffled(value, value, pattern)
    chosen = [number if number < 2 * lanes else lane for lane, number in enumerate(pattern)]
    value = code.shuffled(value, code.load(places[1]), chosen)
    for slot in range(2, len(places)):
        chosen = [
            number - (slot - 1) * lanes if number // lanes == slot else lane for lane, number in enumerate(pattern)
        ]
        value = code.shuffled(value, code.load(places[slot]), chosen)
    return value


def _gathered(code: Code, places: list[Value]) -> Value:
    """Return a vector of the elements at ``places``."""
    value = code.constant(0)
    for lane, place in enumerate(places):
        pointer = code.builder.bitcast(place, code.scalar.as_pointer())
        element = code.builder.load(pointer, align=code.element_bytes)
        value = code.builder.insert_element(value, element, ir.Constant(ir.IntType(32), lane))
    return value


def movement_step() -> Any:
    """Return the step function."""
    return move


@function
def move(row: int, _thread: int, threads: int) -> None:
    """Compute every run of every row of every block.

    Arguments: images, blocks, table of blocks, its columns, rows, table of rows, runs, table of runs, lines of a unit,
    output, its image step and row step, constant, kernel that writes it, bytes of a vector. A row of the table of
    blocks: offset in the output, kernel, slots, then of each slot the address, image step, row step and pixel step.
    """
    words = integers(row)
    images, blocks, columns, rows, runs_of_row = words[1], words[2], words[4], words[5], words[7]
    block_table = numba.carray(integers(words[3]), (blocks, columns), np.int64)
    row_table = numba.carray(integers(words[6]), (rows, 2), np.int64)
    run_table = numba.carray(integers(words[8]), (runs_of_row, 4), np.int64)
    unit_lines, output, output_image, output_row = words[9], words[10], words[11], words[12]
    constant, fill_kernel, vector = words[13], words[14], words[15]
    lines = images * blocks * rows
    moving, filling = blank_record(), blank_record()
    record, blank = integers(moving), integers(filling)
    blank[2] = constant
    unit = next_unit(row, -1, threads)
    while unit * unit_lines < lines:
        for line in range(unit * unit_lines, min((unit + 1) * unit_lines, lines)):
            image = line // (blocks * rows)
            block = (line // rows) % blocks
            place, source_row = row_table[line % rows, 0], row_table[line % rows, 1]
            target = output + image * output_image + block_table[block, 0] + place * output_row
            kernel, slots = block_table[block, 1], block_table[block, 2]
            for run in range(runs_of_row):
                first, start, step = run_table[run, 0], run_table[run, 2], run_table[run, 3]
                if source_row < 0 or start < 0:
                    blank[0] = run_table[run, 1]
                    blank[1] = target + first * vector
                    call_tile(fill_kernel, filling)
                    continue
                record[0] = run_table[run, 1]
                record[1] = target + first * vector
                for slot in range(slots):
                    at = 3 + 4 * slot
                    pixel_step = block_table[block, at + 3]
                    address = block_table[block, at] + image * block_table[block, at + 1]
                    record[2 + 2 * slot] = address + source_row * block_table[block, at + 2] + start * pixel_step
                    record[3 + 2 * slot] = step * pixel_step
                call_tile(kernel, moving)
        unit = next_unit(row, unit, threads)


def movement(
    output: Blocked,
    sources: Sequence[Blocked],
    maps: Maps,
    machine: Target,
    precision: Precision,
    *,
    adds: bool = False,
    fill: float = 0.0,
) -> list[Step]:
    """Return the step that computes ``output`` from ``sources`` by ``maps``; none if there is nothing to do.

    Args:
        output: what is written.
        sources: what is read.
        maps: where the output's channels, rows and columns come from.
        machine: which vectors there are.
        precision: element type.
        adds: add to the output; the constant adds nothing.
        fill: the constant.
    """
    left_out = (FILL, SKIP) if adds else (SKIP,)
    rows = tabled([(place, source) for place, source in enumerate(maps.rows) if source not in left_out] or [(0, 0)])
    grouped = tabled(_runs(maps.columns, left_out) or [(0, 0, 0, 0)])
    constant = aligned(output.lanes, output.memory.dtype)
    constant[:] = fill
    blocks = _blocks(output, sources, maps.channels, constant, machine, precision, adds)
    if not len(blocks) or not (grouped[:, 1].any() and any(source not in left_out for source in maps.rows)):
        return []
    fill_kernel = _kernel(machine, precision, adds=False, slots=1, pattern=tuple(range(output.lanes)))
    lines = output.images * len(blocks) * len(rows)
    arguments = (
        output.images, len(blocks), blocks.ctypes.data, blocks.shape[1], len(rows), rows.ctypes.data, len(grouped),
        grouped.ctypes.data, lines_per_unit(lines, 2 * len(maps.columns)), output.address(), output.image_step,
        output.row_step, constant.ctypes.data, fill_kernel, output.pixel_step,
    )  # fmt: skip
    function = compiled.address("step", "movement", "movement_step")
    return [Step(function, arguments, (output, *sources, blocks, rows, grouped, constant))]


def _kernel(machine: Target, precision: Precision, *, adds: bool, slots: int, pattern: tuple[int, ...]) -> int:
    return compiled.address("tile", "movement", "lanes_kernel", machine.name, precision, adds, slots, pattern)


def _runs(columns: Sequence[int], left_out: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return columns in runs: first, how many, first of the source (or ``FILL``), its step."""
    result: list[list[int]] = []
    for place, source in enumerate(columns):
        if source in left_out:
            continue
        if result and result[-1][0] + result[-1][1] == place and (source == FILL) == (result[-1][2] == FILL):
            first, pixels, start, step = result[-1]
            if source == FILL or pixels == 1 or source == start + pixels * step:
                result[-1] = [first, pixels + 1, start, 0 if source == FILL else (source - start) // pixels]
                continue
        result.append([place, 1, source, 0])
    return [tuple(run) for run in result]


def _blocks(
    output: Blocked,
    sources: Sequence[Blocked],
    channels: Sequence[tuple[int, int]],
    constant: Array,
    machine: Target,
    precision: Precision,
    adds: bool,
) -> Integers:
    """Return the table of the output's blocks (``move``)."""
    lanes = output.lanes
    plans = []
    for block in range(output.memory.shape[1]):
        wanted = list(channels[block * lanes : (block + 1) * lanes])
        if any(source >= 0 if adds else source != SKIP for source, _ in wanted):
            plans.append((block, wanted, *_pattern(wanted, lanes)))
    patterns = {(len(slots), pattern) for _, _, slots, pattern in plans}
    rows = []
    for block, wanted, slots, pattern in plans:
        if len(slots) > 1 and len(patterns) > PATTERNS:
            # Every lane becomes a slot, with the address of its element.
            found = [(source, channel // lanes, channel % lanes) for source, channel in wanted]
            found += [(FILL, 0, 0)] * (lanes - len(wanted))
            kernel = _kernel(machine, precision, adds=adds, slots=lanes, pattern=())
        else:
            found = [(source, number, 0) for source, number in slots]
            kernel = _kernel(machine, precision, adds=adds, slots=len(slots), pattern=pattern)
        numbers: list[int] = []
        for source, number, lane in found:
            if source < 0:
                numbers += (constant.ctypes.data, 0, 0, 0)
            else:
                tensor = sources[source]
                start = tensor.address() + number * tensor.block_step + lane * tensor.memory.itemsize
                numbers += (start, tensor.image_step, tensor.row_step, tensor.pixel_step)
        rows.append([block * output.block_step, kernel, len(found), *numbers])
    longest = max((len(row) for row in rows), default=0)
    return tabled([row + [0] * (longest - len(row)) for row in rows]) if rows else np.zeros((0, 3), np.int64)


def _pattern(wanted: Sequence[tuple[int, int]], lanes: int) -> tuple[list[tuple[int, int]], tuple[int, ...]]:
    """Return the blocks that a block is put together from, (source, block), and from which lane each lane comes.

    Lanes beyond the channels take what lies in their place in the first block.
    """
    slots: list[tuple[int, int]] = []
    pattern = []
    for source, channel in wanted:
        slot = (source, channel // lanes) if source >= 0 else (FILL, 0)
        if slot not in slots:
            slots.append(slot)
        pattern.append(slots.index(slot) * lanes + (channel % lanes if source >= 0 else 0))
    pattern += range(len(pattern), lanes)
    return slots, tuple(pattern)


def turned_around(positions: Sequence[int], size: int) -> list[list[int]]:
    """Return the maps that bring gradients back to an axis of ``size`` whose copies went by ``positions``.

    The first map holds the first copy of each element, ``FILL`` for an element without any; the next ones, to be added,
    the second copies, and so on.
    """
    copies: list[list[int]] = [[] for _ in range(size)]
    for place, source in enumerate(positions):
        if source >= 0:
            copies[source].append(place)
    most = max(1, *(len(places) for places in copies))
    return [[places[turn] if turn < len(places) else FILL for places in copies] for turn in range(most)]
