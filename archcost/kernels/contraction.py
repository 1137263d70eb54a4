"""Sums over taps and channels as calls of the micro-kernel: one step function for every convolution and dense layer.

The work of a step is cut into units, (a few tiles) x (a few panels of weights); the threads take them from one counter.
A tile is a piece of an output row; a panel is a few vectors of output channels with its packed weights and the table of
its taps. What differs between convolutions, their gradients and dense layers stands in the tables, not in the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.field import Field, tile_rows
from archcost.kernels.function import function
from archcost.kernels.layout import Array
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.microkernel import Tile
from archcost.kernels.panels import Panels, pieces
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_near

INPUT_BYTES_PER_UNIT = 384 * 1024
"""A unit's tiles and one panel stay in the second cache level together."""

WEIGHTS_PER_INPUT = 4
"""Where the weights are so much larger than the input, units go through few panels, to read each of them once."""

PREFETCHED = 256
"""Bytes that a tile reads ahead in one round of four k."""

ARGUMENTS = (
    "images",
    "tiles",
    "tile_table",
    "panels",
    "panel_table",
    "depth",
    "input",
    "input_image_step",
    "output",
    "output_image_step",
    "output_vector_step",
    "residual",
    "residual_image_step",
    "residual_vector_step",
    "input_row_step",
    "output_row_step",
    "residual_row_step",
    "tiles_per_unit",
    "panels_per_unit",
    "tiles_that_prefetch",
)
"""Arguments of the step, in their order. Steps are bytes."""

TILE_ROW = ("input_offset", "output_offset", "residual_offset", "kernel", "other_kernel")
"""A tile: where it lies in an image, and its micro-kernel for wide panels and for those of a vector less."""

PANEL_ROW = ("weights", "bias", "taps", "offsets", "output_offset", "residual_offset", "is_other")
"""A panel: its packed weights and biases, its table of taps, and where its channels lie in an image."""


def contraction_step() -> Any:
    """Return the step function."""
    return contract_all


