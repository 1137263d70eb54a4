"""Large 1x1 convolutions by one level of Strassen's product: seven products of blocks instead of eight.

Pixels, input channels and output channels are cut into halves; A are blocks of the input, B of the weights:

    S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 = A12 - S2
    T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12, T4 = T2 - B21

A unit is some pairs of tiles x some panels of output channels. It writes the sums of its inputs to scratch memory, one
plane for each; ``strassen_tile`` multiplies and adds up. The factors of the weights are packed once
(``strassen_weights``). ``strassen_plan`` says where it is used.

Both tiles of a pair lie in one image, so that no image has a part in the rounding of another, and beside each other, so
that what a thread writes is what it reads in the layer behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from archcost.kernels import compiled, microkernel
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, Shared
from archcost.kernels.machine import blank_record, call_tile, integers, read_ahead
from archcost.kernels.packing import packed_biases
from archcost.kernels.panels import Filters, Panels
from archcost.kernels.passes import forward_pass
from archcost.kernels.step import Step, tabled
from archcost.kernels.strassen_plan import Split
from archcost.kernels.strassen_tables import lined, paired, panel_table, reading_ahead, tile_table, units
from archcost.kernels.strassen_tile import PRODUCTS, SUMS
from archcost.kernels.strassen_weights import packed_factors
from archcost.kernels.units import next_near

if TYPE_CHECKING:
    from archcost.kernels.conv import Fusion
    from archcost.kernels.layers import Layer, Setting

FIRST_FURTHER = len(microkernel.ARGUMENTS)

AHEAD = 2
"""Blocks of channels that the input is read ahead while it is added up: sums are written faster than lines come."""


def strassen_step() -> Any:
    """Return the step function."""
    return multiply_tiles


@function
def multiply_tiles(row: int, thread: int, threads: int) -> None:
    """Compute every unit. Threads beyond those that scratch memory was made for take none.

    The words of the row, of a unit, of a pair of tiles and of a panel are named in ``strassen_tables``.
    """
    words = integers(row)
    if thread >= words[3]:
        return
    together = min(threads, words[3])
    source, right, block_step, blocks = words[6], words[7], words[8], words[10]
    plane_step, block_bytes, vector, parts = words[14], words[15], words[25], words[26]
    scratch = words[12] + thread * words[13]
    adding, multiplying = blank_record(), blank_record()
    sums, record = integers(adding), integers(multiplying)
    record[3], record[4], record[5], record[6], record[9] = blocks, words[11], words[17], words[19], words[22]
    further = integers(multiplying + 8 * FIRST_FURTHER)
    further[1], further[3], further[4], further[5] = right, words[16], plane_step, scratch + SUMS * plane_step
    further[7], further[9], further[10] = words[20], words[23], words[24]
    unit = next_near(row, -1, thread, together, words[1])
    while unit < words[1]:
        one = integers(words[2] + unit * 32)
        tiles = numba.carray(integers(words[4] + one[0] * 64), (one[1], 8), np.int64)
        panels = numba.carray(integers(words[5]), (one[3] + 1, 4), np.int64)
        # Block by block: the tiles of a row are read in one go.
        for block in range(blocks):
            place = scratch + block * block_bytes
            for tile in range(one[1]):
                sums[0] = tiles[tile, 6]
                for plane in range(SUMS):
                    sums[1 + plane] = place + plane * plane_step
                start = source + tiles[tile, 0] + block * block_step
                below = start + tiles[tile, 1]
                if block + AHEAD < blocks:
                    later = AHEAD * block_step
                    read_ahead(start + later, words[28], tiles[tile, 6])
                    read_ahead(start + later + right, words[28], tiles[tile, 6])
                    read_ahead(below + later, words[28], tiles[tile, 6])
                    read_ahead(below + later + right, words[28], tiles[tile, 6])
                sums[5], sums[6], sums[7], sums[8] = start, start + right, below, below + right
                call_tile(words[9], adding)
                place += tiles[tile, 6] * vector
        for panel in range(one[2], one[3]):
            record[1], record[7] = panels[panel, 0], panels[panel, 1]
            following, panel_bytes = panels[panel + 1, 0], panels[panel + 1, 0] - panels[panel, 0]
            place = scratch
            for tile in range(one[1]):
                # The first tiles read ahead the next panel, some lines in each round of the depth.
                record[13] = following + tile * (panel_bytes // parts)
                record[14] = words[27] if tile < parts else 0
                record[0] = source + tiles[tile, 0]
                record[2] = words[18] + panels[panel, 2] + tiles[tile, 2]
                further[0], further[2], further[6] = tiles[tile, 1], place, tiles[tile, 3]
                if words[21]:
                    record[8] = words[21] + panels[panel, 3] + tiles[tile, 4]
                    further[8] = tiles[tile, 5]
                call_tile(tiles[tile, 7], multiplying)
                place += tiles[tile, 6] * vector
        unit = next_near(row, unit, thread, together, words[1])


def multiplied(
    layer: Layer,
    source: Blocked,
    target: Blocked,
    weight: Array,
    bias: Array | None,
    setting: Setting,
    fusion: Fusion,
    split: Split,
) -> tuple[list[Step], list[Step]]:
    """Return the steps that pack, and the step that computes, of a 1x1 convolution.

    Args:
        layer: what is computed.
        source: the input.
        target: the output.
        weight: the plain array, read by the steps that pack.
        bias: the plain biases, or None.
        setting: machine and precision.
        fusion: what is computed together with it.
        split: how the work is cut into units.
    """
    (machine, precision), vector = setting, setting.machine.vector_bytes
    scratch = fusion.scratch or Shared(weight.dtype)
    steps, biases = packed_biases(target.shape[0], target.lanes, bias, precision, fusion.scale, fusion.shift)
    field = lined(forward_pass(layer.window, source, target, fusion.residual).field)
    inputs, outputs = layer.filters.inputs // 2, layer.filters.outputs // 2
    pairs = list(paired(field, machine.tile_pixels(1)))
    longest = max(pair.pixels for pair in pairs)
    behind = outputs // target.lanes
    # Seven factors of a panel are many: with one vector they leave room for tiles in the second cache level.
    block = Panels.make(Filters(outputs, inputs, (1, 1)), [(0, 0)], 1, target.lanes, weight.dtype)
    packs, factors = packed_factors(block, weight, fusion.scale, machine, precision, scratch)
    tiles = tile_table(pairs, field, fusion.activation, machine, precision)
    cut = units([pair.pixels for pair in pairs], len(block.widths), split)
    blocks = len(block.blocks[0])
    block_bytes = max(sum(pair.pixels for pair in pairs[first : first + count]) for first, count, *_ in cut) * vector
    # A line between planes keeps them from meeting in one set of the cache.
    plane_step = blocks * block_bytes + 64
    waiting = 2 * longest * vector
    memory, area = scratch.areas(split.threads, (SUMS * plane_step + waiting) // weight.itemsize)
    offsets = np.ascontiguousarray(np.arange(blocks) * [[field.source.block_step], [block_bytes]], np.int64)
    tables = tabled(cut), tiles, panel_table(block, factors, biases, field), offsets
    reading, writing = ((False, field.source.pixel_step),) * 4, ((vector, False),) * SUMS
    adding = compiled.address(
        "tile", "pointwise", "row_kernel", machine.name, precision, "strassen_sums", reading, writing
    )
    values = (
        len(cut), tables[0].ctypes.data, split.threads, tiles.ctypes.data, tables[2].ctypes.data,
        field.source.address, blocks * field.source.block_step, field.source.block_step, adding, blocks,
        offsets[0].ctypes.data, memory.ctypes.data, area * weight.itemsize, plane_step, block_bytes,
        offsets[1].ctypes.data, block.depth, field.target.address, field.target.block_step,
        behind * field.target.block_step, field.residual.address, field.residual.block_step,
        behind * field.residual.block_step, behind * vector, vector,
        *reading_ahead(max(count for _, count, *_ in cut), vector), field.source.pixel_step,
    )  # fmt: skip
    step = Step(
        compiled.address("step", "strassen", "strassen_step"), tuple(map(int, values)),
        (*tables, source, target, fusion.residual, biases, factors, memory),
        mult_adds=PRODUCTS * sum(pair.pixels for pair in pairs) * inputs * outputs, method="Strassen",
    )  # fmt: skip
    return [*steps, *packs], [step]
