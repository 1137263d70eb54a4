"""Operators that mix the channels of a pixel: softmax, layer normalisation, local response normalisation.

A kernel goes over the pixels of a line, some at a time, and for each of them over the blocks of channels, once or
several times: the second time, the vectors are in the first cache level. The lanes that fill up the last block are kept
out of the sums by a vector that is 1 for channels and 0 for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.geometry import Shape
from archcost.kernels import compiled
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.pixels import UNROLL, Reading, unrolled
from archcost.kernels.pointwise import Operand, Spread, constant, lines_step
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.vector import INT8, INT32, Code, Value


def blocked_axis(tensor: Blocked, axis: int, shape: Shape) -> int:
    """Return which axis of (C, H, W) the axis of the graph's ``shape`` is: 0, 1 or 2."""
    if len(shape) == 1:
        return 0
    turned = tensor.channels_last or tuple(shape) != tensor.shape
    if len(shape) == 3:
        return (1, 2, 0)[axis] if turned else axis % 3
    return 0 if axis in (-1, len(shape) - 1) else 1


def mask_of(channels: int, lanes: int, dtype: Any) -> Array:
    """Return 1 for every channel and 0 for the lanes that fill up the last block."""
    mask = aligned(-(-channels // lanes) * lanes, dtype)
    mask[:channels] = 1
    return mask


def masked(tensor: Blocked) -> tuple[Operand, Array]:
    """Return the operand that is 1 for channels and 0 for lanes that fill up the last block, and its memory."""
    if tensor.shape[0] % tensor.lanes == 0:
        vector = constant(1, tensor)
        return Operand.constant(vector), vector
    mask = mask_of(tensor.shape[0], tensor.lanes, tensor.memory.dtype)
    return Operand.per_channel(mask, tensor.lanes), mask


def number(value: float, tensor: Blocked) -> tuple[Operand, Array]:
    """Return the operand for one number, and the array that holds it."""
    array = aligned(1, tensor.memory.dtype)
    array[0] = value
    return Spread(int(array.ctypes.data), 0, 0, 0, 0), array


def across(code: Code, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """Return the combination of all lanes, in all lanes; pairs first, then pairs of pairs, for any width."""
    distance = 1
    while distance < code.lanes:
        turned = [lane ^ distance for lane in range(code.lanes)]
        vector = combine(vector, code.shuffled(vector, vector, turned))
        distance *= 2
    return vector


class Columns:
    """Writes the code of some pixels side by side: each has a value of its own for every variable.

    Args:
        code: where the instructions go.
        blocks: blocks of channels.
        operands: name -> address, and bytes to the next block (0 for what all blocks share).
        ways: name -> whether it is one number for a pixel, and bytes to the next pixel.
    """

    def __init__(
        self,
        code: Code,
        blocks: Value,
        operands: Mapping[str, tuple[Value, Value]],
        ways: Mapping[str, tuple[bool, int]],
    ) -> None:
        self.code, self.block_count, self.operands, self.ways = code, blocks, dict(operands), dict(ways)
        self.pixel: Value = code.int(0)
        self.count = 1
        self.around = 0
        self.scratch_start = self.scratch_pitch = code.int(0)

    def place(self, name: str, block: Value, ahead: int) -> Value:
        """Return where an operand has its vector or number for a block of a pixel."""
        builder, code = self.code.builder, self.code
        start, step = self.operands[name]
        offset = builder.add(builder.mul(block, step), builder.mul(self.pixel, code.int(self.ways[name][1])))
        return code.at(code.at(start, offset), ahead * self.ways[name][1])

    def load(self, name: str, block: Value, ahead: int) -> Value:
        """Return a vector of an operand."""
        place = self.place(name, block, ahead)
        return self.code.broadcast(place) if self.ways[name][0] else self.code.load(place)

    def number(self, name: str, ahead: int = 0) -> Value:
        """Return an operand that is the same for all blocks."""
        return self.load(name, self.code.int(0), ahead)

    def keep(self, name: str, ahead: int, value: Value) -> None:
        """Store one number of a pixel, which all lanes of ``value`` hold."""
        code = self.code
        place = code.builder.bitcast(self.place(name, code.int(0), ahead), code.scalar.as_pointer())
        code.builder.store(code.builder.extract_element(value, ir.Constant(INT32, 0)), place, align=code.element_bytes)

    def each(self, body: Callable[[Value, int], Value | None]) -> None:
        """Write a loop over the blocks that carries nothing."""

        def block(index: Value, _: list[Value]) -> list[Value]:
            for ahead in range(self.count):
                body(index, ahead)
            return []

        self.code.repeat(self.block_count, block)

    def fold(
        self,
        body: Callable[[Value, int], Sequence[Value]],
        combine: Sequence[Callable[[Value, Value], Value]],
        start: Sequence[float],
    ) -> list[list[Value]]:
        """Write a loop over the blocks that combines values; return for each pixel what they come to, in all lanes."""
        width = len(combine)

        def block(index: Value, totals: list[Value]) -> list[Value]:
            totals = list(totals)
            for ahead in range(self.count):
                for position, value in enumerate(body(index, ahead)):
                    place = ahead * width + position
                    totals[place] = combine[position](totals[place], value)
            return totals

        carried = [self.code.constant(number) for _ in range(self.count) for number in start]
        totals = self.code.repeat(self.block_count, block, carried)
        return [
            [across(self.code, totals[ahead * width + position], combine[position]) for position in range(width)]
            for ahead in range(self.count)
        ]

    def sums(self, body: Callable[[Value, int], Sequence[Value]], width: int) -> list[list[Value]]:
        """Return for each pixel the sums over its channels of the values that ``body`` returns."""
        return self.fold(body, [self.code.add] * width, [0.0] * width)

    def output(self, name: str, block: Value, ahead: int, value: Value, *, adds: bool = False) -> None:
        """Store a vector, or add it to what is there."""
        place = self.place(name, block, ahead)
        self.code.store(self.code.add(self.code.load(place), value) if adds else value, place)

    def scratch(self, number: int, block: Value, ahead: int, channel: int = 0) -> Value:
        """Return the place in a pixel's scratch memory of a block's channels, ``channel`` further on."""
        builder, code = self.code.builder, self.code
        offset = builder.mul(self.scratch_pitch, code.int(number * UNROLL + ahead))
        offset = builder.add(offset, builder.mul(block, code.int(code.vector_bytes)))
        offset = builder.add(offset, code.int(self.around * code.vector_bytes + channel * code.element_bytes))
        return code.at(self.scratch_start, offset)

    def make_scratch(self, count: int, around: int) -> None:
        """Make ``count`` scratch memories for every pixel of a round: all blocks, and ``around`` blocks of zeros."""
        code, builder = self.code, self.code.builder
        blocks = builder.add(self.block_count, code.int(2 * around))
        self.around, self.scratch_pitch = around, builder.mul(blocks, code.int(code.vector_bytes))
        self.scratch_start = builder.alloca(INT8, builder.mul(self.scratch_pitch, code.int(count * UNROLL)))
        zeros = builder.mul(blocks, code.int(count * UNROLL))

        def clear(index: Value, _: list[Value]) -> list[Value]:
            code.store(code.constant(0), self.scratch_start, builder.mul(index, code.int(code.vector_bytes)))
            return []

        code.repeat(zeros, clear)


def channels_kernel(
    target: str,
    precision: Precision,
    module: str,
    formula: str,
    names: tuple[str, ...],
    ways: Reading,
    details: tuple[Any, ...],
) -> Any:
    """Return the loop over the pixels of a line, as an intrinsic.

    Its record: pixels, address of a table, addresses of the operands; the table holds the number of blocks and for each
    operand the bytes to the next block.

    Args:
        target: name of the target.
        precision: element type.
        module: module below ``archcost.kernels`` that holds the formula.
        formula: a name in its ``COLUMNS``.
        names: what the formula calls the operands.
        ways: how they are read.
        details: further arguments of the formula.
    """
    lanes = TARGETS[target].lanes(precision)
    write_formula, scratches = import_module(f"archcost.kernels.{module}").COLUMNS[formula]

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            pixels, table, *addresses = code.arguments(arguments[0], 2 + len(names))
            blocks, *steps = code.arguments(table, 1 + len(names))
            places = {name: (code.pointer(start), step) for name, start, step in zip(names, addresses, steps)}
            columns = Columns(code, blocks, places, dict(zip(names, ways)))
            if scratches:
                columns.make_scratch(scratches, details[0])

            def some(first: Value, count: int, _: list[Value]) -> list[Value]:
                columns.pixel, columns.count = first, count
                write_formula(columns, *details)
                return []

            unrolled(code, pixels, some)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def columns_step(
    module: str,
    formula: str,
    tensors: Mapping[str, Blocked],
    others: Mapping[str, Operand],
    machine: Target,
    precision: Precision,
    keep: Sequence[object] = (),
    details: tuple[Any, ...] = (),
) -> Step:
    """Return the step that runs a formula over all pixels of tensors of one shape.

    Args:
        module: module below ``archcost.kernels`` that holds the formula.
        formula: a name in its ``COLUMNS``.
        tensors: name -> tensor.
        others: name -> operand: a vector of channels, a ``Spread`` of one number for each pixel or for all.
        machine: which vectors there are.
        precision: element type.
        keep: arrays that the operands point into.
        details: literal arguments of the formula.
    """
    first = next(iter(tensors.values()))
    mask = mask_of(first.shape[0], first.lanes, first.memory.dtype)
    operands = {name: Operand.exact(tensor) for name, tensor in tensors.items()}
    operands["mask"] = Operand.per_channel(mask, first.lanes)
    operands |= others
    blocks = first.memory.shape[1]
    table = tabled([[blocks, *(operand.block_step for operand in operands.values())]])
    constants = Operand(table.ctypes.data, 0, 0, 0, 0)
    # The kernel goes over the blocks itself: here they are no axis.
    places = [constants, *(operand._replace(block_step=0) for operand in operands.values())]

    def kernel(ways: Reading) -> int:
        arguments = (machine.name, precision, module, formula, tuple(operands), ways[1:], details)
        return compiled.address("tile", "channels", "channels_kernel", *arguments)

    sizes = (first.images, 1, *first.shape[1:])
    return lines_step(kernel, sizes, places, machine, (mask, table, *tensors.values(), *keep), 4 * blocks)
