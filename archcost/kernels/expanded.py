"""A convolution and the depthwise convolution behind it, without the map between them.

Mobile networks expand a few channels to many, filter each of them, and reduce them again: the map between expansion and
filters is the largest of the block, and is read once. A depthwise convolution needs of its input what lies in the same
channels. So a unit computes some rows of one panel of channels into scratch memory of its thread, which stays in the
second cache level, and filters them there. Rows at the seam of two bands are computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.contraction import panel_rows, row_tiles
from archcost.kernels.conv import Fusion, Parts
from archcost.kernels.depthwise import packed_filters, row_pieces
from archcost.kernels.function import function
from archcost.kernels.layers import Layer
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import blank_record, call_tile, clear, integers
from archcost.kernels.packing import packed_biases, packing
from archcost.kernels.panels import Panels, fitting_vectors, pieces
from archcost.kernels.passes import Window, forward_halo, forward_pass, taps_in_line
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_near

SCRATCH_BYTES = 512 * 1024
"""Scratch memory of a unit that stays in the second cache level, beside the input."""

ARGUMENTS = (
    "units", "planned_threads", "bands", "band_table", "panels", "panel_table", "tiles", "tile_table", "depth",
    "source", "source_image_step", "source_row_step", "scratch", "scratch_bytes", "scratch_row_step",
    "scratch_block_step", "first_column", "pieces", "piece_table", "taps", "tap_offsets", "filters", "filter_bytes",
    "filter_biases", "vector_bytes", "output", "output_image_step", "output_block_step", "output_row_step",
    "row_stride", "parts",
)  # fmt: skip
"""Arguments of the step, in their order. Steps are bytes."""


class Band(NamedTuple):
    """Rows that are computed together.

    Attributes:
        first_output, outputs: rows of the result.
        first_row, rows: rows of the map between that exist.
        above, below: rows of zeros before and behind them.
    """

    first_output: int
    outputs: int
    first_row: int
    rows: int
    above: int
    below: int


def expanded_step() -> Any:
    """Return the step function."""
    return expand_and_filter


@function
def expand_and_filter(row: int, thread: int, threads: int) -> None:
    """Compute every panel of every band of every image. Threads beyond those that scratch was made for take none."""
    words = integers(row)
    if thread >= words[2]:
        return
    together = min(threads, words[2])
    bands, panels, tiles, parts = words[3], words[5], words[7], words[31]
    band_table = numba.carray(integers(words[4]), (bands, 6), np.int64)
    panel_table = numba.carray(integers(words[6]), (panels + 1, 7), np.int64)
    tile_table = numba.carray(integers(words[8]), (tiles, 4), np.int64)
    piece_table = numba.carray(integers(words[19]), (words[18], 4), np.int64)
    scratch = words[13] + thread * words[14]
    row_step, block_step, vector = words[15], words[16], words[25]
    expanding, address = blank_record(), blank_record()
    record, filtering = integers(expanding), integers(address)
    record[5], record[6] = words[9], block_step
    filtering[3], filtering[4] = words[21], words[20]
    unit = next_near(row, -1, thread, together, words[1])
    while unit < words[1]:
        image, rest = unit // (bands * panels), unit % (bands * panels)
        band, panel = rest // panels, rest % panels
        first_output, outputs = band_table[band, 0], band_table[band, 1]
        first_row, rows = band_table[band, 2], band_table[band, 3]
        above, below = band_table[band, 4], band_table[band, 5]
        blocks, is_other = panel_table[panel, 5], panel_table[panel, 6]
        record[1], record[7], record[3], record[4] = (
            panel_table[panel, 0],
            panel_table[panel, 1],
            panel_table[panel, 2],
            panel_table[panel, 3],
        )
        # The first tiles read ahead the weights of the unit that this thread takes next.
        ahead = panel - 1 if thread == 1 and together == 2 and panel else panel + 1
        following = panel_table[ahead, 0]
        panel_bytes = panel_table[panel + 1, 0] - panel_table[panel, 0]
        for block in range(blocks):
            for zeros in range(above + below):
                place = zeros if zeros < above else zeros + rows
                clear(scratch + block * block_step + place * row_step, row_step)
        count = 0
        for line in range(rows):
            source = words[10] + image * words[11] + (first_row + line) * words[12]
            target = scratch + (above + line) * row_step + words[17]
            for tile in range(tiles):
                record[0] = source + tile_table[tile, 0]
                record[2] = target + tile_table[tile, 1]
                record[13] = following + count * (panel_bytes // parts)
                record[14] = 256 if count < parts else 0
                call_tile(tile_table[tile, 2 + is_other], expanding)
                count += 1
        first_block = panel_table[panel, 4]
        for block in range(blocks):
            filtering[2] = words[22] + (first_block + block) * words[23]
            filtering[5] = words[24] + (first_block + block) * vector
            output = words[26] + image * words[27] + (first_block + block) * words[28] + first_output * words[29]
            for line in range(outputs):
                for piece in range(words[18]):
                    filtering[0] = scratch + block * block_step + line * words[30] * row_step + piece_table[piece, 0]
                    filtering[1] = output + line * words[29] + piece_table[piece, 1]
                    call_tile(piece_table[piece, 3], address)
        unit = next_near(row, unit, thread, together, words[1])


def bands_of(window: Window, rows: int, outputs: int, count: int) -> list[Band]:
    """Return the rows of the result cut into ``count`` bands.

    Args:
        window: of the depthwise convolution.
        rows: of the map between.
        outputs: rows of the result.
        count: how many bands.
    """
    extent = (window.kernel[0] - 1) * window.dilation[0] + 1
    result, first = [], 0
    for size in pieces(outputs, -(-outputs // count)):
        start = first * window.stride[0] - window.padding[0][0]
        end = (first + size - 1) * window.stride[0] - window.padding[0][0] + extent
        low, high = min(max(start, 0), rows), max(min(end, rows), 0)
        result.append(Band(first, size, low, max(0, high - low), low - start, end - max(high, low)))
        first += size
    return result


def planned_bands(window: Window, rows: int, outputs: int, panels: Sequence[int], images: int, line: int) -> list[Band]:
    """Return the bands that cost least: few rows twice, little scratch memory, units that two threads share evenly.

    Args:
        window: of the depthwise convolution.
        rows: of the map between.
        outputs: rows of the result.
        panels: vectors of each panel.
        images: size of the batch.
        line: bytes of a row of the widest panel in scratch memory.
    """

    def cost(bands: Sequence[Band]) -> float:
        units = [band.rows * width for _ in range(images) for band in bands for width in panels]
        # Two threads take them from both ends, the one that is ready first the next one.
        ends, first, last = [0, 0], 0, len(units)
        while first < last:
            if ends[0] <= ends[1]:
                ends[0] += units[first]
                first += 1
            else:
                last -= 1
                ends[1] += units[last]
        spills = (max(band.rows for band in bands) + 2) * line > SCRATCH_BYTES
        return max(ends) * (1.3 if spills else 1.0)

    counts = {count for count in (1, 2, 3, 4, 6, 8, 12, 16) if count <= outputs}
    return min((bands_of(window, rows, outputs, count) for count in sorted(counts)), key=cost)


def expanded(
    layers: tuple[Layer, Layer],
    source: Blocked,
    target: Blocked,
    between: tuple[int, int, int],
    weights: tuple[Array, Array],
    biases: tuple[Array | None, Array | None],
    fusions: tuple[Fusion, Fusion],
    threads: int,
    machine: Target,
    precision: Precision,
) -> Parts:
    """Return the steps of a convolution and of the depthwise convolution behind it.

    Args:
        layers: the two convolutions.
        source: input of the first; its border is wide enough.
        target: output of the second.
        between: shape (C, H, W) of the map between.
        weights: plain weights, read by the steps that pack.
        biases: plain biases, or None.
        fusions: what is computed together with each; no residuals.
        threads: that scratch memory is made for.
        machine: which vectors there are.
        precision: element type.
    """
    first, second = layers
    lanes, element = target.lanes, target.memory.itemsize
    channels, height, width = between
    steps, summands = zip(*(
        packed_biases(channels, lanes, bias, precision, fusion.scale, fusion.shift)
        for bias, fusion in zip(biases, fusions)
    ))  # fmt: skip
    halo = forward_halo(second.window, (height, width), target.shape[1:])[1]
    absent = Blocked.absent(source.images, between, lanes, precision)
    one = forward_pass(first.window, source, absent, None, every_tap=False)
    blocks = -(-channels // lanes)
    vectors = fitting_vectors(min(width, machine.tile_pixels(2)), blocks, machine)
    panels = Panels.make(first.filters, one.taps, vectors, lanes, target.memory.dtype, may_be_short=True)
    line = (width + sum(halo)) * machine.vector_bytes
    bands = planned_bands(
        second.window, height, target.shape[1], panels.widths, source.images, line * max(panels.widths)
    )
    rows = max(band.above + band.rows + band.below for band in bands)
    scratch = Blocked.make(1, (max(panels.widths) * lanes, rows, width), ((0, 0), halo), lanes, precision)
    memory = aligned(threads * (scratch.memory.size + 16), precision)
    times = taps_in_line(one.offsets, panels.depth * element)
    lines, tables = panel_rows(panels, one.offsets[::times], summands[0], one.field)
    widest = max(panels.widths)
    panel_table = tabled(
        [
            (*panel[:4], block, panel.width, int(panel.width != widest))
            for panel, block in zip(lines, panels.first_blocks)
        ]
        + [(lines[0].weights + panels.starts[-1] * element, 0, 0, 0, 0, 0, 0)]
    )
    depth = panels.depth * times
    tiles = row_tiles(
        width, depth, (widest, min(panels.widths)), one.field.source.pixel_step, machine, precision,
        fusions[0].activation,
    )  # fmt: skip
    two = forward_pass(second.window, scratch, target, None)
    filters, filters_pack = packed_filters(two, second.filters, weights[1], fusions[1].scale, machine, precision)
    piece_table = row_pieces(two.field, len(two.taps), fusions[1].activation, machine, precision)
    offsets, band_table = np.array(two.offsets, np.int64), tabled(bands)
    values = (
        source.images * len(bands) * len(lines), threads, len(bands), band_table.ctypes.data, len(lines),
        panel_table.ctypes.data, len(tiles), tiles.ctypes.data, depth, one.field.source.address,
        one.field.source.image_step, one.field.source.row_step, memory.ctypes.data,
        (scratch.memory.size + 16) * element,
        scratch.row_step, scratch.block_step, halo[0] * scratch.pixel_step, len(piece_table), piece_table.ctypes.data,
        len(offsets), offsets.ctypes.data, filters.ctypes.data, len(offsets) * machine.vector_bytes,
        summands[1].ctypes.data, machine.vector_bytes, target.address(), target.image_step, target.block_step,
        target.row_step, second.window.stride[0], max(1, -(-4 * widest * machine.vector_bytes // 256)),
    )  # fmt: skip
    pixels = source.images * sum(band.rows for band in bands) * width
    done = pixels * sum(panels.products) + source.images * target.shape[1] * target.shape[2] * len(offsets) * channels
    keep = (
        band_table, panel_table, tiles, piece_table, offsets, filters, memory, source, target, panels.memory,
        *summands, *tables,
    )  # fmt: skip
    function = compiled.address("step", "expanded", "expanded_step")
    step = Step(function, tuple(map(int, values)), keep, mult_adds=done)
    packs = [*steps[0], *steps[1], *packing([panels], weights[0], machine, precision, fusions[0].scale), *filters_pack]
    return Parts(packs, [step])