@function
def contract_all(row: int, thread: int, threads: int) -> None:
    """Compute every tile of every panel."""
    words = integers(row)
    images, tiles = words[1], words[2]
    tile_table = numba.carray(integers(words[3]), (tiles, 5), np.int64)
    panels = words[4]
    panel_table = numba.carray(integers(words[5]), (panels, 7), np.int64)
    source, source_step, target, target_step = words[7], words[8], words[9], words[10]
    residual, residual_step = words[12], words[13]
    tiles_per_unit, panels_per_unit, parts = words[18], words[19], words[20]

    address = blank_record()
    record = integers(address)
    record[5] = words[6]
    record[6] = words[11]
    record[9] = words[14]
    record[10] = words[15]
    record[11] = words[16]
    record[12] = words[17]

    total = images * tiles
    blocks = (total + tiles_per_unit - 1) // tiles_per_unit
    groups = (panels + panels_per_unit - 1) // panels_per_unit
    units = blocks * groups
    unit = next_near(row, -1, thread, threads, units)
    while unit < units:
        group = unit // blocks
        first = (unit - group * blocks) * tiles_per_unit
        end = min(first + tiles_per_unit, total)
        for panel in range(group * panels_per_unit, min((group + 1) * panels_per_unit, panels)):
            record[1] = panel_table[panel, 0]
            record[7] = panel_table[panel, 1]
            record[3] = panel_table[panel, 2]
            record[4] = panel_table[panel, 3]
            is_other = panel_table[panel, 6]
            following = panel_table[min(panel + 1, panels - 1), 0]
            panel_bytes = following - panel_table[panel, 0]
            for position in range(first, end):
                image = position // tiles
                tile = position - image * tiles
                # The first tiles of this panel read ahead the next panel, some lines in each round of the depth.
                ahead = position - first
                record[13] = following + ahead * (panel_bytes // parts)
                record[14] = 256 if ahead < parts and panel_bytes > 0 else 0
                record[0] = source + image * source_step + tile_table[tile, 0]
                record[2] = target + image * target_step + panel_table[panel, 4] + tile_table[tile, 1]
                if residual:
                    record[8] = residual + image * residual_step + panel_table[panel, 5] + tile_table[tile, 2]
                call_tile(tile_table[tile, 3 + is_other], address)
        unit = next_near(row, unit, thread, threads, units)


class Panel(NamedTuple):
    """One panel's row of the table (``PANEL_ROW``), how many vectors it has, and its multiply-adds for a pixel."""

    weights: int
    bias: int
    taps: int
    offsets: int
    output_offset: int
    residual_offset: int
    width: int
    products: int


def panel_rows(
    panels: Panels, offsets: Sequence[int], biases: Array, field: Field, shift: int = 0, *, is_filling: bool = False
) -> tuple[list[Panel], list[Integers]]:
    """Return the rows of the table of panels, and the arrays that they point to.

    Args:
        panels: the packed weights.
        offsets: byte offset of each tap in the input, of its first channel block.
        biases: a number for each output channel, in whole blocks.
        field: the outputs.
        shift: bytes that the panels' outputs lie behind the field's.
        is_filling: whether the weights are zeros, for outputs that no tap leads to.
    """
    lanes, size = panels.lanes, panels.memory.itemsize
    tables: dict[tuple[int, ...], Integers] = {}
    rows = []
    for panel, (width, blocks) in enumerate(zip(panels.widths, panels.blocks)):
        if blocks not in tables:
            block, channel = np.divmod(np.array(blocks)[:, None] * panels.depth, lanes)
            steps = block * field.source.block_step + channel * size + np.array(offsets)
            tables[blocks] = np.ascontiguousarray(steps.ravel(), np.int64)
        first, table = panels.first_blocks[panel], tables[blocks]
        rows.append(
            Panel(
                int(panels.memory.ctypes.data) + panels.starts[panel] * size,
                int(biases.ctypes.data) + first * lanes * size,
                len(table),
                int(table.ctypes.data),
                shift + first * field.target.block_step,
                shift + first * field.residual.block_step,
                width,
                0 if is_filling else panels.products[panel],
            )
        )
    return rows, list(tables.values())


def contraction(
    field: Field,
    panels: Sequence[Panel],
    depth: int,
    machine: Target,
    precision: Precision,
    keep: Sequence[object],
    *,
    input_bytes: int,
    activation: str = "Identity",
) -> Step:
    """Return the step that computes activation(sum over taps and channels + bias + residual) for a field of outputs.

    Args:
        field: the outputs, simplified.
        panels: weights and taps; their widths differ by one vector at most.
        depth: rounds of k of a tap.
        machine: which vectors there are.
        precision: element type.
        keep: what the addresses point into.
        input_bytes: size of what is read, by which the work is cut into units.
        activation: operator that is fused behind.
    """
    widest = max(panel.width for panel in panels)
    widths = (widest, min(panel.width for panel in panels))
    tiles = _tiles(field, depth, widths, machine, precision, activation)
    table = tabled([(*panel[:6], int(panel.width != widest)) for panel in panels])
    weights = sum(panel.taps * panel.width for panel in panels) * depth * machine.vector_bytes
    few_panels = weights > WEIGHTS_PER_INPUT * input_bytes and len(panels) >= 8
    pixel_bytes = max(1, input_bytes // (field.images * field.rows * field.columns))
    unit_tiles = max(1, INPUT_BYTES_PER_UNIT // max(1, field.pixels(machine) * pixel_bytes))
    unit_tiles = min(unit_tiles, max(1, -(-len(tiles) * field.images // 16)))
    values = {
        "images": field.images,
        "tiles": len(tiles),
        "tile_table": tiles.ctypes.data,
        "panels": len(panels),
        "panel_table": table.ctypes.data,
        "depth": depth,
        "input": field.source.address,
        "input_image_step": field.source.image_step,
        "output": field.target.address,
        "output_image_step": field.target.image_step,
        "output_vector_step": field.target.block_step,
        "residual": field.residual.address,
        "residual_image_step": field.residual.image_step,
        "residual_vector_step": field.residual.block_step,
        "input_row_step": field.source.row_step,
        "output_row_step": field.target.row_step,
        "residual_row_step": field.residual.row_step,
        "tiles_per_unit": unit_tiles,
        "panels_per_unit": max(1, len(panels) // 16) if few_panels else len(panels),
        "tiles_that_prefetch": max(1, -(-4 * widest * machine.vector_bytes // PREFETCHED)),
    }
    function = compiled.address("step", "contraction", "contraction_step")
    products = field.images * field.rows * field.columns * sum(panel.products for panel in panels)
    arguments = tuple(int(values[name]) for name in ARGUMENTS)
    return Step(function, arguments, (tiles, table, *keep), mult_adds=products)


def row_tiles(
    columns: int,
    depth: int,
    widths: tuple[int, int],
    pixel_step: int,
    machine: Target,
    precision: Precision,
    activation: str,
) -> Integers:
    """Return the table of the tiles of a row: offset in input and output, and kernels for both widths of panels.

    Args:
        columns: outputs of the row, which lie side by side.
        depth: rounds of k of a tap.
        widths: vectors of a wide panel and of the others.
        pixel_step: bytes in the input from one output to the next.
        machine: which vectors there are.
        precision: element type.
        activation: operator that is fused behind.
    """
    element = machine.vector_bytes // machine.lanes(precision)
    unroll = next(count for count in (4, 3, 2, 1) if depth % count == 0)
    rows, column = [], 0
    for pixels in pieces(columns, min(machine.tile_pixels(width) for width in widths)):
        step = pixel_step if pixels > 1 else machine.vector_bytes
        kernels = [
            compiled.address(
                "tile", "tiles", "tile_kernel", machine.name, precision, activation,
                *Tile(pixels, width, 1, step, element, machine.vector_bytes, unroll, prefetch=unroll == 4),
            )
            for width in widths
        ]  # fmt: skip
        rows.append((column * pixel_step, column * machine.vector_bytes, *kernels))
        column += pixels
    return tabled(rows)


def _tiles(
    field: Field, depth: int, widths: tuple[int, int], machine: Target, precision: Precision, activation: str
) -> Integers:
    """Return the table of tiles of one image: rows cut into nearly equal pieces, several of them if they are short."""
    longest = min(machine.tile_pixels(width) for width in widths)
    rows_at_once = tile_rows(field.rows, field.columns, longest)
    element = machine.vector_bytes // machine.lanes(precision)
    unroll = next(count for count in (4, 3, 2, 1) if depth % count == 0)
    source, target, residual = field.source, field.target, field.residual

    def kernels(rows: int, pixels: int) -> list[int]:
        steps = (source.pixel_step, target.pixel_step) if pixels > 1 else (machine.vector_bytes,) * 2
        return [
            compiled.address(
                "tile", "tiles", "tile_kernel", machine.name, precision, activation,
                *Tile(pixels, width, rows, steps[0], element, steps[1], unroll, prefetch=unroll == 4),
            )
            for width in widths
        ]  # fmt: skip

    # Large images have very many tiles, of few kinds: those of a row differ in the row's place alone.
    parts = []
    heights = np.array(pieces(field.rows, rows_at_once), np.int64)
    starts = np.cumsum(heights) - heights
    for rows in np.unique(heights)[::-1].tolist():
        line, column = [], 0
        for pixels in pieces(field.columns, longest // rows):
            line.append((*(column * o.pixel_step for o in (source, target, residual)), *kernels(rows, pixels)))
            column += pixels
        places = np.array([(source.row_step, target.row_step, residual.row_step, 0, 0)], np.int64)
        parts.append((starts[heights == rows][:, None, None] * places + np.array(line, np.int64)).reshape(-1, 5))
    return np.ascontiguousarray(np.concatenate(parts))
