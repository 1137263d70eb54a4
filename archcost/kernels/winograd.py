"""3x3 convolutions by Winograd's minimal filtering: fewer products, at the price of transforms and of some accuracy.

A unit is some tiles x some panels of output channels. It transforms its tiles' inputs into scratch memory, one plane
for each point; multiplies each plane with the weights of that point by the one micro-kernel, whose pixels are tiles
here; and transforms the sums to outputs, with bias, shortcut and activation. ``winograd_plan`` says where it is used.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from archcost.kernels.function import function
from archcost.kernels.layout import Array, Shared, aligned
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.panels import Filters, Panels, fitting_vectors, pieces
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_near
from archcost.kernels.winograd_plan import Cut
from archcost.kernels.winograd_tables import Ends, Tables, ends_tiles
from archcost.kernels.winograd_weights import transformed_weights


def winograd_step() -> Any:
    """Return the step function."""
    return filter_tiles


@function
def filter_tiles(row: int, thread: int, threads: int) -> None:
    """Compute every unit. Threads beyond those that scratch memory was made for take none."""
    words = integers(row)
    if thread >= words[3]:
        return
    points, blocks, vector = words[6], words[12], words[30]
    planes = words[20] + thread * words[21]
    sums = planes + words[22]
    address = blank_record()
    record = integers(address)
    unit = next_near(row, -1, thread, min(threads, words[3]), words[1])
    while unit < words[1]:
        one = integers(words[2] + unit * 56)
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
        unit = next_near(row, unit, thread, min(threads, words[3]), words[1])


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
    *,
    turned: bool = False,
    shared: Shared | None = None,
    scratch: Shared | None = None,
) -> tuple[list[Step], list[Step]]:
    """Return the steps that transform the weights, and the step that convolves.

    Args:
        ends: input, output and residual.
        filters: the sizes of the convolution that is computed.
        padding: rows above and columns left of the input.
        weight: the plain array (outputs, inputs, 3, 3), read by the first steps; (inputs, outputs, 3, 3) if ``turned``.
        biases: a number for each output channel, in whole blocks.
        scale: a factor for each output channel, in whole blocks, or None; read by the first steps.
        activation: operator that is fused behind.
        cut: the size of a tile, and how the work is cut into units.
        machine: which vectors there are.
        precision: element type.
        turned: the weight's kernels are turned by half a turn and its channels change places, which makes the gradient
            of a convolution to its input.
        shared: memory for the transformed weights; None: they have their own, and stay in it.
        scratch: memory for tiles and sums; None: it is made for this convolution.
    """
    points = (cut.outputs + 2) ** 2
    lanes = machine.lanes(precision)
    most = min(cut.tiles_of_unit, ends_tiles(ends, cut.outputs))
    pixel_pieces = max(pieces(most, machine.tile_pixels(2)))
    vectors = fitting_vectors(pixel_pieces, ends.target.memory.shape[1], machine)
    panels = Panels.make(Filters(filters.outputs, filters.inputs, (1, 1)), [(0, 0)], vectors, lanes, weight.dtype)
    size = points * panels.size
    memory = shared.take(size) if shared else aligned(size, weight.dtype)
    packed = transformed_weights(panels, memory, filters, weight, scale, cut, machine, precision, turned=turned)
    step = Tables(ends, panels, memory, cut, padding, machine, precision, scratch).step(biases, activation)
    return [packed], [step]
