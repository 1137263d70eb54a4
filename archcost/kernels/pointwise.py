"""Operators that compute every output element from the elements at its place in any number of inputs.

One driver and one generated loop serve activations, normalisation, addition, scaling and their gradients: a formula
says what is done to the vectors of one pixel. An input may be a map; one vector for each channel block that holds for
all its pixels (BatchNorm's scale, an SE gate); or one number for each pixel that holds for all channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.formulas import formula_of
from archcost.kernels.function import function
from archcost.kernels.layout import Array, Blocked, aligned
from archcost.kernels.machine import RECORD_WORDS, blank_record, call_tile, integers
from archcost.kernels.pixels import Readers, Reading, unrolled
from archcost.kernels.step import Step, tabled
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_near
from archcost.kernels.vector import Code, Value

UNIT_PIXELS = 2048
"""Most pixels of a unit: their vectors of three operands stay in the second cache level."""

LEAST_PIXELS = 128
"""Fewest pixels of a unit: some microseconds of work, many times what it costs to take a unit."""


class Operand(NamedTuple):
    """What a formula reads or writes: an address and the bytes to the next image, block, row and pixel."""

    address: int
    image_step: int
    block_step: int
    row_step: int
    pixel_step: int

    @classmethod
    def of(cls, tensor: Blocked) -> Operand:
        """Return the operand for a map; a map of one pixel holds for all pixels of the output."""
        moves = tensor.shape[1:] != (1, 1)
        row_step, pixel_step = (tensor.row_step, tensor.pixel_step) if moves else (0, 0)
        return cls(tensor.address(), tensor.image_step, tensor.block_step, row_step, pixel_step)

    @classmethod
    def exact(cls, tensor: Blocked) -> Operand:
        """Return the operand for a tensor whose sizes are those of the output."""
        return cls(tensor.address(), tensor.image_step, tensor.block_step, tensor.row_step, tensor.pixel_step)

    @classmethod
    def per_channel(cls, values: Any, lanes: int) -> Operand:
        """Return the operand for one number for each channel, in whole blocks."""
        return cls(int(values.ctypes.data), 0, lanes * values.itemsize, 0, 0)

    @classmethod
    def constant(cls, values: Array) -> Operand:
        """Return the operand for a vector that holds everywhere."""
        return cls(int(values.ctypes.data), 0, 0, 0, 0)


class Spread(Operand):
    """An operand of single elements: each is read into all lanes of a vector."""


def fitted(tensor: Blocked, output: Blocked) -> Operand:
    """Return the operand for a tensor that is broadcast to ``output``: sizes of an axis are equal or 1."""
    if tensor.shape == output.shape:
        return Operand.exact(tensor)
    channels, height, width = tensor.shape
    spread = channels == 1 < output.shape[0]
    steps = (tensor.block_step, tensor.row_step, tensor.pixel_step)
    kept = [step if size > 1 else 0 for step, size in zip(steps, (channels, height, width))]
    return (Spread if spread else Operand)(tensor.address(), tensor.image_step, *kept)


def constant(value: float, tensor: Blocked) -> Array:
    """Return a vector of one number, in the element type of a tensor, for ``Operand.constant``."""
    vector = aligned(tensor.lanes, tensor.memory.dtype)
    vector[:] = value
    return vector


def reading(operands: Sequence[Operand]) -> Reading:
    """Return how a kernel reads the operands."""
    return tuple((isinstance(operand, Spread), operand.pixel_step) for operand in operands)


Writing = tuple[tuple[int, bool], ...]
"""For each output its pixel step, and whether results are added to it: constants of the machine code."""


def row_kernel(target: str, precision: Precision, formula: str, ways: Reading, outputs: Writing) -> Any:
    """Return the loop over the pixels of one line, as an intrinsic.

    Its record: pixels, the address of each output, and the address of each operand.

    Args:
        target: name of the target.
        precision: element type.
        formula: a name that ``formulas.formula_of`` knows.
        ways: how the operands are read.
        outputs: how the formula's results are written, as many of them as there are outputs.
    """
    lanes = TARGETS[target].lanes(precision)
    write_formula = formula_of(formula)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            pixels, *addresses = code.arguments(arguments[0], 1 + len(outputs) + len(ways))
            starts = [code.pointer(address) for address in addresses[: len(outputs)]]
            readers = Readers(code, addresses[len(outputs) :], ways)

            def some(first: Value, count: int, _: list[Value]) -> list[Value]:
                places = [
                    code.at(start, builder.mul(first, code.int(step))) for start, (step, _) in zip(starts, outputs)
                ]
                # All loads come before the first store: the compiler cannot know that they do not overlap.
                results = [write_formula(code, *readers.load(first, ahead)) for ahead in range(count)]
                pixels = [result if isinstance(result, tuple) else (result,) for result in results]
                stores = []
                for number, (place, (step, adds)) in enumerate(zip(places, outputs)):
                    for ahead, values in enumerate(pixels):
                        old = [code.load(place, ahead * step)] if adds else []
                        stores.append((reduce(code.add, [*old, values[number]]), place, ahead * step))
                for store in stores:
                    code.store(*store)
                return []

            unrolled(code, pixels, some)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def pointwise_step() -> Any:
    """Return the step function."""
    return pointwise_lines


@function
def pointwise_lines(row: int, thread: int, threads: int) -> None:
    """Run the row kernel over every piece of every line.

    Arguments: kernel, operands with the output, table of their addresses, three steps and pixel step; lines of the
    three outer axes, pixels of a line, pixels of a piece, lines of a unit.
    """
    words = integers(row)
    kernel, operands = words[1], words[2]
    table = numba.carray(integers(words[3]), (operands, 5), np.int64)
    middle, inner = words[5], words[6]
    lines, pixels, piece_pixels, unit_lines = words[4] * middle * inner, words[7], words[8], words[9]
    address = blank_record()
    record = integers(address)
    pieces = (pixels + piece_pixels - 1) // piece_pixels
    groups = (lines + unit_lines - 1) // unit_lines
    unit = next_near(row, -1, thread, threads, groups * pieces)
    while unit < groups * pieces:
        group = unit // pieces
        first = (unit - group * pieces) * piece_pixels
        record[0] = min(piece_pixels, pixels - first)
        for line in range(group * unit_lines, min((group + 1) * unit_lines, lines)):
            outer = line // (middle * inner)
            between = line // inner - outer * middle
            last = line % inner
            for operand in range(operands):
                record[1 + operand] = (
                    table[operand, 0]
                    + outer * table[operand, 1]
                    + between * table[operand, 2]
                    + last * table[operand, 3]
                    + first * table[operand, 4]
                )
            call_tile(kernel, address)
        unit = next_near(row, unit, thread, threads, groups * pieces)


Nest = tuple[tuple[int, int, int, int], list[Operand]]
"""Sizes of the axes from outer to inner, and operands whose four steps go along them."""


def merged(sizes: Sequence[int], operands: Sequence[Operand], vector_bytes: int) -> Nest:
    """Return the same elements with as few and as long lines as possible: axes that continue each other become one.

    The last axis keeps a pixel step for which there are kernels anyway: none, an element, or a vector.
    """
    steps = list(zip(*(operand[1:] for operand in operands)))
    axes = [(sizes[3], steps[3])]
    for size, outer in zip(sizes[2::-1], steps[2::-1]):
        inner_size, inner = axes[-1]
        if size == 1:
            continue
        if inner_size == 1 and (len(axes) > 1 or all(step in (0, vector_bytes) for step in outer)):
            axes[-1] = (size, outer)
        elif all(far == inner_size * near for far, near in zip(outer, inner)):
            axes[-1] = (inner_size * size, inner)
        else:
            axes.append((size, outer))
    axes += [(1, (0,) * len(operands))] * (4 - len(axes))
    turned = axes[::-1]
    found = [
        type(operand)(operand.address, *(steps[index] for _, steps in turned)) for index, operand in enumerate(operands)
    ]
    return (turned[0][0], turned[1][0], turned[2][0], turned[3][0]), found


def pointwise(
    formula: str,
    output: Blocked,
    operands: Sequence[Operand],
    machine: Target,
    precision: Precision,
    keep: Sequence[object],
    *,
    adds: bool = False,
) -> Step:
    """Return the step that computes ``output`` = formula(operands) for every pixel.

    An operand may be the output's own memory.

    Args:
        formula: a name that ``formulas.formula_of`` knows.
        output: where the result goes.
        operands: as many as the formula takes.
        machine: which vectors there are.
        precision: element type.
        keep: tensors and arrays that the operands point into.
        adds: add the result to the output instead of overwriting it.
    """
    return pointwise_results(formula, [(output, adds)], operands, machine, precision, keep)


def pointwise_results(
    formula: str,
    outputs: Sequence[tuple[Blocked, bool]],
    operands: Sequence[Operand],
    machine: Target,
    precision: Precision,
    keep: Sequence[object],
) -> Step:
    """Return the step of a formula with several results; see ``pointwise``.

    Args:
        formula: a name that ``formulas.formula_of`` knows.
        outputs: a tensor for each result, and whether the result is added to it; results beyond them are left out.
        operands: as many as the formula takes.
        machine: which vectors there are.
        precision: element type.
        keep: tensors and arrays that the operands point into.
    """
    count = len(outputs)
    tensors, adds = zip(*outputs)

    def kernel(ways: Reading) -> int:
        writing = tuple((step, add) for (_, step), add in zip(ways, adds))
        return compiled.address(
            "tile", "pointwise", "row_kernel", machine.name, precision, formula, ways[count:], writing
        )

    output = tensors[0]
    sizes = (output.images, output.memory.shape[1], *output.shape[1:])
    return lines_step(kernel, sizes, [*map(Operand.exact, tensors), *operands], machine, (*tensors, *keep))


def lines_step(
    kernel: Callable[[Reading], int],
    sizes: tuple[int, int, int, int],
    operands: Sequence[Operand],
    machine: Target,
    keep: Sequence[object],
    pixel_work: int = 1,
) -> Step:
    """Return the step that runs a kernel over all lines of pixels.

    Args:
        kernel: returns the kernel's address, given how it reads the operands.
        sizes: of the axes that the operands' steps go along.
        operands: what the kernel reads and writes.
        machine: which vectors there are.
        keep: tensors and arrays that the operands point into.
        pixel_work: vectors of a pixel.
    """
    sizes, places = merged(sizes, operands, machine.vector_bytes)
    lines, pixels = sizes[0] * sizes[1] * sizes[2], max(1, sizes[3])
    most, least = max(1, UNIT_PIXELS // pixel_work), max(1, LEAST_PIXELS // pixel_work)
    goal = min(most, max(least, lines * pixels // 16))
    pieces = -(-pixels // goal)
    assert len(places) < RECORD_WORDS
    table = tabled(places)
    arguments = (
        kernel(reading(places)), len(places), table.ctypes.data, *sizes, -(-pixels // pieces), max(1, goal // pixels)
    )  # fmt: skip
    return Step(compiled.address("step", "pointwise", "pointwise_step"), arguments, (table, *keep))
