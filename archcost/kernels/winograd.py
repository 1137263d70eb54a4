"""3x3 convolutions by Winograd's minimal filtering: fewer products, at the price of transforms and of some accuracy.

A unit is some tiles x some panels of output channels. It transforms its tiles' inputs into scratch memory, one plane
for each point; multiplies each plane with the weights of that point by the one micro-kernel, whose pixels are tiles
here; and transforms the sums to outputs, with bias, shortcut and activation. ``winograd_plan`` says where it is used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba import njit

from archcost.kernels import compiled
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import call_tile, float32s, float64s, integers
from archcost.kernels.microkernel import Tile
from archcost.kernels.panels import Filters, Panels, fitting_vectors, pieces
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_unit
from archcost.kernels.winograd_plan import Cut
from archcost.kernels.winograd_transforms import transformed_filter

ARGUMENTS = (
    "units", "unit_table", "planned_threads", "tile_table", "panel_table", "points", "weights", "weights_point_step",
    "input", "input_row_step", "input_block_step", "input_blocks", "output", "output_row_step", "output_block_step",
    "residual", "residual_row_step", "residual_block_step", "bias", "scratch", "scratch_bytes", "sums_offset",
    "plane_step", "sums_plane_step", "block_bytes", "input_kernel", "offsets", "depth", "zeros", "vector_bytes",
)  # fmt: skip
"""Arguments of the step, in their order. Steps are bytes."""

UNIT = ("first_tile", "tiles", "pieces", "piece_table", "first_panel", "end_panel", "blocks")
TILE = ("input_offset", "output_offset", "residual_offset", "output_kernel")
PIECE = ("offset", "kernel", "other_kernel")
PANEL = ("weights", "first_block", "is_other", "parts")


def winograd_step() -> Any:
    """Return the step function."""
    return filter_tiles


@njit(nogil=True)
def filter_tiles(row: int, thread: int, threads: int) -> None:
    """Compute every unit. Threads beyond those that scratch memory was made for take none."""
    words = numba.carray(integers(row), (40,), np.int64)
    if thread >= words[3]:
        return
    points, blocks, vector = words[6], words[12], words[30]
    planes = words[20] + thread * words[21]
    sums = planes + words[22]
    record = np.zeros(20, np.int64)
    address = record.ctypes.data
    unit = next_unit(row, -1, threads)
    while unit < words[1]:
        one = numba.carray(integers(words[2] + unit * 56), (7,), np.int64)
        tiles = numba.carray(integers(words[4] + one[0] * 32), (one[1], 4), np.int64)
        pieces_of_unit = numba.carray(integers(one[3]), (one[2], 3), np.int64)
        record[0], record[2], record[3] = blocks, words[10], words[11]
        record[5], record[6] = words[23], words[25]
        for tile in range(one[1]):
            record[1] = words[9] + tiles[tile, 0]
            record[4] = planes + tile * vector
            call_tile(words[26], address)
        panels = numba.carray(integers(words[5]), (one[5] + 1, 4), np.int64)
        first_block = panels[one[4], 1]
        record[3], record[4], record[5], record[6], record[7], record[8] = (
            blocks,
            words[27],
            words[28],
            words[25],
            words[29],
            0,
        )
        for point in range(points):
            weights = words[7] + point * words[8]
            for panel in range(one[4], one[5]):
                record[1] = weights + panels[panel, 0]
                following = weights + panels[panel + 1, 0]
                panel_bytes, parts = panels[panel + 1, 0] - panels[panel, 0], panels[panel, 3]
                place = sums + point * words[24] + (panels[panel, 1] - first_block) * words[25]
                for piece in range(one[2]):
                    record[0] = planes + point * words[23] + pieces_of_unit[piece, 0]
                    record[2] = place + pieces_of_unit[piece, 0]
                    # The first pieces read ahead the next panel, some lines in each round of the depth.
                    record[13] = following + piece * (panel_bytes // parts)
                    record[14] = 256 if piece < parts else 0
                    call_tile(pieces_of_unit[piece, 1 + panels[panel, 2]], address)
        record[0], record[2], record[3] = one[6], words[24], words[25]
        record[5], record[6], record[8], record[9] = words[14], words[15], words[17], words[18]
        record[10] = words[19] + first_block * vector
        for tile in range(one[1]):
            record[1] = sums + tile * vector
            record[4] = words[13] + tiles[tile, 1] + first_block * words[15]
            record[7] = words[16] + tiles[tile, 2] + first_block * words[18] if words[16] else 0
            call_tile(tiles[tile, 3], address)
        unit = next_unit(row, unit, threads)


def weights_step(precision: Precision) -> Any:
    """Return the step function that transforms and packs the weights."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @njit(nogil=True)
    def transform(row: int, _thread: int, threads: int) -> None:
        """Fill the panels of all points.

        Arguments: outputs, inputs, points, lanes; plain weight; factors of outputs (or 0); matrix of the transform;
        panels, elements of a point; table of (start, width, vector) of each block of outputs; blocks.
        """
        words = numba.carray(integers(row), (40,), np.int64)
        outputs, inputs, points, lanes = words[1], words[2], words[3], words[4]
        plain = numba.carray(view(words[5]), (outputs, inputs, 9), dtype)
        matrix = numba.carray(float64s(words[7]), (points, 9), np.float64)
        panels = numba.carray(view(words[8]), (points, words[9]), dtype)
        table = numba.carray(integers(words[10]), (words[11], 3), np.int64)
        total = np.empty(lanes, np.float64)
        unit = next_unit(row, -1, threads)
        while unit < words[11]:
            start, width, vector = table[unit, 0], table[unit, 1], table[unit, 2]
            first = unit * lanes
            count = min(lanes, outputs - first)
            taps = np.zeros((9, lanes), np.float64)
            for channel in range(inputs):
                for lane in range(count):
                    factor = 1.0
                    if words[6]:
                        factor = np.float64(numba.carray(view(words[6]), (first + lane + 1,), dtype)[first + lane])
                    for tap in range(9):
                        taps[tap, lane] = factor * plain[first + lane, channel, tap]
                for point in range(points):
                    total[:] = 0.0
                    for tap in range(9):
                        for lane in range(lanes):
                            total[lane] += matrix[point, tap] * taps[tap, lane]
                    place = start + (channel * width + vector) * lanes
                    for lane in range(lanes):
                        panels[point, place + lane] = total[lane]
            unit = next_unit(row, unit, threads)

    return transform


