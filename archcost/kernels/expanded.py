"""A convolution and the depthwise convolution behind it, without the map between them.

Mobile networks expand a few channels to many, filter each of them, and reduce them again: the map between expansion and
filters is the largest of the block, and is read once. A depthwise convolution needs of its input what lies in the same
channels. So a unit computes one panel of channels for some rows of the result, row by row: the rows that the next row
of the result needs and that are not there yet, into a ring of as many rows as the kernel reaches, and then that row of
the result. Rows at the seam of two bands are computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.contraction import panel_rows, row_tiles
from archcost.kernels.conv import Fusion, Parts
from archcost.kernels.depthwise import packed_filters, row_pieces
from archcost.kernels.function import function
from archcost.kernels.layers import Layer
from archcost.kernels.layout import Array, Blocked, Shared
from archcost.kernels.machine import blank_record, call_tile, clear, integers
from archcost.kernels.packing import packed_biases, packing
from archcost.kernels.panels import Panels, fitting_vectors, pieces
from archcost.kernels.passes import Pass, Window, forward_halo, forward_pass, taps_in_line
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_near

ARGUMENTS = (
    "units", "planned_threads", "bands", "band_table", "panels", "panel_table", "tiles", "tile_table", "depth",
    "source", "source_image_step", "source_row_step", "ring", "ring_bytes", "ring_row_step", "ring_block_step",
    "first_column", "pieces", "piece_table", "taps", "tap_offsets", "filters", "filter_bytes", "filter_biases",
    "vector_bytes", "output", "output_image_step", "output_block_step", "output_row_step", "row_stride", "parts",
    "rows", "above", "between", "left_bytes", "right_bytes", "lines",
)  # fmt: skip
"""Arguments of the step, in their order. Steps are bytes.

