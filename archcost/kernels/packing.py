"""Between the plain arrays of parameters and panels: packing weights before they are used, reading gradients out.

Training changes the weights, so that packing is a step of the program. As many output channels as a vector has lanes
and as many weights of each are transposed in registers; what lies in no simple order (groups that share a block of
channels, listed connections) is moved by a table of pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, aligned
from archcost.kernels.machine import call_tile, float32s, float64s, integers
from archcost.kernels.panels import Panels
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_unit

JOB_VECTORS = 1024
"""Most vectors of a job, which is what a thread takes at once."""

JOB_ROWS = 128
"""Most vectors of a job that lie in rows of their own."""


def jobs_step() -> Any:
    """Return the step function."""
    return run_jobs


@function
def run_jobs(row: int, _thread: int, threads: int) -> None:
    """Call every job's kernel. Arguments: jobs, their table (``Job``)."""
    words = integers(row)
    unit = next_unit(row, -1, threads)
    while unit < words[1]:
        place = words[2] + unit * 64
        call_tile(integers(place)[0], place + 8)
        unit = next_unit(row, unit, threads)


class Job(NamedTuple):
    """A row of the table: a kernel and its record."""

    kernel: int
    vectors: int
    plain: int
    lane_step: int
    plain_offsets: int
    panel_offsets: int
    panel: int
    extra: int