class Ends(NamedTuple):
    """The tensors of a convolution: its input with a border wide enough for all tiles, output, and what is added."""

    source: Blocked
    target: Blocked
    residual: Blocked | None


def winograd(
    ends: Ends,
    filters: Filters,
    padding: tuple[int, int],
    weight: Array,
    biases: Array,
    scale: Array | None,
    activation: str,
    cut: Cut,
    machine: Target,
    precision: Precision,
) -> tuple[list[Step], list[Step]]:
    """Return the steps that transform the weights, and the step that convolves.

    Args:
        ends: input, output and residual.
        filters: the weight's sizes.
        padding: rows above and columns left of the input.
        weight: the plain array (outputs, inputs, 3, 3), read by the first steps.
        biases: a number for each output channel, in whole blocks.
        scale: a factor for each output channel, in whole blocks, or None; read by the first steps.
        activation: operator that is fused behind.
        cut: the size of a tile, and how the work is cut into units.
        machine: which vectors there are.
        precision: element type.
    """
    points = (cut.outputs + 2) ** 2
    lanes = machine.lanes(precision)
    most = min(cut.tiles_of_unit, len(ends_tiles(ends, cut.outputs)))
    pixel_pieces = max(pieces(most, machine.tile_pixels(2)))
    vectors = fitting_vectors(pixel_pieces, ends.target.memory.shape[1], machine)
    panels = Panels.make(Filters(filters.outputs, filters.inputs, (1, 1)), [(0, 0)], vectors, lanes, weight.dtype)
    memory = aligned(points * panels.size, weight.dtype)
    packed = _packed(panels, memory, filters, weight, scale, points, cut.outputs, precision)
    step = _Tables(ends, panels, memory, cut, padding, machine, precision).step(biases, activation)
    return [packed], [step]


def ends_tiles(ends: Ends, outputs: int) -> list[tuple[int, int, int]]:
    """Return the tiles of all images: image, first row, first column."""
    _, height, width = ends.target.shape
    return [
        (image, row, column)
        for image in range(ends.target.images)
        for row in range(0, height, outputs)
        for column in range(0, width, outputs)
    ]


def _packed(
    panels: Panels,
    memory: Array,
    filters: Filters,
    weight: Array,
    scale: Array | None,
    points: int,
    outputs: int,
    precision: Precision,
) -> Step:
    matrix = transformed_filter(outputs)
    rows = [
        (panels.starts[panel], width, vector) for panel, width in enumerate(panels.widths) for vector in range(width)
    ]
    table = tabled(rows)
    arguments = (
        filters.outputs, filters.inputs, points, panels.lanes, weight.ctypes.data,
        0 if scale is None else scale.ctypes.data, matrix.ctypes.data, memory.ctypes.data, panels.size,
        table.ctypes.data, len(rows),
    )  # fmt: skip
    function = compiled.address("step", "winograd", "weights_step", precision)
    return Step(function, tuple(map(int, arguments)), (weight, scale, matrix, memory, table))