``rows`` are those of the ring; ``above`` is the padding above the map between, which has ``between`` rows. The offsets
of the taps are there once for each row of the ring that a kernel may begin at. ``lines`` are the rows of all blocks of
the ring, which have ``left_bytes`` and ``right_bytes`` of border.
"""


class Band(NamedTuple):
    """Rows of the result that are computed together.

    Attributes:
        first, outputs: which ones.
        rows: of the map between that they read.
    """

    first: int
    outputs: int
    rows: int


def expanded_step() -> Any:
    """Return the step function."""
    return expand_and_filter


@function
def expand_and_filter(row: int, thread: int, threads: int) -> None:
    """Compute every panel of every band of every image. Threads beyond those that a ring was made for take none."""
    words = integers(row)
    if thread >= words[2]:
        return
    together = min(threads, words[2])
    bands, panels, tiles, parts = words[3], words[5], words[7], words[31]
    band_table = numba.carray(integers(words[4]), (bands, 3), np.int64)
    panel_table = numba.carray(integers(words[6]), (panels + 1, 7), np.int64)
    tile_table = numba.carray(integers(words[8]), (tiles, 4), np.int64)
    piece_table = numba.carray(integers(words[19]), (words[18], 4), np.int64)
    ring = words[13] + thread * words[14]
    row_step, block_step, taps, vector = words[15], words[16], words[20], words[25]
    stride, rows, above, between = words[30], words[32], words[33], words[34]
    expanding, address = blank_record(), blank_record()
    record, filtering = integers(expanding), integers(address)
    record[5], record[6], filtering[4] = words[9], block_step, taps
    # Other steps have used the memory: the border beside the rows is cleared once, for all units.
    for line in range(words[37]):
        clear(ring + line * row_step, words[35])
        clear(ring + (line + 1) * row_step - words[36], words[36])
    unit = next_near(row, -1, thread, together, words[1])
    while unit < words[1]:
        image, rest = unit // (bands * panels), unit % (bands * panels)
        band, panel = rest // panels, rest % panels
        first, outputs = band_table[band, 0], band_table[band, 1]
        first_block, blocks, is_other = panel_table[panel, 4], panel_table[panel, 5], panel_table[panel, 6]
        record[1], record[7], record[3], record[4] = (
            panel_table[panel, 0],
            panel_table[panel, 1],
            panel_table[panel, 2],
            panel_table[panel, 3],
        )
        # The first tiles read ahead the weights of the unit that this thread takes next.
        ahead = panel - 1 if thread == 1 and together == 2 and panel else panel + 1
        following, panel_bytes = panel_table[ahead, 0], panel_table[panel + 1, 0] - panel_table[panel, 0]
        count, computed = 0, first * stride - above
        for output in range(first, first + outputs):
            top = output * stride - above
            for place in range(max(top, computed), top + rows):
                start = ring + (place + above) % rows * row_step
                if place < 0 or place >= between:
                    for block in range(blocks):
                        clear(start + block * block_step, row_step)
                    continue
                source = words[10] + image * words[11] + place * words[12]
                for tile in range(tiles):
                    record[0] = source + tile_table[tile, 0]
                    record[2] = start + words[17] + tile_table[tile, 1]
                    record[13] = following + count * (panel_bytes // parts)
                    record[14] = 256 if count < parts else 0
                    call_tile(tile_table[tile, 2 + is_other], expanding)
                    count += 1
            computed, phase = top + rows, (top + above) % rows
            filtering[3] = words[21] + phase * taps * 8
            for block in range(blocks):
                filtering[2] = words[22] + (first_block + block) * words[23]
                filtering[5] = words[24] + (first_block + block) * vector
                start = ring + block * block_step + phase * row_step
                target = words[26] + image * words[27] + (first_block + block) * words[28] + output * words[29]
                for piece in range(words[18]):
                    filtering[0] = start + piece_table[piece, 0]
                    filtering[1] = target + piece_table[piece, 1]
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
    result, first = [], 0
    for size in pieces(outputs, -(-outputs // count)):
        start = first * window.stride[0] - window.padding[0][0]
        end = start + (size - 1) * window.stride[0] + _reach(window)
        result.append(Band(first, size, max(0, min(end, rows) - max(start, 0))))
        first += size
    return result


def _reach(window: Window) -> int:
    """Return how many rows lie between the first and the last that a kernel reads, both included."""
    return (window.kernel[0] - 1) * window.dilation[0] + 1


def planned_bands(
    window: Window, rows: int, outputs: int, panels: Sequence[int], images: int, threads: int
) -> list[Band]:
    """Return the bands that cost least: few rows twice, and units that the threads share evenly.

    Args:
        window: of the depthwise convolution.
        rows: of the map between.
        outputs: rows of the result.
        panels: vectors of each panel.
        images: size of the batch.
        threads: how many take units.
    """

    def cost(bands: Sequence[Band]) -> int:
        done = [0] * threads
        for _ in range(images):
            for band in bands:
                for width in panels:
                    done[done.index(min(done))] += band.rows * width
        return max(done)

    counts = {count for count in (1, 2, 3, 4, 6, 8, 12, 16, threads) if count <= outputs}
    return min((bands_of(window, rows, outputs, count) for count in sorted(counts)), key=cost)


def _tap_offsets(two: Pass, window: Window, ring: Blocked, rows: int) -> Integers:
    """Return the byte offset of each tap in the ring from where its kernel begins, for each row that it may begin at.

    Args:
        two: the depthwise convolution.
        window: of it.
        ring: its input.
        rows: of the ring.
    """
    row = np.array([tap[0] * window.dilation[0] for tap in two.taps])
    begins = np.arange(rows)[:, None]
    return tabled(np.array(two.offsets) + ((begins + row) % rows - begins - row) * ring.row_step)


def expanded(
    layers: tuple[Layer, Layer],
    source: Blocked,
    target: Blocked,
    between: tuple[int, int, int],
    weights: tuple[Array, Array],
    biases: tuple[Array | None, Array | None],
    fusions: tuple[Fusion, Fusion],
    threads: int,
    shared: Shared,
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
        threads: that a ring is made for.
        shared: memory for the rings, which the steps before have left in the caches.
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
    bands = planned_bands(second.window, height, target.shape[1], panels.widths, source.images, threads)
    widest, rows = max(panels.widths), _reach(second.window)
    size = (1, widest, rows, width + sum(halo), lanes)
    memory, elements = shared.areas(threads, prod(size))
    ring = Blocked(1, (widest * lanes, rows, width), ((0, 0), halo), lanes, memory[: prod(size)].reshape(size))
    times = taps_in_line(one.offsets, panels.depth * element)
    lines, tables = panel_rows(panels, one.offsets[::times], summands[0], one.field)
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
    two = forward_pass(second.window, ring, target, None)
    filters, filters_pack = packed_filters(two, second.filters, weights[1], fusions[1].scale, machine, precision)
    piece_table = row_pieces(two.field, len(two.taps), fusions[1].activation, machine, precision)
    offsets, band_table = _tap_offsets(two, second.window, ring, rows), tabled(bands)
    values = (
        source.images * len(bands) * len(lines), threads, len(bands), band_table.ctypes.data, len(lines),
        panel_table.ctypes.data, len(tiles), tiles.ctypes.data, depth, one.field.source.address,
        one.field.source.image_step, one.field.source.row_step, memory.ctypes.data,
        elements * element, ring.row_step, ring.block_step, halo[0] * ring.pixel_step, len(piece_table),
        piece_table.ctypes.data, len(two.taps), offsets.ctypes.data, filters.ctypes.data,
        len(two.taps) * machine.vector_bytes, summands[1].ctypes.data, machine.vector_bytes, target.address(),
        target.image_step, target.block_step, target.row_step, second.window.stride[0],
        max(1, -(-4 * widest * machine.vector_bytes // 256)), rows, second.window.padding[0][0], height,
        *(ring.pixel_step * count for count in halo), widest * rows,
    )  # fmt: skip
    pixels = source.images * sum(band.rows for band in bands) * width
    done = pixels * sum(panels.products) + source.images * target.shape[1] * target.shape[2] * len(two.taps) * channels
    keep = (
        band_table, panel_table, tiles, piece_table, offsets, filters, memory, source, target, panels.memory,
        *summands, *tables,
    )  # fmt: skip
    function = compiled.address("step", "expanded", "expanded_step")
    step = Step(function, tuple(map(int, values)), keep, mult_adds=done)
    packs = [*steps[0], *steps[1], *packing([panels], weights[0], machine, precision, fusions[0].scale), *filters_pack]
    return Parts(packs, [step])
