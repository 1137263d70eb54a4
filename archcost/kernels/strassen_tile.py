"""The micro-kernel of Strassen's product: four tiles of outputs from seven products of half the depth.

Two tiles of pixels, two panels of output channels and both halves of the depth make a product of 2x2 blocks. In the
form with the fewest sums (Winograd's; S and T are the sums of inputs and of weights, see ``kernels.strassen``):

    P1 = A11 B11, P2 = A12 B21, P3 = S4 B22, P4 = A22 T4, P5 = S1 T1, P6 = S2 T2, P7 = S3 T3
    C11 = P1 + P2, U2 = P1 + P6, U3 = U2 + P7, C21 = U3 - P4, C22 = U3 + P5, C12 = U2 + P5 + P3

Registers hold one product at a time; P1 or U2, and U3 wait in a piece of memory. The sign of P4 stands in its weights.

Strassen 1969; the form: Probert 1976, Higham, "Accuracy and Stability of Numerical Algorithms", section 23.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from archcost.kernels.microkernel import ARGUMENTS, Epilogue, Tile, Walk, add_products, tile_places, with_residual
from archcost.kernels.vector import Code, Value

FURTHER = (
    "input_down", "input_right", "sums", "sum_offsets", "plane_step", "waiting", "output_down", "output_right",
    "residual_down", "residual_right", "bias_right",
)  # fmt: skip
"""What a call reads behind ``microkernel.ARGUMENTS``: byte distances from a tile to the tile of the other pixels
("down") and from a half of the channels to the other ("right"); where the sums of inputs lie, one plane for each of S2,
S3, S1 and S4, with a table of the offsets of their blocks; and the address where two tiles wait."""

SUMS = 4

PRODUCTS = 7
"""Products of a call, in the order in which their inputs and their weights lie: P1, P2, P6, P7, P5, P3, P4."""


def write_strassen(code: Code, record: Value, tile: Tile, epilogue: Epilogue) -> None:
    """Write the code of one call, whose arguments lie at the address ``record``.

    Args:
        code: where it is written.
        record: address of ``ARGUMENTS`` and ``FURTHER``; the taps are the blocks of half the depth.
        tile: one of the four tiles, of packed weights.
        epilogue: what is done to outputs.
    """
    names = (*ARGUMENTS, *FURTHER)
    values = dict(zip(names, code.arguments(record, len(names))))
    walk = Walk(code.pointer(values["weights"]), code.pointer(values["prefetched"]))
    zeros = [code.constant(0)] * (tile.rows * tile.pixels * tile.vectors)
    waiting, planes = code.pointer(values["waiting"]), itertools.count()
    of_sums = {**values, "offsets": values["sum_offsets"]}

    def product(down: int, right: int, sums: Sequence[Value]) -> list[Value]:
        """Return a product of a block of the input."""
        return add_products(code, values, tile, code.pointer(quadrant("input", down, right)), walk, sums)

    def summed(sums: Sequence[Value]) -> list[Value]:
        """Return the product of the next sum of blocks."""
        start = code.at(code.pointer(values["sums"]), code.builder.mul(values["plane_step"], code.int(next(planes))))
        return add_products(code, of_sums, tile._replace(pixel_step=code.vector_bytes), start, walk, sums)

    def quadrant(name: str, down: int, right: int) -> Value:
        start = values[name]
        for there, way in ((down, "down"), (right, "right")):
            start = code.builder.add(start, values[f"{name}_{way}"]) if there else start
        return start

    size = len(zeros) * code.vector_bytes

    def keep(sums: Sequence[Value], number: int) -> None:
        for place, value in enumerate(sums):
            code.store(value, waiting, number * size + place * code.vector_bytes)

    def kept(number: int) -> list[Value]:
        return [code.load(waiting, number * size + place * code.vector_bytes) for place in range(len(zeros))]

    def finish(sums: Sequence[Value], down: int, right: int) -> None:
        bias = code.pointer(quadrant("bias", 0, right))
        biases = [code.load(bias, vector * code.vector_bytes) for vector in range(tile.vectors)]
        whole = [code.add(value, biases[place % tile.vectors]) for place, value in enumerate(sums)]
        whole = with_residual(code, values, tile, quadrant("residual", down, right), whole)
        start = code.pointer(quadrant("output", down, right))
        for place, pointer, offset in tile_places(code, tile, start, values, "output"):
            code.store(epilogue(code, whole[place]), pointer, offset)

    first = product(0, 0, zeros)
    keep(first, 0)
    finish(product(0, 1, first), 0, 0)
    second = summed(kept(0))
    keep(second, 0)
    third = summed(second)
    keep(third, 1)
    fifth = summed(zeros)
    finish([code.add(one, other) for one, other in zip(fifth, kept(1))], 1, 1)
    finish(summed([code.add(one, other) for one, other in zip(fifth, kept(0))]), 0, 1)
    finish(product(1, 1, kept(1)), 1, 0)
