"""Panels: in which order the micro-kernel reads weights, and where each of them stands in the plain array.

A panel holds the weights of one to a few vectors of channels, its lanes:

    [depth block][tap][k][vector][lane]

Forward, lanes are output channels and the depth goes over input channels; in the gradient to the input it is the other
way round. Blocks of the depth that no lane of a panel is connected to are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.geometry import Pair
from archcost.kernels.layout import Array, aligned
from archcost.kernels.step import Integers
from archcost.kernels.target import Target

EFFICIENCY_OF_ONE = 0.9
"""Speed of panels of one vector, with tiles of twice as many pixels, against panels of two."""

LEAST_DEPTH = 4
"""Fewest rounds of k of a tap, unless there are fewer channels: as many as the micro-kernel writes out."""

LARGEST_PANEL = 8
"""Most vectors of a panel: what keeps the multipliers busy where there is a single pixel."""


def pieces(length: int, longest: int) -> list[int]:
    """Return ``length`` cut into as few nearly equal pieces as possible, none above ``longest``."""
    count = -(-length // longest)
    short, extra = divmod(length, count)
    return [short + 1] * extra + [short] * (count - extra)


@dataclass(frozen=True)
class Filters:
    """The weight of a convolution as it lies in the plain array: (outputs, inputs / groups, rows, columns).

    Attributes:
        outputs: channels of the smaller map; those that a transposed convolution reads.
        inputs: channels of the larger map.
        kernel: rows and columns.
        groups: the channels of both sides are cut into so many groups.
        connections: for each output channel the inputs that it sees, if they are listed: the array is (links, rows,
            columns) then.
    """

    outputs: int
    inputs: int
    kernel: Pair
    groups: int = 1
    connections: tuple[tuple[int, ...], ...] = ()

    @property
    def taps(self) -> list[Pair]:
        """The kernel's positions, row by row."""
        return [(row, column) for row in range(self.kernel[0]) for column in range(self.kernel[1])]

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel has a filter of its own."""
        return not self.connections and self.groups == self.inputs == self.outputs

    def aligned(self, lanes: int) -> bool:
        """Return whether no block of channels belongs to two groups."""
        widths = (self.outputs // self.groups, self.inputs // self.groups)
        return not self.connections and (self.groups == 1 or not any(width % lanes for width in widths))

    def numbers(self) -> npt.NDArray[np.int64]:
        """Return for each (output, input) the number of its kernel in the plain array, -1 where there is none."""
        table = np.full((self.outputs, self.inputs), -1, np.int64)
        if self.connections:
            number = 0
            for output, seen in enumerate(self.connections):
                table[output, list(seen)] = np.arange(number, number + len(seen))
                number += len(seen)
            return table
        rows, columns = self.outputs // self.groups, self.inputs // self.groups
        kernels = np.arange(self.outputs * columns).reshape(self.groups, rows, columns)
        for group in range(self.groups):
            table[group * rows : (group + 1) * rows, group * columns : (group + 1) * columns] = kernels[group]
        return table

    def connected(self, lanes: int) -> npt.NDArray[np.bool_]:
        """Return which block of outputs is connected to which block of inputs."""
        blocks = -(-self.outputs // lanes), -(-self.inputs // lanes)
        if self.groups == 1 and not self.connections:
            return np.ones(blocks, np.bool_)
        full = np.zeros((blocks[0] * lanes, blocks[1] * lanes), np.bool_)
        full[: self.outputs, : self.inputs] = self.numbers() >= 0
        return np.asarray(full.reshape(blocks[0], lanes, blocks[1], lanes).any(axis=(1, 3)))


def fitting_vectors(pixels: int, blocks: int, machine: Target) -> int:
    """Return how many vectors a panel should have for tiles of ``pixels`` pixels, if there are ``blocks`` of them."""
    usual = 2
    if 2 * pixels <= machine.tile_pixels(usual):
        usual = max(usual, min(LARGEST_PANEL, (machine.registers - 1) // (pixels + 1)))
    return min(usual, blocks)


@dataclass(frozen=True)
class Panels:
    """The panels of one weight for one list of taps.

    Attributes:
        filters: the plain weight.
        transposed: lanes are the filters' inputs, and the depth goes over their outputs.
        taps: positions of the kernel in the order of the micro-kernel's taps.
        lanes: elements of a vector.
        depth: rounds of k of a tap: channels of a block of the depth.
        widths: vectors of each panel.
        blocks: for each panel the blocks of the depth that it is connected to; at least one.
        memory: the panels one after the other; zero where nothing is connected.
        copies: how often they lie there (sums of parts of a batch).
    """

    filters: Filters
    transposed: bool
    taps: tuple[Pair, ...]
    lanes: int
    depth: int
    widths: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]
    memory: Array
    copies: int = 1

    @classmethod
    def make(
        cls,
        filters: Filters,
        taps: Sequence[Pair],
        vectors: int,
        lanes: int,
        dtype: npt.DTypeLike,
        *,
        transposed: bool = False,
        copies: int = 1,
        may_be_short: bool = False,
    ) -> Panels:
        """Return panels of at most ``vectors`` vectors, zeroed.

        Args:
            filters: the plain weight.
            taps: positions of the kernel.
            vectors: most vectors of a panel.
            lanes: elements of a vector.
            dtype: element type.
            transposed: lanes are the filters' inputs.
            copies: how often the panels lie there.
            may_be_short: blocks of the depth may be shorter than a vector, where that leaves out idle lanes.
        """
        connected = filters.connected(lanes)
        connected = connected.T if transposed else connected
        channels = filters.outputs if transposed else filters.inputs
        depth = min(channels, lanes)
        if may_be_short and connected.all():
            depth = shortened(channels, depth)
            connected = np.ones((len(connected), -(-channels // depth)), np.bool_)
        widths, blocks = cut(connected, vectors, filters.groups if filters.aligned(lanes) else 1)
        size = sum(width * len(used) for width, used in zip(widths, blocks)) * len(taps) * depth * lanes
        memory = aligned(size * copies, dtype)
        return cls(filters, transposed, tuple(taps), lanes, depth, tuple(widths), blocks, memory, copies)

    @property
    def size(self) -> int:
        """Elements of one copy."""
        return self.memory.size // self.copies

    @cached_property
    def starts(self) -> list[int]:
        """First element of each panel, and the end of the last one."""
        rounds = len(self.taps) * self.depth * self.lanes
        sizes = [width * len(used) * rounds for width, used in zip(self.widths, self.blocks)]
        return [0, *np.cumsum(sizes).tolist()]

    @cached_property
    def first_blocks(self) -> list[int]:
        """First block of lanes of each panel."""
        return [0, *np.cumsum(self.widths).tolist()]

    @cached_property
    def products(self) -> list[int]:
        """Multiply-adds of each panel for one pixel: connected channels times taps, without lanes that fill up."""
        filters, lanes = self.filters, self.lanes
        sides = (filters.inputs, filters.outputs) if self.transposed else (filters.outputs, filters.inputs)
        # Only where a block of channels belongs to two groups, not all of its channels are connected.
        numbers = None if filters.aligned(lanes) else filters.numbers()
        connected = numbers if numbers is None or not self.transposed else numbers.T
        result = []
        for first, width, blocks in zip(self.first_blocks, self.widths, self.blocks):
            rows = range(first * lanes, min((first + width) * lanes, sides[0]))
            depths = [range(block * self.depth, min((block + 1) * self.depth, sides[1])) for block in blocks]
            if connected is None:
                pairs = len(rows) * sum(map(len, depths))
            else:
                pairs = sum(int((connected[rows.start : rows.stop, d.start : d.stop] >= 0).sum()) for d in depths)
            result.append(pairs * len(self.taps))
        return result

    def places(self, panel: int) -> Integers:
        """Return the elements at which the vectors of a panel's first block stand, [depth block, tap, k]."""
        count = len(self.blocks[panel])
        vectors = np.arange(count * len(self.taps) * self.depth).reshape(count, len(self.taps), self.depth)
        return np.asarray(self.starts[panel] + vectors * (self.widths[panel] * self.lanes))

    def pairs(self) -> tuple[Integers, Integers, Integers]:
        """Return for every weight that a tap uses: its place here, its place in the plain array, and its lane channel.

        For weights that lie in no simple order: groups that share a block, listed connections.
        """
        numbers = self.filters.numbers()
        numbers = numbers.T if self.transposed else numbers
        columns = self.filters.kernel[1]
        taps = np.array([row * columns + column for row, column in self.taps])
        found = []
        for panel, width in enumerate(self.widths):
            places = self.places(panel)
            for vector in range(width):
                block = self.first_blocks[panel] + vector
                rows = numbers[block * self.lanes : (block + 1) * self.lanes]
                for index, used in enumerate(self.blocks[panel]):
                    part = rows[:, used * self.depth : (used + 1) * self.depth]
                    lane, k = np.nonzero(part >= 0)
                    here = places[index][:, k] + vector * self.lanes + lane
                    there = part[lane, k] * int(np.prod(self.filters.kernel)) + taps[:, None]
                    channel = np.broadcast_to(block * self.lanes + lane, here.shape)
                    found.append(np.stack([here, there, channel]).reshape(3, -1))
        merged: Any = np.concatenate(found, axis=1).astype(np.int64)
        return merged[0].copy(), merged[1].copy(), merged[2].copy()


