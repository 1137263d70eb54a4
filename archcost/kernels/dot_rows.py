"""The outputs of a dense layer, from its plain weight (outputs, inputs) and plain inputs (samples, inputs).

A unit is as many rows of the weight as a vector has lanes, and all samples: a dense layer of few samples waits for
memory, and each row is read once. The sums of a unit stay in a cache of the thread from one stretch of k to the next.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.dot_tile import DotTile, most_samples, tile_rows
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.panels import pieces
from archcost.kernels.step import Integers, Step, tabled
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_near

STRETCH_BYTES = 1024
"""Bytes of each row and sample that are gone through together: those of a tile stay in the first cache level."""

FEW_TILES = 3
"""Most tiles of samples that wait for memory; more wait for arithmetic, and go through stretches twice as long."""

STRETCHES_AHEAD = 2
"""How far a tile reads ahead in its own rows."""

ALONE_SAMPLES = 3
"""Most samples that go through whole rows: nothing is used twice then, and the longer, the faster rows come."""

ALONE_AHEAD_BYTES = 1024
"""How far these read ahead."""

GROUP_SAMPLES = 48
"""Most samples whose sums of a unit exist at the same time: they stay in the second cache level."""


def dot_step() -> Any:
    """Return the step function."""
    return dot_rows


@function
def dot_rows(row: int, thread: int, threads: int) -> None:
    """Compute every block of rows.

    Arguments: blocks, rows of a block, tables of the row tiles of the blocks and of the last one, and their lengths;
    sample tiles, their table, tiles of a group, samples of the largest group, samples; vectors of a row and of a
    stretch, whether rows have a tail; bytes to read ahead; weights, inputs, output, residual,
    biases; bytes to the next row, to the next sample of the inputs, of the output and of the residual, and to the next
    block of the last two; bytes of a vector; kernels for the ends of the blocks and of the last one.
    """
    words = integers(row)
    blocks, rows, tiles, per_group, most, samples = words[1], words[2], words[7], words[9], words[10], words[11]
    vectors, stretch, far, row_step, size = words[12], words[13], words[15], words[21], words[27]
    tile_table = numba.carray(integers(words[8]), (tiles, 2), np.int64)
    scratch = np.empty((rows * most + 1) * size // 8 + 1, np.int64)
    sums = (scratch.ctypes.data + size - 1) // size * size
    address, closing = blank_record(), blank_record()
    record, ending = integers(address), integers(closing)
    record[1], record[3], record[7] = row_step, words[22], most * size
    ending[0], ending[1], ending[5], ending[7] = sums, most * size, words[23], words[24]
    unit = next_near(row, -1, thread, threads, blocks)
    while unit < blocks:
        is_last = unit == blocks - 1
        row_tiles = words[6] if is_last else words[5]
        row_table = numba.carray(integers(words[4] if is_last else words[3]), (row_tiles, 3), np.int64)
        weights = words[16] + unit * rows * row_step
        for first in range(0, tiles, per_group):
            end = min(first + per_group, tiles)
            first_sample = tile_table[first, 0]
            for start in range(0, vectors, stretch):
                count = min(stretch, vectors - start)
                record[4], record[8] = count, start
                record[5] = words[14] if start + count == vectors else 0
                for part in range(row_tiles):
                    place = row_table[part, 0]
                    record[0] = weights + place * row_step + start * size
                    record[9] = record[0] + far
                    for tile in range(first, end):
                        record[2] = words[17] + tile_table[tile, 0] * words[22] + start * size
                        record[6] = sums + (place * most + tile_table[tile, 0] - first_sample) * size
                        call_tile(row_table[part, 1 + tile_table[tile, 1]], address)
            ending[2] = (tile_table[end, 0] if end < tiles else samples) - first_sample
            ending[3] = words[20] + unit * size
            ending[4] = words[18] + first_sample * words[23] + unit * words[25]
            ending[6] = words[19] + first_sample * words[24] + unit * words[26] if words[19] else 0
            call_tile(words[29] if is_last else words[28], closing)
        unit = next_near(row, unit, thread, threads, blocks)
    scratch[0] = unit  # Numba frees an array behind its last use


def dot_products(
    source: Array,
    output: Blocked,
    residual: Blocked | None,
    weight: Array,
    biases: Array,
    activation: str,
    machine: Target,
    precision: Precision,
) -> Step:
    """Return the step that computes activation(weight * source + biases + residual).

    Args:
        source: plain inputs (samples, at least as many as a row has), in whole vectors; what fills up the last one is
            finite.
        output: a vector for each sample.
        residual: a tensor like the output, or None.
        weight: (outputs, inputs), read when the step runs; at least as many inputs as a vector has lanes.
        biases: a number for each output, in whole vectors.
        activation: operator that is fused behind.
        machine: which vectors there are.
        precision: element type.
    """
    (outputs, inputs), lanes = weight.shape, machine.lanes(precision)
    sizes = pieces(output.images, most_samples(machine))
    widths = max(sizes), min(sizes)
    blocks = -(-outputs // lanes)
    last = outputs - (blocks - 1) * lanes
    first = lanes if blocks > 1 else last
    tables = [_row_tiles(rows, widths, inputs % lanes, machine, precision) for rows in (first, last)]
    starts = np.cumsum([0, *sizes[:-1]])
    samples = tabled([(start, int(size != widths[0])) for start, size in zip(starts.tolist(), sizes)])
    per_group = max(1, GROUP_SAMPLES // widths[0])
    vectors = inputs // lanes
    alone = output.images <= min(ALONE_SAMPLES, widths[0])
    longest = STRETCH_BYTES * (1 if len(sizes) <= FEW_TILES else 2) // machine.vector_bytes
    stretch = pieces(vectors, vectors if alone else longest)[0]
    ahead = ALONE_AHEAD_BYTES if alone else STRETCHES_AHEAD * stretch * machine.vector_bytes
    ends = [
        compiled.address("tile", "dot_tile", "end_kernel", machine.name, precision, activation, rows)
        for rows in (first, last)
    ]
    arguments = (
        blocks, lanes, *(table.ctypes.data for table in tables), *map(len, tables), len(samples), samples.ctypes.data,
        per_group, min(output.images, per_group * widths[0]), output.images, vectors,
        stretch, int(inputs % lanes > 0), ahead, weight.ctypes.data,
        source.ctypes.data, output.address(), residual.address() if residual else 0, biases.ctypes.data,
        weight.strides[0], source.strides[0], output.image_step, residual.image_step if residual else 0,
        output.block_step, residual.block_step if residual else 0, machine.vector_bytes, *ends,
    )  # fmt: skip
    keep = (source, output, residual, weight, biases, *tables, samples)
    function = compiled.address("step", "dot_rows", "dot_step")
    return Step(function, tuple(map(int, arguments)), keep, mult_adds=output.images * outputs * inputs)


def _row_tiles(rows: int, widths: tuple[int, int], tail: int, machine: Target, precision: Precision) -> Integers:
    """Return the table of the tiles of a block of rows: first row, kernels for the two numbers of samples."""
    tile = tile_rows(widths[0], machine.lanes(precision), machine)
    table = []
    for first in range(0, rows, tile):
        kinds = [DotTile(min(tile, rows - first), width, tail) for width in widths]
        kernels = [
            compiled.address("tile", "dot_tile", "dot_kernel", machine.name, precision, *kind) for kind in kinds
        ]  # fmt: skip
        table.append((first, *kernels))
    return tabled(table)
