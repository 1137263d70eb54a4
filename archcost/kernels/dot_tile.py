"""Micro-kernels for weights that are read where they lie: the lanes run along the inputs of a dense layer.

    out[sample, row] = sum over k of in[sample, k] * weight[row, k]

Both factors are vectors of k, so that neither is packed or spread over lanes. A tile multiplies some rows of the weight
with some samples; its sums are vectors whose lanes are added up at the end, those of as many rows at once as a vector
has lanes (``write_ends``). Each product of a row and a sample has one vector of sums from the first k to the last,
however the work is cut: neither the batch nor the tiles change a bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from archcost.kernels.elementary import epilogue_of
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.vector import Code, Value

MOST_ROWS = 8
"""Rows of a tile are streams from memory, of which a processor follows few at a time."""


class DotTile(NamedTuple):
    """What is constant in the loop over k.

    Attributes:
        rows: of the weight.
        samples: each is multiplied with each row.
        tail: elements of a row behind its last whole vector.
    """

    rows: int
    samples: int
    tail: int


def most_samples(machine: Target) -> int:
    """Return the most samples of a tile: with four rows, sums and factors fill 16 registers; of 32 they leave some."""
    return 3 if machine.registers < 32 else 4


def tile_rows(samples: int, lanes: int, machine: Target) -> int:
    """Return the rows of a tile, a power of two: registers hold the sums, one factor, and a vector of the other."""
    rows = 1
    while 2 * rows <= min(lanes, MOST_ROWS) and 2 * rows * samples + min(2 * rows, samples) + 1 <= machine.registers:
        rows *= 2
    return rows


DOT_ARGUMENTS = (
    "weights",
    "row_step",
    "inputs",
    "sample_step",
    "vectors",
    "tail",
    "sums",
    "sums_step",
    "adds",
    "ahead",
)
"""What a call reads: addresses, bytes from row to row and from sample to sample, whole vectors of k, whether the tail
follows them; the sums, which are vectors one behind the other for the samples, and bytes from row to row; whether they
have begun; and the place in the rows that is read ahead.
"""


def dot_kernel(target: str, precision: Precision, *tile: int) -> Any:
    """Return the loop of ``DotTile._make(tile)`` as an intrinsic."""
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            write_dots(Code(builder, lanes, precision), arguments[0], DotTile._make(tile))
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def write_dots(code: Code, record: Value, tile: DotTile) -> None:
    """Write a loop over k."""
    values = dict(zip(DOT_ARGUMENTS, code.arguments(record, len(DOT_ARGUMENTS))))

    def lines(first: Value, step: str, count: int) -> list[Value]:
        places = [first]
        while len(places) < count:
            places.append(code.at(places[-1], values[step]))
        return places

    sums_rows = lines(code.pointer(values["sums"]), "sums_step", tile.rows)
    places = [(row, sample * code.vector_bytes) for row in sums_rows for sample in range(tile.samples)]
    has_begun = code.builder.icmp_signed("!=", values["adds"], code.int(0))
    zeros = [code.constant(0)] * len(places)
    sums = code.choose(has_begun, lambda: [code.load(*place) for place in places], zeros)

    def multiplied(weights: Sequence[Value], inputs: Value, sums: Sequence[Value]) -> list[Value]:
        samples = [code.load(place) for place in lines(inputs, "sample_step", tile.samples)]
        pairs = [(weight, vector) for weight in weights for vector in samples]
        return [code.fma(weight, vector, total) for (weight, vector), total in zip(pairs, sums)]

    def vector_of_k(_: Value, carried: list[Value]) -> Sequence[Value]:
        weights, inputs, ahead, *sums = carried
        vectors = [code.load(row) for row in lines(weights, "row_step", tile.rows)]
        for row in lines(ahead, "row_step", tile.rows):
            code.prefetch(row)
        moved = [code.at(pointer, code.vector_bytes) for pointer in (weights, inputs, ahead)]
        return [*moved, *multiplied(vectors, inputs, sums)]

    starts = [code.pointer(values[name]) for name in ("weights", "inputs", "ahead")]
    weights, inputs, _, *sums = code.repeat(values["vectors"], vector_of_k, [*starts, *sums])

    def rest() -> list[Value]:
        # The last whole vector of a row ends with the tail: nothing outside the row is read.
        missing = code.lanes - tile.tail
        order = [*range(missing, code.lanes), *[code.lanes] * missing]
        ends = [code.load(row, -missing * code.element_bytes) for row in lines(weights, "row_step", tile.rows)]
        return multiplied([code.shuffled(end, code.constant(0), order) for end in ends], inputs, sums)

    if tile.tail:
        sums = code.choose(code.builder.icmp_signed("!=", values["tail"], code.int(0)), rest, sums)
    for value, place in zip(sums, places):
        code.store(value, *place)


END_ARGUMENTS = ("sums", "sums_step", "samples", "bias", "output", "output_step", "residual", "residual_step")
"""What a call reads: the sums and bytes from row to row, how many samples; a vector of biases; where the vector of the
first sample goes, where what is added lies, and bytes to the next ones; a ``residual`` of 0 means that there is none.
"""


def end_kernel(target: str, precision: Precision, activation: str, rows: int) -> Any:
    """Return the loop over samples that adds up the lanes of the sums of ``rows`` rows, as an intrinsic."""
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            write_ends(Code(builder, lanes, precision), arguments[0], rows, activation)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def write_ends(code: Code, record: Value, rows: int, activation: str) -> None:
    """Write the loop over samples."""
    values = dict(zip(END_ARGUMENTS, code.arguments(record, len(END_ARGUMENTS))))
    bias = code.load(code.pointer(values["bias"]))
    is_there = code.builder.icmp_signed("!=", values["residual"], code.int(0))
    epilogue = epilogue_of(activation)

    def sample(_: Value, places: list[Value]) -> Sequence[Value]:
        sums, output, residual = places
        steps = [code.builder.mul(values["sums_step"], code.int(row)) for row in range(rows)]
        total = code.add(lane_sums(code, [code.load(sums, step) for step in steps]), bias)
        (total,) = code.choose(is_there, lambda: [code.add(total, code.load(residual))], [total])
        code.store(epilogue(code, total), output)
        moves = (code.vector_bytes, values["output_step"], values["residual_step"])
        return [code.at(place, move) for place, move in zip(places, moves)]

    code.repeat(values["samples"], sample, [code.pointer(values[name]) for name in ("sums", "output", "residual")])


def lane_sums(code: Code, vectors: Sequence[Value]) -> Value:
    """Return a vector of the sums of the lanes of each vector, 0 for those that are missing: neighbours are added."""
    even, odd = range(0, 2 * code.lanes, 2), range(1, 2 * code.lanes, 2)
    left = [*vectors, *[code.constant(0)] * (code.lanes - len(vectors))]
    while len(left) > 1:
        pairs = list(zip(left[::2], left[1::2]))
        left = [code.add(code.shuffled(a, b, even), code.shuffled(a, b, odd)) for a, b in pairs]
    return left[0]
