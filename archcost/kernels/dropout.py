"""Dropout and drop path: masks from counters, the same for any number of threads, target, vector width and precision.

The random number of element i is output i of the generator SplitMix64 (Steele, Lea & Flood 2014, Fast Splittable
Pseudorandom Number Generators, OOPSLA) from a state that hashes seed, iteration, node and image with the same mixing
function; i counts in the graph's order of axes. So forward and backward both compute the mask: it is not stored.
An element is dropped if its number, as a fraction of 2^63, lies below the rate.
"""

from __future__ import annotations

from typing import Any, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked, aligned
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.pixels import Reading, unrolled
from archcost.kernels.pointwise import Operand, lines_step, pointwise
from archcost.kernels.step import Step
from archcost.kernels.target import TARGETS, Precision
from archcost.kernels.units import next_unit
from archcost.kernels.vector import INT64, Code, Value
from archcost.ops.dropout import RandomMask

GAMMA = 0x9E3779B97F4A7C15
"""Step of the generator's state: 2^64 over the golden ratio, made odd."""

ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
"""Its mixing function (Stafford's variant 13): shift right, exclusive or, multiply."""


def mixed(builder: Any, value: Value) -> Value:
    """Write the mixing function of value + GAMMA, of an integer or of a vector of integers."""

    def like(number: int) -> Value:
        if isinstance(value.type, ir.VectorType):
            return ir.Constant(value.type, [ir.Constant(INT64, number)] * value.type.count)
        return ir.Constant(INT64, number)

    value = builder.add(value, like(GAMMA))
    for shift, factor in ROUNDS:
        value = builder.xor(value, builder.lshr(value, like(shift)))
        value = builder.mul(value, like(factor)) if factor != 1 else value
    return value


def state(code: Code, random: Value, image: Value) -> Value:
    """Return the generator's state for an image, from the address of seed, iteration and node."""
    result = code.int(0)
    for number in (*code.arguments(random, 3), image):
        result = mixed(code.builder, code.builder.add(result, number))
    return result


def dropout_kernel(target: str, precision: Precision, column_step: int, output_step: int, adds: bool) -> Any:
    """Return the loop that masks and scales the pixels of one line, as an intrinsic.

    Its record: pixels, output, source, address of the scale, of seed, iteration and node, and of a table with the
    threshold and what an element's number grows by from lane to lane; the image; the number of the first element.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            pixels, output, source, factor, random, table, image, start = code.arguments(arguments[0], 8)
            threshold, lane_step = code.arguments(table, 2)
            whole = Integers(code)
            key, scale = state(code, random, image), code.load(code.pointer(factor))
            sources, places = code.pointer(source), code.pointer(output)
            distances = builder.mul(whole.lanes(), whole.splat(lane_step))
            counters = builder.mul(builder.add(distances, whole.splat(start)), whole.constant(GAMMA))
            counters = builder.add(counters, whole.splat(key))
            limit = whole.splat(threshold)

            def some(first: Value, count: int, _: list[Value]) -> list[Value]:
                place = builder.mul(first, code.int(output_step))
                for ahead in range(count):
                    number = builder.add(first, code.int(ahead))
                    moved = whole.splat(builder.mul(number, code.int(column_step * GAMMA % 2**64)))
                    bits = builder.lshr(mixed(builder, builder.add(counters, moved)), whole.constant(1))
                    stays = builder.icmp_signed(">=", bits, limit)
                    value = code.load(sources, builder.add(place, code.int(ahead * output_step)))
                    value = builder.select(stays, code.mul(value, scale), code.constant(0))
                    end = builder.add(place, code.int(ahead * output_step))
                    code.store(code.add(code.load(places, end), value) if adds else value, places, end)
                return []

            unrolled(code, pixels, some)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


class Integers:
    """Vectors of 64-bit integers, as many as the vectors of ``code`` have lanes."""

    def __init__(self, code: Code) -> None:
        self.code, self.kind = code, ir.VectorType(INT64, code.lanes)

    def constant(self, number: int) -> Value:
        """Return a number in all lanes."""
        return ir.Constant(self.kind, [ir.Constant(INT64, number)] * self.code.lanes)

    def lanes(self) -> Value:
        """Return 0, 1, 2, ..."""
        return ir.Constant(self.kind, [ir.Constant(INT64, lane) for lane in range(self.code.lanes)])

    def splat(self, value: Value) -> Value:
        """Return ``value`` in all lanes."""
        empty = ir.Constant(self.kind, ir.Undefined)
        first = self.code.builder.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.code.lanes), None)
        return self.code.builder.shuffle_vector(first, empty, zeros)


def _masked(operation: Operation, source: Blocked, target: Blocked, *, adds: bool) -> list[Step]:
    """Return the step that applies the mask of elements."""
    op, machine, precision = cast("RandomMask", operation.op), operation.machine, operation.precision
    channels, height, width = source.shape
    strides = (1, width * channels, channels) if source.channels_last else (height * width, width, 1)
    numbers = np.array([threshold(op.rate), strides[0]], np.int64)
    factor = aligned(source.lanes, source.memory.dtype)
    factor[:] = 1 / (1 - op.rate)
    # Image and element number are reached from 0 in steps, as addresses are.
    operands = [
        Operand.exact(target),
        Operand.exact(source),
        Operand.constant(factor),
        Operand(operation.random, 0, 0, 0, 0),
        Operand(int(numbers.ctypes.data), 0, 0, 0, 0),
        Operand(0, 1, 0, 0, 0),
        Operand(0, 0, source.lanes * strides[0], strides[1], strides[2]),
    ]

    def kernel(ways: Reading) -> int:
        details = (machine.name, precision, ways[-1][1], ways[0][1], adds)
        return compiled.address("tile", "dropout", "dropout_kernel", *details)

    sizes = (source.images, source.memory.shape[1], height, width)
    return [lines_step(kernel, sizes, operands, machine, (source, target, factor, numbers), 4)]


def threshold(rate: float) -> int:
    """Return below which 63-bit number an element is dropped."""
    return round(rate * 2**63)


@intrinsic
def draw(_context: Any, random: Any, image: Any) -> Any:
    """Return the first 63-bit random number of an image."""

    def write(_: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        code = Code(builder, 2, "float64")
        return builder.lshr(mixed(builder, state(code, arguments[0], arguments[1])), code.int(1))

    return types.int64(types.intp, types.intp), write


def path_step(precision: Precision) -> Any:
    """Return the step function that draws the factor of every image."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @function
    def draw_factors(row: int, _thread: int, threads: int) -> None:
        """Write 0 or the factor for kept images to a vector for each image.

        Arguments: factors, images, lanes, address of the factor (float64), threshold, address of seed, iteration, node.
        """
        words = integers(row)
        images, lanes = words[2], words[3]
        factors = numba.carray(view(words[1]), (images, lanes), dtype)
        kept = float64s(words[4])[0]
        unit = next_unit(row, -1, threads)
        while unit < images:
            factors[unit, :] = kept if draw(words[6], unit) >= words[5] else 0.0
            unit = next_unit(row, unit, threads)

    return draw_factors


