"""The weights of a convolution by Winograd's filtering: each 3x3 kernel becomes its factors at all points.

Training changes the weights in every step, so that this must cost little: a unit gathers one block of lanes as vectors,
tap by tap, in scratch memory of its thread, with the jobs that pack direct convolutions too, and transforms it there.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, aligned
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.packing import packing_jobs
from archcost.kernels.panels import Filters, Panels
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_unit
from archcost.kernels.winograd_plan import Cut


def weights_step() -> Any:
    """Return the step function that gathers and transforms the weights."""
    return transform_weights


@function
def transform_weights(row: int, thread: int, threads: int) -> None:
    """Fill the panels of all points. Threads beyond those that scratch memory was made for take none.

    Arguments: blocks of lanes; planned threads; table of jobs (``packing.Job``), jobs of a block; scratch, its bytes;
    table of (first vector, bytes from round to round) of the panels; blocks of the depth, its rounds; bytes of a
    vector; bytes of a point; kernel.
    """
    words = integers(row)
    if thread >= words[2]:
        return
    units, jobs = words[1], words[4]
    scratch = words[5] + thread * words[6]
    places = numba.carray(integers(words[7]), (units, 2), np.int64)
    blocks, rounds, vector = words[8], words[9], words[10]
    address = blank_record()
    record = integers(address)
    unit = next_unit(row, -1, threads)
    while unit < units:
        for job in range(jobs):
            one = integers(words[3] + (job * units + unit) * 64)
            for place in range(7):
                record[place] = one[1 + place]
            record[5] = scratch
            call_tile(one[0], address)
        record[0], record[2], record[4], record[5] = rounds, rounds * vector, words[11], places[unit, 1]
        for block in range(blocks):
            record[1] = scratch + block * 9 * rounds * vector
            record[3] = places[unit, 0] + block * rounds * places[unit, 1]
            call_tile(words[12], address)
        unit = next_unit(row, unit, threads)


def transformed_weights(
    panels: Panels,
    memory: Array,
    filters: Filters,
    weight: Array,
    scale: Array | None,
    cut: Cut,
    machine: Target,
    precision: Precision,
    *,
    turned: bool,
) -> Step:
    """Return the step that fills the panels of all points from a plain weight.

    Args:
        panels: of one point.
        memory: panels of all points, one point after the other.
        filters: the sizes of the convolution.
        weight: the plain array (outputs, inputs, 3, 3), or (inputs, outputs, 3, 3) if ``turned``.
        scale: a factor for each output channel, in whole blocks, or None.
        cut: the size of a tile; the threads.
        machine: which vectors there are.
        precision: element type.
        turned: take the kernels turned by half a turn, and input channels for output channels.
    """
    size, lanes = memory.itemsize, panels.lanes
    taps = [(row, column) for row in range(3) for column in range(3)]
    plain = (
        Filters(filters.inputs, filters.outputs, (3, 3)) if turned else Filters(filters.outputs, filters.inputs, (3, 3))
    )
    blocks = panels.first_blocks[-1]
    scratch_bytes = len(panels.blocks[0]) * 9 * panels.depth * machine.vector_bytes + 64
    scratch = aligned(cut.threads * scratch_bytes // size, memory.dtype)
    gathered = Panels(
        plain, turned, tuple(taps[::-1] if turned else taps), lanes, panels.depth, (1,) * blocks,
        panels.blocks[:1] * blocks, scratch,
    )  # fmt: skip
    jobs, keep = packing_jobs(gathered, weight, machine, precision, scale)
    table = tabled(jobs)
    start = int(memory.ctypes.data)
    places = tabled([
        (start + (panels.starts[panel] + vector * lanes) * size, width * lanes * size)
        for panel, width in enumerate(panels.widths)
        for vector in range(width)
    ])  # fmt: skip
    kernel = compiled.address("tile", "winograd_transforms", "filter_kernel", machine.name, precision, cut.outputs)
    arguments = (
        blocks, cut.threads, table.ctypes.data, len(jobs) // blocks, scratch.ctypes.data, scratch_bytes,
        places.ctypes.data, len(panels.blocks[0]), panels.depth, machine.vector_bytes, panels.size * size, kernel,
    )  # fmt: skip
    function = compiled.address("step", "winograd_weights", "weights_step")
    return Step(function, tuple(map(int, arguments)), (table, places, scratch, memory, *keep))
