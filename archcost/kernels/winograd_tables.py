"""The tables that a convolution by Winograd's filtering works through: tiles, panels of weights, units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from archcost.kernels import compiled
from archcost.kernels.layout import Array, Blocked, Shared, aligned
from archcost.kernels.microkernel import Tile
from archcost.kernels.panels import Panels, pieces
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.winograd_plan import Cut

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


class Ends(NamedTuple):
    """The tensors of a convolution: its input with a border wide enough for all tiles, output, and what is added."""

    source: Blocked
    target: Blocked
    residual: Blocked | None


def ends_tiles(ends: Ends, outputs: int) -> int:
    """Return how many tiles all images have."""
    _, height, width = ends.target.shape
    return ends.target.images * -(-height // outputs) * -(-width // outputs)


class Tables:
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
        scratch: Shared | None = None,
    ) -> None:
        self.ends, self.panels, self.memory, self.cut, self.padding = ends, panels, memory, cut, padding
        self.machine, self.precision = machine, precision
        self.scratch = scratch or Shared(panels.memory.dtype)
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
        item = panels.memory.itemsize
        scratch, area = self.scratch.areas(cut.threads, (sums_offset + points * sums_plane_step) // item)
        offsets = np.ascontiguousarray(np.arange(blocks) * block_bytes, np.int64)
        zeros = aligned(self.widest * panels.lanes, panels.memory.dtype)
        tables = tabled(units), tiles, self._panels()
        kernel = compiled.address(
            "tile", "winograd_transforms", "input_kernel", self.machine.name, self.precision, cut.outputs
        )
        steps = (residual.address(), residual.row_step, residual.block_step) if residual else (0, 0, 0)
        arguments = (
            len(units), tables[0].ctypes.data, cut.threads, tables[1].ctypes.data, tables[2].ctypes.data, points,
            self.memory.ctypes.data, panels.size * panels.memory.itemsize, source.address(), source.row_step,
            source.block_step, blocks, target.address(), target.row_step, target.block_step, *steps,
            biases.ctypes.data, scratch.ctypes.data, area * item, sums_offset, plane_step, sums_plane_step,
            block_bytes, kernel, offsets.ctypes.data, panels.depth, zeros.ctypes.data, vector,
        )  # fmt: skip
        products = points * len(tiles) * panels.filters.outputs * panels.filters.inputs
        keep = (*tables, *self.keep, source, target, residual, biases, scratch, offsets, zeros, self.memory)
        function = compiled.address("step", "winograd", "winograd_step")
        side = f"{cut.outputs}x{cut.outputs}"
        return Step(function, tuple(map(int, arguments)), keep, mult_adds=products, method=f"Winograd F({side}, 3x3)")

    def _tiles(self, activation: str) -> Integers:
        """Return the table of tiles: image by image, row by row."""
        (source, target, residual), side = self.ends, self.cut.outputs
        _, height, width = target.shape

        def kernel(rows: int, columns: int) -> int:
            details = (self.machine.name, self.precision, activation, side, rows, columns)
            return compiled.address("tile", "winograd_transforms", "output_kernel", *details)

        image, row, column = np.meshgrid(
            np.arange(target.images), np.arange(0, height, side), np.arange(0, width, side), indexing="ij"
        )
        rows, columns = np.minimum(side, height - row), np.minimum(side, width - column)
        kernels = np.zeros_like(image)
        for size in {(high, wide) for high in np.unique(rows).tolist() for wide in np.unique(columns).tolist()}:
            kernels[(rows == size[0]) & (columns == size[1])] = kernel(*size)
        places = [
            image * tensor.image_step + (row - up) * tensor.row_step + (column - left) * tensor.pixel_step
            if tensor
            else np.zeros_like(image)
            for tensor, (up, left) in ((source, self.padding), (target, (0, 0)), (residual, (0, 0)))
        ]
        return np.ascontiguousarray(np.stack([*places, kernels], axis=-1).reshape(-1, 4), np.int64)

    def _units(self, tiles: int) -> list[tuple[int, ...]]:
        """Return the units: panel groups inside, so that a part of the weights is read by many tiles."""
        result: list[tuple[int, ...]] = []
        groups = pieces(len(self.panels.widths), -(-len(self.panels.widths) // self.cut.panel_groups))
        first = 0
        counts = pieces(tiles, self.cut.tiles_of_unit)
        by_count = {count: self._pieces(count) for count in set(counts)}
        for count in counts:
            table = by_count[count]
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