def _paths(operation: Operation, source: Blocked, target: Blocked, *, adds: bool) -> list[Step]:
    """Return the steps that drop or scale whole images."""
    op, images, lanes = cast("RandomMask", operation.op), source.images, source.lanes
    factors = aligned(images * lanes, source.memory.dtype)
    kept = np.array([1 / (1 - op.rate)])
    arguments = (
        int(factors.ctypes.data), images, lanes, int(kept.ctypes.data), threshold(op.rate), operation.random
    )  # fmt: skip
    function = compiled.address("step", "dropout", "path_step", operation.precision)
    drawing = Step(function, arguments, (factors, kept))
    operands = [Operand.exact(source), Operand(arguments[0], lanes * factors.itemsize, 0, 0, 0)]
    machine, precision, keep = operation.machine, operation.precision, [source, factors]
    return [drawing, pointwise("multiply", target, operands, machine, precision, keep, adds=adds)]


def _passed_on(operation: Operation, source: Blocked, target: Blocked, *, adds: bool) -> list[Step]:
    """Return the step that copies or adds, none where both are the same memory."""
    if source.address() == target.address() and not adds:
        return []
    return [
        pointwise("copy", target, [Operand.exact(source)], operation.machine, operation.precision, [source], adds=adds)
    ]


def _applied(operation: Operation, source: Blocked, target: Blocked, *, path: bool, adds: bool) -> list[Step]:
    if not operation.training or cast("RandomMask", operation.op).rate == 0:
        return _passed_on(operation, source, target, adds=adds)
    return (_paths if path else _masked)(operation, source, target, adds=adds)


def dropout(operation: Operation) -> list[Step]:
    """Return the steps of dropout: a copy in inference."""
    return _applied(operation, operation.inputs[0], operation.output, path=False, adds=False)


def dropout_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of dropout's gradient: the same mask on the gradient."""
    target = gradient.inputs[0]
    if target is None:
        return []
    return _applied(gradient.forward, gradient.output, target, path=False, adds=gradient.adds[0])


def drop_path(operation: Operation) -> list[Step]:
    """Return the steps of drop path: a copy in inference."""
    return _applied(operation, operation.inputs[0], operation.output, path=True, adds=False)


def drop_path_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of drop path's gradient: the same images are dropped."""
    target = gradient.inputs[0]
    if target is None:
        return []
    return _applied(gradient.forward, gradient.output, target, path=True, adds=gradient.adds[0])