def shortened(channels: int, longest: int) -> int:
    """Return the length of the blocks that ``channels`` are cut into: the longest, its half or its quarter.

    24 channels are three blocks of 8 rather than two of 16, a quarter of whose rounds would multiply zeros. Each block
    costs the micro-kernel about as much as a round, and a quarter is the least that is written out.
    """
    lengths = [longest // part for part in (1, 2, 4) if longest % part == 0 and longest // part >= LEAST_DEPTH]
    return min(lengths or [longest], key=lambda length: -(-channels // length) * (length + 1))


def cut(connected: npt.NDArray[np.bool_], vectors: int, groups: int) -> tuple[list[int], tuple[tuple[int, ...], ...]]:
    """Return the widths of the panels and the depth blocks that each is connected to.

    Where single vectors are connected to fewer blocks than several together, panels of one vector may be less work.

    Args:
        connected: which block of lanes is connected to which block of the depth.
        vectors: most vectors of a panel.
        groups: groups whose blocks must not share a panel.
    """

    def plan(most: int) -> tuple[list[int], tuple[tuple[int, ...], ...]]:
        widths = pieces(len(connected) // groups, most) * groups
        used, first = [], 0
        for width in widths:
            blocks = np.flatnonzero(connected[first : first + width].any(axis=0)).tolist()
            used.append(tuple(blocks or [0]))
            first += width
        return widths, tuple(used)

    def work(planned: tuple[list[int], tuple[tuple[int, ...], ...]]) -> int:
        return sum(width * len(used) for width, used in zip(*planned))

    several, one = plan(vectors), plan(1)
    return one if work(one) < EFFICIENCY_OF_ONE * work(several) else several