class _Tables:
    """Builds the tables of a convolution."""

    def __init__(
        self,
        ends: Ends,
        panels: Panels,
        memory: Array,
        cut: Cut,
        padding: tuple[int, int],
        machine: Target,
        precision: Precision,
    ) -> None:
        self.ends, self.panels, self.memory, self.cut, self.padding = ends, panels, memory, cut, padding
        self.machine, self.precision = machine, precision
        self.widest = max(panels.widths)
        self.unroll = next(count for count in (4, 3, 2, 1) if panels.depth % count == 0)
        self.keep: list[object] = []

    def step(self, biases: Array, activation: str) -> Step:
        """Return the step."""
        (source, target, residual), cut, panels = self.ends, self.cut, self.panels
        vector, points = self.machine.vector_bytes, (cut.outputs + 2) ** 2
        tiles = self._tiles(activation)
        units = self._units(len(tiles))
        most = max(unit[1] for unit in units)
        blocks, sums_blocks = source.memory.shape[1], max(unit[6] for unit in units)
        # A line between planes keeps them from meeting in one set of the cache.
        block_bytes = most * vector
        plane_step, sums_plane_step = blocks * block_bytes + 64, sums_blocks * block_bytes + 64
        sums_offset = points * plane_step
        scratch_bytes = -(-(sums_offset + points * sums_plane_step) // 4096) * 4096 + 64
        scratch = aligned(cut.threads * scratch_bytes // panels.memory.itemsize, panels.memory.dtype)
        offsets = np.ascontiguousarray(np.arange(blocks) * block_bytes, np.int64)
        zeros = aligned(self.widest * panels.lanes, panels.memory.dtype)
        tables = tabled(units), tabled(tiles), self._panels()
        kernel = compiled.address(
            "tile", "winograd_transforms", "input_kernel", self.machine.name, self.precision, cut.outputs
        )
        steps = (residual.address(), residual.row_step, residual.block_step) if residual else (0, 0, 0)
        arguments = (
            len(units), tables[0].ctypes.data, cut.threads, tables[1].ctypes.data, tables[2].ctypes.data, points,
            self.memory.ctypes.data, panels.size * panels.memory.itemsize, source.address(), source.row_step,
            source.block_step, blocks, target.address(), target.row_step, target.block_step, *steps,
            biases.ctypes.data, scratch.ctypes.data, scratch_bytes, sums_offset, plane_step, sums_plane_step,
            block_bytes, kernel, offsets.ctypes.data, panels.depth, zeros.ctypes.data, vector,
        )  # fmt: skip
        products = points * len(tiles) * panels.filters.outputs * panels.filters.inputs
        keep = (*tables, *self.keep, source, target, residual, biases, scratch, offsets, zeros, self.memory)
        function = compiled.address("step", "winograd", "winograd_step")
        side = f"{cut.outputs}x{cut.outputs}"
        return Step(function, tuple(map(int, arguments)), keep, mult_adds=products, method=f"Winograd F({side}, 3x3)")

    def _tiles(self, activation: str) -> list[tuple[int, ...]]:
        (source, target, residual), side = self.ends, self.cut.outputs
        _, height, width = target.shape
        result = []
        for image, row, column in ends_tiles(self.ends, side):
            sizes = min(side, height - row), min(side, width - column)
            kernel = compiled.address(
                "tile",
                "winograd_transforms",
                "output_kernel",
                self.machine.name,
                self.precision,
                activation,
                side,
                *sizes,
            )
            places = [
                image * tensor.image_step + (row - up) * tensor.row_step + (column - left) * tensor.pixel_step
                if tensor
                else 0
                for tensor, (up, left) in ((source, self.padding), (target, (0, 0)), (residual, (0, 0)))
            ]
            result.append((*places, kernel))
        return result

    def _units(self, tiles: int) -> list[tuple[int, ...]]:
        """Return the units: panel groups inside, so that a part of the weights is read by many tiles."""
        result: list[tuple[int, ...]] = []
        groups = pieces(len(self.panels.widths), -(-len(self.panels.widths) // self.cut.panel_groups))
        first = 0
        for count in pieces(tiles, self.cut.tiles_of_unit):
            table = self._pieces(count)
            panel = 0
            for size in groups:
                blocks = sum(self.panels.widths[panel : panel + size])
                result.append((first, count, len(table), int(table.ctypes.data), panel, panel + size, blocks))
                panel += size
            first += count
        return result

    def _pieces(self, tiles: int) -> Integers:
        """Return the pieces of some tiles, each a tile of the micro-kernel."""
        vector, rows, first = self.machine.vector_bytes, [], 0
        element = vector // self.panels.lanes
        widths = self.widest, min(self.panels.widths)
        for pixels in pieces(tiles, self.machine.tile_pixels(self.widest)):
            kernels = [
                compiled.address(
                    "tile", "tiles", "tile_kernel", self.machine.name, self.precision, "Identity",
                    *Tile(pixels, width, 1, vector, element, vector, self.unroll, prefetch=self.unroll == 4),
                )
                for width in widths
            ]  # fmt: skip
            rows.append((first * vector, *kernels))
            first += pixels
        table = tabled(rows)
        self.keep.append(table)
        return table

    def _panels(self) -> Integers:
        """Return the table of panels, and a last row behind them: the weights of the next point."""
        panels, size = self.panels, self.panels.memory.itemsize
        parts = max(1, -(-4 * self.widest * self.machine.vector_bytes // 256))
        rows = [
            (panels.starts[panel] * size, panels.first_blocks[panel], int(width != self.widest), parts)
            for panel, width in enumerate(panels.widths)
        ]
        return tabled([*rows, (panels.starts[-1] * size, panels.first_blocks[-1], 0, parts)])
