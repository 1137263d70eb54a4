"""Micro-kernels for tensors whose lanes are samples: the weight is the one number, the vector holds other images.

    out[output, vector] = bias[output] + sum over taps of weight[output, tap] * in[vector, tap]

In the engine's usual layout a vector holds channels of a pixel, and a layer of six channels leaves ten of sixteen lanes
idle. Here a vector holds the same element of as many images (``samples``), no lane is idle however few channels there
are, and weights are read where they lie: nothing is packed. Two loops are enough: sums of products of a weight and a
vector (``write_sums``: forward and gradient to the input), and of two vectors, whose lanes are added up at the end
(``write_products``: gradient to the weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.kernels.elementary import epilogue_of
from archcost.kernels.target import TARGETS, Precision
from archcost.kernels.vector import Code, Value


class SumTile(NamedTuple):
    """What is constant in a loop over taps; steps are bytes.

    Attributes:
        outputs: numbers of outputs (channels, features).
        vectors: vectors of samples (positions of a row, groups of images).
        weight_step: from the weight of an output to that of the next.
        input_step: from an input vector to the next.
        output_step: from an output to the next.
        output_vector_step: from an output vector to the next.
    """

    outputs: int
    vectors: int
    weight_step: int
    input_step: int
    output_step: int
    output_vector_step: int


SUM_ARGUMENTS = ("input", "weights", "output", "bias", "residual", "taps", "offsets")
"""What a call reads: addresses, the number of taps, and the table of their byte offsets (input, weights)."""


def sum_kernel(target: str, precision: Precision, activation: str, *tile: int) -> Any:
    """Return the loop of ``SumTile._make(tile)`` as an intrinsic."""
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            write_sums(Code(builder, lanes, precision), arguments[0], SumTile._make(tile), activation)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def write_sums(code: Code, record: Value, tile: SumTile, activation: str) -> None:
    """Write a loop over taps; a ``residual`` of 0 means that there is none."""
    values = dict(zip(SUM_ARGUMENTS, code.arguments(record, len(SUM_ARGUMENTS))))
    source, weights, output = (code.pointer(values[name]) for name in ("input", "weights", "output"))
    bias = code.pointer(values["bias"])
    biases = [code.broadcast(bias, number * code.element_bytes) for number in range(tile.outputs)]
    places = [(number, vector) for number in range(tile.outputs) for vector in range(tile.vectors)]
    start = [biases[number] for number, _ in places]

    def tap(index: Value, sums: list[Value]) -> Sequence[Value]:
        first = code.builder.shl(index, code.int(1))
        here = code.at(source, code.element(values["offsets"], first))
        there = code.at(weights, code.element(values["offsets"], code.builder.add(first, code.int(1))))
        vectors = [code.load(here, vector * tile.input_step) for vector in range(tile.vectors)]
        result = []
        for number in range(tile.outputs):
            weight = code.broadcast(there, number * tile.weight_step)
            result += [
                code.fma(weight, vectors[vector], sums[number * tile.vectors + vector])
                for vector in range(tile.vectors)
            ]
        return result

    has_taps = code.builder.icmp_signed("!=", values["taps"], code.int(0))
    sums = code.choose(has_taps, lambda: code.repeat(values["taps"], tap, start), start)
    steps = [number * tile.output_step + vector * tile.output_vector_step for number, vector in places]

    def added() -> list[Value]:
        residual = code.pointer(values["residual"])
        return [code.add(value, code.load(residual, step)) for value, step in zip(sums, steps)]

    is_there = code.builder.icmp_signed("!=", values["residual"], code.int(0))
    for value, step in zip(code.choose(is_there, added, sums), steps):
        code.store(epilogue_of(activation)(code, value), output, step)


class ProductTile(NamedTuple):
    """What is constant in a loop over positions that multiplies vectors with vectors; steps are bytes.

    Attributes:
        rows, columns: vectors of the first and of the second operand, each multiplied with each.
        row_step, column_step: from a vector to the next, in the first and in the second operand.
        first_step, second_step: from a position to the next.
        row_output, column_output: from an output to the next.
        adds: whether the sums are added to what is there.
    """

    rows: int
    columns: int
    row_step: int
    column_step: int
    first_step: int
    second_step: int
    row_output: int
    column_output: int
    adds: int = 0


PRODUCT_ARGUMENTS = ("first", "second", "output", "lines", "offsets", "positions")
"""What a call reads: addresses, the number of lines, the table of their byte offsets (first, second), and their length.
"""


def product_kernel(target: str, precision: Precision, *tile: int) -> Any:
    """Return the loop of ``ProductTile._make(tile)`` as an intrinsic."""
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            write_products(Code(builder, lanes, precision), arguments[0], ProductTile._make(tile))
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def write_products(code: Code, record: Value, tile: ProductTile) -> None:
    """Write a loop over lines and their positions; every output is the sum over all lanes."""
    values = dict(zip(PRODUCT_ARGUMENTS, code.arguments(record, len(PRODUCT_ARGUMENTS))))
    first, second = code.pointer(values["first"]), code.pointer(values["second"])
    zeros = [code.constant(0)] * (tile.rows * tile.columns)

    def position(_: Value, carried: list[Value]) -> Sequence[Value]:
        one, two, *sums = carried
        rows = [code.load(one, row * tile.row_step) for row in range(tile.rows)]
        columns = [code.load(two, column * tile.column_step) for column in range(tile.columns)]
        products = [
            code.fma(rows[row], columns[column], sums[row * tile.columns + column])
            for row in range(tile.rows)
            for column in range(tile.columns)
        ]
        return [code.at(one, tile.first_step), code.at(two, tile.second_step), *products]

    def line(index: Value, sums: list[Value]) -> Sequence[Value]:
        place = code.builder.shl(index, code.int(1))
        one = code.at(first, code.element(values["offsets"], place))
        two = code.at(second, code.element(values["offsets"], code.builder.add(place, code.int(1))))
        return code.repeat(values["positions"], position, [one, two, *sums])[2:]

    sums = code.repeat(values["lines"], line, zeros)
    output = code.pointer(values["output"])
    for index, total in enumerate(lanes_added(code, sums)):
        row, column = divmod(index, tile.columns)
        place = code.at(output, row * tile.row_output + column * tile.column_output)
        place = code.builder.bitcast(place, code.scalar.as_pointer())
        before = code.builder.load(place, align=code.element_bytes) if tile.adds else ir.Constant(code.scalar, -0.0)
        code.builder.store(code.builder.fadd(before, total), place, align=code.element_bytes)


def lanes_added(code: Code, vectors: Sequence[Value]) -> list[Value]:
    """Return the sum of each vector's lanes, halves added to halves.

    The halves of two vectors are added as one vector, then the quarters of four, and so on, as long as there are so
    many.
    """
    result = []
    for first in range(0, len(vectors), code.lanes):
        some = list(vectors[first : first + code.lanes])
        size, count = code.lanes, len(some)
        while size > 1:
            if len(some) % 2 and len(some) > 1:
                some.append(code.constant(0))
            size //= 2
            step = min(2, len(some))
            some = [_halves_added(code, some[place : place + step], size) for place in range(0, len(some), step)]
        result += [code.builder.extract_element(some[0], ir.Constant(ir.IntType(32), lane)) for lane in range(count)]
    return result


def _halves_added(code: Code, vectors: Sequence[Value], size: int) -> Value:
    """Return for each ``2 * size`` neighbouring lanes of one or two vectors the sum of their halves, side by side."""
    starts = range(0, sum(vector.type.count for vector in vectors), 2 * size)
    halves = [[start + half + lane for start in starts for lane in range(size)] for half in (0, size)]
    lower, upper = (code.builder.shuffle_vector(vectors[0], vectors[-1], _places(half)) for half in halves)
    return code.builder.fadd(lower, upper)


def _places(lanes: Sequence[int]) -> Value:
    kind = ir.IntType(32)
    return ir.Constant(ir.VectorType(kind, len(lanes)), [ir.Constant(kind, lane) for lane in lanes])
