"""Steps that call the micro-kernels of ``sample_tile`` for a whole layer: tables of where they work, and on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.field import Field
from archcost.kernels.function import function
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.panels import pieces
from archcost.kernels.sample_tile import ProductTile, SumTile
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import lines_per_unit, next_near


class Outputs(NamedTuple):
    """Some outputs of a layer that lie equally far apart.

    Attributes:
        number: how many there are.
        weights: address of the first one's weights.
        bias: address of the first one's bias.
        input_offset: byte offset of what they read, for a group of a grouped convolution.
        output_offset: byte offset of the first one.
    """

    number: int
    weights: int
    bias: int
    input_offset: int
    output_offset: int


TapsAt = Callable[[int, int], Integers]
"""Row, column -> its taps: byte offsets (input, weight), (taps, 2); the same table where they are the same."""

PLACE = ("input_offset", "output_offset", "taps", "offsets", "width")
"""Some positions of a row: where they lie in a group of samples, their taps, and which of the widths it is."""

PANEL = ("input_offset", "weights", "bias", "output_offset", "height")
"""Some outputs, and which of the heights it is."""


def sums_step() -> Any:
    """Return the step function."""
    return add_taps


@function
def add_taps(row: int, thread: int, threads: int) -> None:
    """Compute every panel at every place.

    Arguments: groups of samples, places, their table, panels, their table, kernels by width and height, heights, lines
    of a unit; input, its group step; output, its group step; whether it is added to what is there.
    """
    words = integers(row)
    groups, places, panels, heights, unit_lines = words[1], words[2], words[4], words[7], words[8]
    place_table = numba.carray(integers(words[3]), (places, 5), np.int64)
    panel_table = numba.carray(integers(words[5]), (panels, 5), np.int64)
    address = blank_record()
    record = integers(address)
    lines = groups * places * panels
    units = (lines + unit_lines - 1) // unit_lines
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        for line in range(unit * unit_lines, min((unit + 1) * unit_lines, lines)):
            panel = line % panels
            place = line // panels % places
            group = line // (panels * places)
            record[0] = words[9] + group * words[10] + place_table[place, 0] + panel_table[panel, 0]
            record[1] = panel_table[panel, 1]
            record[2] = words[11] + group * words[12] + place_table[place, 1] + panel_table[panel, 3]
            record[3] = panel_table[panel, 2]
            record[4] = record[2] if words[13] else 0
            record[5] = place_table[place, 2]
            record[6] = place_table[place, 3]
            kernel = place_table[place, 4] * heights + panel_table[panel, 4]
            call_tile(integers(words[6])[kernel], address)
        unit = next_near(row, unit, thread, threads, units)


class Pieces(NamedTuple):
    """The most outputs and vectors of a tile."""

    height: int
    width: int


def pieces_of(outputs: int, vectors: int, machine: Target) -> Pieces:
    """Return the tile that computes ``outputs`` x ``vectors`` in the fewest cycles.

    A round multiplies outputs x vectors and loads each of both once; two of either go in a cycle. A chain of sums has a
    latency of four cycles, so that fewer than eight sums wait, and a call costs some cycles of its own.
    """

    def cycles(tile: Pieces) -> float:
        calls = -(-outputs // tile.height) * -(-vectors // tile.width)
        return calls * (max(tile.height * tile.width / 2, (tile.height + tile.width) / 2, 4.0) + 1)

    tiles = [
        Pieces(height, width)
        for height in range(1, min(outputs, 8) + 1)
        for width in range(1, min(vectors, 8) + 1)
        if height * width + width + 1 <= machine.registers
    ]
    return min(tiles, key=cycles)


def summed(
    field: Field,
    taps: TapsAt,
    outputs: Sequence[Outputs],
    steps: tuple[int, int],
    machine: Target,
    precision: Precision,
    keep: Sequence[object],
    *,
    activation: str = "Identity",
    adds: bool = False,
) -> Step:
    """Return the step that computes activation(bias + sum over taps of weight x input).

    Args:
        field: positions of the outputs; its images are groups of samples.
        taps: gives the taps of each position.
        outputs: what is computed at every position.
        steps: bytes from the weight of an output to the next one's, and from an output to the next.
        machine: which vectors there are.
        precision: element type.
        keep: what the addresses point into.
        activation: operator that is fused behind.
        adds: add to what is there.
    """
    rows = [_runs(taps, row, field.columns) for row in range(field.rows)]
    shape = pieces_of(max(one.number for one in outputs), max(run.columns for row in rows for run in row), machine)
    widths = sorted({width for row in rows for run in row for width in pieces(run.columns, shape.width)})
    heights = sorted({count for one in outputs for count in pieces(one.number, shape.height)})
    kernels = [
        compiled.address(
            "tile", "sample_tile", "sum_kernel", machine.name, precision, activation,
            *SumTile(height, width, steps[0], field.source.pixel_step, steps[1], field.target.pixel_step),
        )
        for width in widths for height in heights
    ]  # fmt: skip
    places, rounds = [], 0
    for row, runs in enumerate(rows):
        column = 0
        for length, table in runs:
            rounds += length * len(table)
            for width in pieces(length, shape.width):
                offsets = (row * o.row_step + column * o.pixel_step for o in (field.source, field.target))
                places.append((*offsets, len(table), int(table.ctypes.data), widths.index(width)))
                column += width
    panels = []
    for one in outputs:
        first = 0
        for count in pieces(one.number, shape.height):
            bias = one.bias + first * machine.vector_bytes // machine.lanes(precision)
            place = one.output_offset + first * steps[1]
            panels.append((one.input_offset, one.weights + first * steps[0], bias, place, heights.index(count)))
            first += count
    tables = tabled(places), tabled(panels), np.array(kernels, np.int64)
    products = field.images * rounds * sum(one.number for one in outputs)
    lines = field.images * len(places) * len(panels)
    work = 1 + products // lines
    arguments = (
        field.images, len(places), tables[0].ctypes.data, len(panels), tables[1].ctypes.data, tables[2].ctypes.data,
        len(heights), lines_per_unit(lines, work), field.source.address, field.source.image_step, field.target.address,
        field.target.image_step, int(adds),
    )  # fmt: skip
    function = compiled.address("step", "sample_steps", "sums_step")
    keep = (*tables, rows, *keep)
    return Step(function, arguments, keep, mult_adds=products * machine.lanes(precision))


class Run(NamedTuple):
    """Positions of a row, one beside the other, that have the same taps."""

    columns: int
    taps: Integers


def _runs(taps: TapsAt, row: int, columns: int) -> list[Run]:
    tables = [taps(row, column) for column in range(columns)]
    return [Run(len(run), run[0]) for _, same in groupby(tables, id) for run in [list(same)]]


PRODUCT = ("first", "second", "output", "lines", "offsets", "positions", "kernel")
"""A call of a product kernel: its addresses and counts."""


def products_step() -> Any:
    """Return the step function."""
    return add_products


@function
def add_products(row: int, thread: int, threads: int) -> None:
    """Compute every tile of sums of products. Arguments: tiles, their table."""
    words = integers(row)
    tiles = words[1]
    table = numba.carray(integers(words[2]), (tiles, 7), np.int64)
    address = blank_record()
    record = integers(address)
    unit = next_near(row, -1, thread, threads, tiles)
    while unit < tiles:
        for index in range(6):
            record[index] = table[unit, index]
        call_tile(table[unit, 6], address)
        unit = next_near(row, unit, thread, threads, tiles)


class Product(NamedTuple):
    """Sums over lines of the products of some vectors of one tensor with some of another.

    Attributes:
        first, second, output: addresses.
        lines: byte offsets (first, second) of each line, (lines, 2).
        positions: length of a line.
        tile: the vectors and the steps between them.
        keep: what the addresses point into, beyond what all tiles share.
    """

    first: int
    second: int
    output: int
    lines: Integers
    positions: int
    tile: ProductTile
    keep: tuple[object, ...] = ()


def multiplied(
    products: Sequence[Product], machine: Target, precision: Precision, keep: Sequence[object], mult_adds: int
) -> Step:
    """Return the step that computes sums of products, each a unit of its own.

    Args:
        products: the tiles.
        machine: which vectors there are.
        precision: element type.
        keep: what the addresses point into.
        mult_adds: multiply-adds of a run that make a gradient to weights.
    """
    table = tabled([
        (
            one.first, one.second, one.output, len(one.lines), one.lines.ctypes.data, one.positions,
            compiled.address("tile", "sample_tile", "product_kernel", machine.name, precision, *one.tile),
        )
        for one in products
    ])  # fmt: skip
    function = compiled.address("step", "sample_steps", "products_step")
    keep = (table, *((one.lines, one.keep) for one in products), *keep)
    return Step(function, (len(table), table.ctypes.data), keep, mult_adds=mult_adds, for_weights=True)
