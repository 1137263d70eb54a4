"""The tables that a convolution by Strassen's product works through: pairs of tiles, panels of weights, units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from archcost.kernels import compiled
from archcost.kernels.field import Field
from archcost.kernels.layout import CACHE_LINE, Array
from archcost.kernels.microkernel import Tile
from archcost.kernels.panels import Panels, pieces
from archcost.kernels.step import Integers, tabled
from archcost.kernels.strassen_plan import Split
from archcost.kernels.strassen_tile import PRODUCTS
from archcost.kernels.target import Precision, Target

ARGUMENTS = (
    "units", "unit_table", "planned_threads", "tile_table", "panel_table", "input", "input_right", "input_block_step",
    "input_kernel", "blocks", "offsets", "scratch", "scratch_bytes", "plane_step", "block_bytes", "sum_offsets",
    "depth", "output", "output_block_step", "output_right", "residual", "residual_block_step", "residual_right",
    "bias_right", "vector_bytes", "parts", "prefetch_step", "input_pixel_step",
)  # fmt: skip
"""Arguments of the step, in their order. Steps are bytes."""

UNIT = ("first_tile", "tiles", "first_panel", "end_panel")
TILE = (
    "input_offset", "input_down", "output_offset", "output_down", "residual_offset", "residual_down", "pixels",
    "kernel",
)  # fmt: skip
PANEL = ("weights", "bias", "output_offset", "residual_offset")

Offsets = tuple[int, int, int]
"""Bytes in input, output and residual."""


class Pair(NamedTuple):
    """Two tiles of outputs: where the first lies, how far the other lies behind it, and their pixels."""

    offsets: Offsets
    down: Offsets
    pixels: int


def lined(whole: Field) -> Field:
    """Return the same outputs with all pixels of an image in one row, if the steps between them allow it."""
    field = whole.simplified()
    if field.columns != whole.rows * whole.columns:
        return whole
    return field.moved(field.rows, 1, field.columns, lambda o: (o.row_step, 0, o.pixel_step))


def paired(field: Field, longest: int) -> Iterator[Pair]:
    """Yield the outputs as pairs of tiles that lie beside each other: image by image, from top to bottom.

    Two threads take them from both ends: those of a single image can be shared evenly.

    Args:
        field: the outputs (``lined``).
        longest: most pixels of a tile.
    """
    if field.rows == 1 == field.images:
        half = -(-field.columns // 2)
        count = -(-half // longest)
        longest = -(-half // (count + count % 2))
    for image in range(field.images):
        for row in range(0, field.rows, 2):
            is_middle = field.images == 1 and 2 * row + 2 == field.rows and field.columns % 2 == 0
            if is_middle or row + 1 == field.rows:
                for single in range(row, min(row + 2, field.rows)):
                    yield from _along(field, image, single, longest)
                continue
            column = 0
            for size in pieces(field.columns, longest):
                yield Pair(_offsets(field, image, row, column), _offsets(field, 0, 1, 0), size)
                column += size


def _along(field: Field, image: int, row: int, longest: int) -> Iterator[Pair]:
    """Yield pairs of tiles along a row; if its pixels are odd, both tiles of the last pair have one of them."""
    column = 0
    for size in pieces(-(-field.columns // 2), longest):
        second = min(size, field.columns - column - size)
        yield Pair(_offsets(field, image, row, column), _offsets(field, 0, 0, second), size)
        column += 2 * size


def _offsets(field: Field, image: int, row: int, column: int) -> Offsets:
    """Return where an output lies, from the first one."""
    source, target, residual = (
        image * one.image_step + row * one.row_step + column * one.pixel_step
        for one in (field.source, field.target, field.residual)
    )
    return source, target, residual


def tile_table(pairs: Sequence[Pair], field: Field, activation: str, machine: Target, precision: Precision) -> Integers:
    """Return the table of pairs of tiles.

    Args:
        pairs: the tiles.
        field: the outputs.
        activation: operator that is fused behind.
        machine: which vectors there are.
        precision: element type.
    """
    lanes = machine.lanes(precision)
    unroll = min(4, lanes)

    def kernel(pixels: int) -> int:
        steps = field.source.pixel_step, machine.vector_bytes // lanes, field.target.pixel_step
        return compiled.address(
            "tile", "tiles", "strassen_kernel", machine.name, precision, activation,
            *Tile(pixels, 1, 1, *steps, unroll, prefetch=unroll == 4),
        )  # fmt: skip

    known = {pixels: kernel(pixels) for pixels in sorted({pair.pixels for pair in pairs})}
    return tabled([
        (*(number for both in zip(pair.offsets, pair.down) for number in both), pair.pixels, known[pair.pixels])
        for pair in pairs
    ])  # fmt: skip


def panel_table(block: Panels, factors: Array, biases: Array, field: Field) -> Integers:
    """Return the table of panels of the first half of the output channels, and a last row that ends them.

    Args:
        block: panels of one of the four blocks of the weight, of one vector each.
        factors: seven for each panel, panel by panel.
        biases: a number for each output channel, in whole blocks.
        field: the outputs.
    """
    size, weights, bias = factors.itemsize, int(factors.ctypes.data), int(biases.ctypes.data)
    steps = block.lanes * size, field.target.block_step, field.residual.block_step
    return tabled([
        (weights + PRODUCTS * start * size, bias + number * steps[0], number * steps[1], number * steps[2])
        for number, start in enumerate(block.starts)
    ])  # fmt: skip


def units(pixels: Sequence[int], panels: int, split: Split) -> list[tuple[int, int, int, int]]:
    """Return the units, an even number for two threads: panel groups inside, to read a part of the weights often.

    Args:
        pixels: of each pair of tiles.
        panels: how many.
        split: how the work is cut.
    """
    total, done, ends = sum(pixels), 0, [0]
    count = -(-total // split.pixels_of_unit)
    count += count % 2
    for number, size in enumerate(pixels, 1):
        done += size
        if done * count >= total * len(ends):
            ends.append(number)
    sizes = pieces(panels, -(-panels // split.panel_groups))
    groups = [(sum(sizes[:number]), sum(sizes[: number + 1])) for number in range(len(sizes))]
    return [(first, end - first, *group) for first, end in pairwise(ends) for group in groups]


def reading_ahead(tiles: int, vector_bytes: int) -> tuple[int, int]:
    """Return how many tiles of a unit read ahead the next panel, and the bytes that each does in a round of the depth.

    As many as there are, so that it goes on evenly: the weights of a unit are more than the second cache level holds.

    Args:
        tiles: of a unit.
        vector_bytes: size of a vector.
    """
    round_bytes, parts = 4 * vector_bytes, 1
    while 2 * parts <= tiles and round_bytes // (2 * parts) >= CACHE_LINE:
        parts *= 2
    return parts, round_bytes // parts
