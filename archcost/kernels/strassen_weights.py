"""The weights of a convolution by Strassen's product: seven factors of each panel, from its four blocks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Shared, aligned
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.packing import packing
from archcost.kernels.panels import Filters, Panels
from archcost.kernels.step import Step, tabled
from archcost.kernels.strassen_tile import PRODUCTS
from archcost.kernels.target import Precision, Target
from archcost.kernels.units import next_unit


def weights_step(precision: Precision) -> Any:
    """Return the step function that adds up the blocks of weights."""
    view = float32s if precision == "float32" else float64s

    @function
    def sum_weights(row: int, _thread: int, threads: int) -> None:
        """Write the seven factors of each panel, in the order of the products.

        Arguments: panels; their table (elements of a block, address of the factors, addresses of both halves of output
        channels, in each of which the second half of the depth follows the first).
        """
        words = integers(row)
        unit = next_unit(row, -1, threads)
        while unit < words[1]:
            one = integers(words[2] + unit * 32)
            size = one[0]
            factors, left, right = view(one[1]), view(one[2]), view(one[3])
            for place in range(size):
                b11, b21, b12, b22 = left[place], left[size + place], right[place], right[size + place]
                t1 = b12 - b11
                t2 = b22 - t1
                factors[place] = b11
                factors[size + place] = b21
                factors[2 * size + place] = t2
                factors[3 * size + place] = b22 - b12
                factors[4 * size + place] = t1
                factors[5 * size + place] = b22
                factors[6 * size + place] = b21 - t2
            unit = next_unit(row, unit, threads)

    return sum_weights


def packed_factors(
    block: Panels, weight: Array, scale: Array | None, machine: Target, precision: Precision, scratch: Shared
) -> tuple[list[Step], Array]:
    """Return the steps that pack, and the factors: those of a panel one after the other, panel by panel.

    Args:
        block: panels of a quarter of the weight.
        weight: the plain array, read by the steps.
        scale: a factor for each output channel, in whole blocks, or None; read by the steps.
        machine: which vectors there are.
        precision: element type.
        scratch: memory for the packed blocks.
    """
    size, half = weight.itemsize, block.filters.outputs
    factors = aligned(PRODUCTS * block.size, weight.dtype)
    blocks = scratch.take(4 * block.size)
    depth = tuple(range(2 * len(block.blocks[0])))
    steps, both = [], []
    for number, part in enumerate((blocks[: 2 * block.size], blocks[2 * block.size :])):
        filters, widths = Filters(half, 2 * block.filters.inputs, (1, 1)), block.widths
        panels = replace(block, filters=filters, blocks=(depth,) * len(widths), memory=part)
        channels = slice(number * half, (number + 1) * half)
        steps += packing([panels], weight[channels], machine, precision, None if scale is None else scale[channels])
        both.append(int(part.ctypes.data))
    table = tabled([
        (end - start, int(factors.ctypes.data) + PRODUCTS * start * size, *(place + 2 * start * size for place in both))
        for start, end in pairwise(block.starts)
    ])  # fmt: skip
    arguments = (len(table), int(table.ctypes.data))
    kernel = compiled.address("step", "strassen_weights", "weights_step", precision)
    return [*steps, Step(kernel, arguments, (table, blocks, factors))], factors