def pairs_step(precision: Precision, direction: str) -> Any:
    """Return the step function that moves single elements by a table of pairs."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)
    packs = direction == "pack"

    @function
    def move(row: int, _thread: int, threads: int) -> None:
        """Move all pairs.

        Arguments: pairs; tables of places in the panels, places in the plain array, and channels; panels, elements of a
        copy, copies; plain array, its elements; factors of channels, or 0.
        """
        words = integers(row)
        pairs, size, copies, chunk = words[1], words[6], words[7], 4096
        here = integers(words[2])
        there = integers(words[3])
        channels = integers(words[4])
        panels = numba.carray(view(words[5]), (copies, size), dtype)
        plain = view(words[8])
        unit = next_unit(row, -1, threads)
        while unit * chunk < pairs:
            for pair in range(unit * chunk, min((unit + 1) * chunk, pairs)):
                if packs:
                    value = plain[there[pair]]
                    if words[10]:
                        value *= view(words[10])[channels[pair]]
                    panels[0, here[pair]] = value
                else:
                    value = panels[0, here[pair]]
                    for copy in range(1, copies):
                        value += panels[copy, here[pair]]
                    plain[there[pair]] = value
            unit = next_unit(row, unit, threads)

    return move


def packing(
    panels: Sequence[Panels], weight: Array, machine: Target, precision: Precision, scale: Array | None = None
) -> list[Step]:
    """Return the steps that fill panels from a plain weight.

    Args:
        panels: panels for one or more lists of taps.
        weight: the plain array, read when the steps run.
        machine: which vectors there are.
        precision: element type.
        scale: a factor for each channel of the lanes, in whole blocks; read when the steps run.
    """
    return _moving(panels, weight, precision, _pack_kernels(machine, precision, scale), scale, "pack")


def _pack_kernels(machine: Target, precision: Precision, scale: Array | None) -> Any:
    def kernel(way: str, channels: int) -> int:
        return compiled.address(
            "tile", "transfer", "pack_kernel", machine.name, precision, way, channels, scale is not None
        )

    return kernel


def packing_jobs(
    panels: Panels, weight: Array, machine: Target, precision: Precision, scale: Array | None
) -> tuple[list[Job], list[object]]:
    """Return the jobs that pack a plain weight of one group, and what they point to.

    The jobs of all blocks of lanes lie side by side, then the next ones of each: as many as there are for a block.
    """
    tables = _Tables(panels)
    factors = 0 if scale is None else int(scale.ctypes.data)
    jobs = list(_jobs(panels, tables, weight, _pack_kernels(machine, precision, scale), factors))
    return jobs, [tables, weight, scale]


def unpacking(panels: Panels, gradient: Array, machine: Target, precision: Precision) -> list[Step]:
    """Return the steps that set a plain array to what panels hold, their copies added up in their order."""

    def kernel(way: str, channels: int) -> int:
        return compiled.address(
            "tile", "transfer", "unpack_kernel", machine.name, precision, way, channels, panels.copies
        )

    return _moving([panels], gradient, precision, kernel, None, "unpack")


def _moving(
    panels: Sequence[Panels], plain: Array, precision: Precision, kernel: Any, scale: Array | None, direction: str
) -> list[Step]:
    assert plain.flags.c_contiguous
    if not panels:
        return []
    first = panels[0]
    factors = 0 if scale is None else int(scale.ctypes.data)
    if not first.filters.aligned(first.lanes):
        steps = []
        for part in panels:
            pairs = part.pairs()
            function = compiled.address("step", "packing", "pairs_step", precision, direction)
            arguments = (
                len(pairs[0]), *(int(table.ctypes.data) for table in pairs), part.memory.ctypes.data, part.size,
                part.copies, plain.ctypes.data, plain.size, factors,
            )  # fmt: skip
            steps.append(Step(function, arguments, (*pairs, part.memory, plain, scale)))
        return steps
    keep: list[object] = [plain, scale]
    jobs: list[Job] = []
    for part in panels:
        tables = _Tables(part)
        jobs += _jobs(part, tables, plain, kernel, factors)
        keep += [part.memory, tables]
    table = tabled(jobs)
    return [Step(compiled.address("step", "packing", "jobs_step"), (len(jobs), table.ctypes.data), (table, *keep))]


class _Tables:
    """The byte offsets of the vectors of a block of lanes: the same for all blocks, up to where the block starts.

    Args:
        panels: aligned panels; all of them are connected to as many blocks of the depth.
    """

    def __init__(self, panels: Panels) -> None:
        filters, size = panels.filters, panels.memory.itemsize
        taps = filters.kernel[0] * filters.kernel[1]
        sides = (filters.outputs // filters.groups, filters.inputs // filters.groups)
        lanes_of_group, depth_of_group = sides[::-1] if panels.transposed else sides
        output, source = sides[1] * taps * size, taps * size
        self.lane_step, depth_step = (source, output) if panels.transposed else (output, source)
        self.group_step = sides[0] * output
        self.lanes_of_group = lanes_of_group
        channels = np.arange(depth_of_group)
        positions = np.array([row * filters.kernel[1] + column for row, column in panels.taps])
        plain = (channels[:, None] * depth_step + positions * size).ravel()
        order = np.argsort(plain, kind="stable")
        self.plain = np.ascontiguousarray(plain[order], np.int64)
        # Side by side in the plain array: only then do squares of them lie in its rows.
        self.is_run = len(plain) < 2 or bool((np.diff(self.plain) == size).all())
        self.by_width: dict[int, Integers] = {}
        for width in set(panels.widths):
            panel = panels.widths.index(width)
            places = (panels.places(panel) - panels.starts[panel]) * size
            chosen = places[channels // panels.depth, :, channels % panels.depth].ravel()[order]
            self.by_width[width] = np.ascontiguousarray(chosen, np.int64)


def _jobs(panels: Panels, tables: _Tables, plain: Array, kernel: Any, factors: int) -> Iterator[Job]:
    """Return the jobs of every block of lanes: the same rows of the plain array for all blocks, then the next rows.

    The rows' pages are looked up once then, not once for each block.
    """
    lanes, size = panels.lanes, panels.memory.itemsize
    count = len(tables.plain)
    is_load = tables.lane_step == size
    squares = count - count % lanes if tables.is_run and not is_load else 0
    stretches = [("square", first, min(first + JOB_VECTORS, squares)) for first in range(0, squares, JOB_VECTORS)]
    stretches += [("load", first, min(first + JOB_ROWS, count)) for first in range(squares, count, JOB_ROWS)]
    blocks = []
    starts = {width: int(places.ctypes.data) for width, places in tables.by_width.items()}
    memory, weights, rows = (int(array.ctypes.data) for array in (panels.memory, plain, tables.plain))
    for panel, width in enumerate(panels.widths):
        for vector in range(width):
            block = panels.first_blocks[panel] + vector
            group, lane = divmod(block * lanes, tables.lanes_of_group)
            channels = min(lanes, tables.lanes_of_group - lane)
            start = weights + group * tables.group_step + lane * tables.lane_step
            place = memory + (panels.starts[panel] + vector * lanes) * size
            extra = factors + block * lanes * size if factors else panels.size * size
            blocks.append((channels, start, starts[width], place, extra))
    known = cache(kernel)
    for way, first, end in stretches:
        for channels, start, places, place, extra in blocks:
            chosen = "gather" if way == "load" and not (is_load and channels == lanes) else way
            yield Job(
                known(chosen, channels), end - first, start, tables.lane_step, rows + first * 8, places + first * 8,
                place, extra,
            )  # fmt: skip


def biases_step(precision: Precision) -> Any:
    """Return the step function that fills the biases of the panels."""
    view = float32s if precision == "float32" else float64s

    @function
    def fill(row: int, thread: int, _threads: int) -> None:
        """Set each bias. Arguments: channels; biases; plain biases, factors and terms of channels, or 0."""
        words = integers(row)
        channels = words[1]
        biases = view(words[2])
        if thread == 0:
            for channel in range(channels):
                biases[channel] = 0
                if words[3]:
                    biases[channel] = view(words[3])[channel]
                if words[4]:
                    biases[channel] *= view(words[4])[channel]
                if words[5]:
                    biases[channel] += view(words[5])[channel]

    return fill


def packed_biases(
    channels: int,
    lanes: int,
    plain: Array | None,
    precision: Precision,
    scale: Array | None = None,
    shift: Array | None = None,
) -> tuple[list[Step], Array]:
    """Return the steps that compute bias * scale + shift for each channel, and the result in whole blocks.

    Args:
        channels: how many.
        lanes: elements of a vector.
        plain: the bias (channels,), or None.
        precision: element type.
        scale: factors of channels, or None.
        shift: terms of channels, or None.
    """
    biases = aligned(-(-channels // lanes) * lanes, precision)
    given = (plain, scale, shift)
    if plain is None and shift is None:
        return [], biases
    addresses = (0 if array is None else int(array.ctypes.data) for array in given)
    arguments = (channels, int(biases.ctypes.data), *addresses)
    return [Step(compiled.address("step", "packing", "biases_step", precision), arguments, (biases, *given))], biases
