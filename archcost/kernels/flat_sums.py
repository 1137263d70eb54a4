"""Sums over flat arrays: penalties of parameters, norms of gradients, and their first element that is not finite.

Elements are added in float64, window by window, and the windows in their order: results are the same for any number of
threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.layout import Array
from archcost.kernels.machine import blank_record, call_tile, float32s, float64s, integers
from archcost.kernels.pixels import UNROLL, unrolled
from archcost.kernels.segments import Segment, Windows, address
from archcost.kernels.step import Step
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_unit
from archcost.kernels.vector import Code, Value


def sums_kernel(target: str, precision: Precision) -> Any:
    """Return the loop that adds absolute values and squares of a range in float64, as an intrinsic.

    Its record: elements, source, sums. The sums of absolute values are one vector and one number for the elements that
    fill no vector; those of squares follow.
    """
    lanes = TARGETS[target].lanes(precision)

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            elements, source, sums = code.arguments(arguments[0], 3)
            rest = builder.and_(elements, code.int(lanes - 1))
            full = builder.sub(elements, rest)
            values, results = code.pointer(source), code.pointer(sums)
            _write_sums(code, builder.udiv(full, code.int(lanes)), values, results, lanes + 1)
            values = code.at(values, builder.mul(full, code.int(code.element_bytes)))
            _write_sums(Code(builder, 1, precision), rest, values, code.at(results, 8 * lanes), lanes + 1)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def _write_sums(code: Code, vectors: Value, source: Value, results: Value, apart: int) -> None:
    """Write the loop over vectors; the two sums lie ``apart`` numbers from each other."""
    builder, wide = code.builder, Code(code.builder, code.lanes, "float64")

    def some(first: Value, count: int, totals: list[Value]) -> list[Value]:
        totals = list(totals)
        place = code.at(source, builder.mul(first, code.int(code.vector_bytes)))
        for ahead in range(count):
            value = code.load(place, ahead * code.vector_bytes)
            value = builder.fpext(value, wide.vector) if code.element_bytes == 4 else value
            totals[ahead] = wide.add(totals[ahead], wide.intrinsic("fabs", value))
            totals[UNROLL + ahead] = wide.fma(value, value, totals[UNROLL + ahead])
        return totals

    totals = unrolled(code, vectors, some, [wide.constant(0)] * (2 * UNROLL))
    for index in range(2):
        part = totals[index * UNROLL : (index + 1) * UNROLL]
        total = wide.add(wide.add(part[0], part[1]), wide.add(part[2], part[3]))
        wide.store(total, results, index * apart * 8)


def sums_step() -> Any:
    """Return the step function of sums."""
    return sum_windows


@function
def sum_windows(row: int, _thread: int, threads: int) -> None:
    """Write of every window the sum of absolute values, of squares, and its first element that is not finite (or -1).

    Arguments: kernel; windows, table of ranges, of the first range of each window; bytes of an element, lanes; array;
    factors of the segments (0: all are 1); sums of the windows, float64 (windows, 2); elements found, (windows,).
    """
    words = integers(row)
    kernel, windows, size, lanes, weighted = words[1], words[2], words[5], words[6], words[8] != 0
    firsts = integers(words[4])
    ranges = numba.carray(integers(words[3]), (firsts[windows], 3), np.int64)
    found = integers(words[10])
    address, sums = blank_record(), blank_record()
    record = integers(address)
    record[2] = sums
    unit = next_unit(row, -1, threads)
    while unit < windows:
        found[unit] = -1
        result = float64s(words[9] + unit * 16)
        result[0] = result[1] = 0.0
        for index in range(firsts[unit], firsts[unit + 1]):
            start, count = ranges[index, 0], ranges[index, 1]
            record[0] = count
            record[1] = words[7] + start * size
            call_tile(kernel, address)
            factor = 1.0
            if weighted:
                factor = float64s(words[8] + ranges[index, 2] * 16)[0]
            absolute = added(sums, lanes + 1)
            if factor != 0:
                result[0] += factor * absolute
                result[1] += factor * added(sums + 8 * (lanes + 1), lanes + 1)
            if found[unit] < 0 and not np.isfinite(absolute):
                place = first_not_finite(record[1], count, size)
                found[unit] = start + place if place >= 0 else -1
        unit = next_unit(row, unit, threads)


@function
def added(address: int, count: int) -> float:
    """Return the sum of float64 numbers, in their order."""
    numbers = float64s(address)
    total = 0.0
    for index in range(count):
        total += numbers[index]
    return total


@function
def first_not_finite(address: int, elements: int, size: int) -> int:
    """Return the first element that is not finite, or -1 (a sum of finite ones may overflow)."""
    if size == 4:
        singles = float32s(address)
        for index in range(elements):
            if not np.isfinite(singles[index]):
                return index
    else:
        doubles = float64s(address)
        for index in range(elements):
            if not np.isfinite(doubles[index]):
                return index
    return -1


def total_step() -> Any:
    """Return the step function that adds up the windows."""
    return add_windows


@function
def add_windows(row: int, thread: int, _threads: int) -> None:
    """Write a penalty, or a norm, the first element that is not finite, and the factor that clips the norm.

    Arguments: windows, their sums, elements found; penalty: address of the factors of the two sums (0: norm); result;
    first element; address of the largest norm; where the factor goes.
    """
    if thread != 0:
        return
    words = integers(row)
    windows = words[1]
    sums = numba.carray(float64s(words[2]), (windows, 2), np.float64)
    absolute, squares = 0.0, 0.0
    for window in range(windows):
        absolute += sums[window, 0]
        squares += sums[window, 1]
    result = float64s(words[5])
    if words[4] != 0:
        factors = float64s(words[4])
        result[0] = factors[0] * absolute + factors[1] * squares
        return
    found = integers(words[3])
    first = -1
    for window in range(windows):
        if found[window] >= 0:
            first = found[window]
            break
    norm = np.sqrt(squares)
    limit = float64s(words[7])[0]
    result[0] = norm
    integers(words[6])[0] = first
    float64s(words[8])[0] = limit / norm if norm > limit else 1.0


@dataclass(frozen=True)
class Penalty:
    """The value of a penalty ready to be computed.

    Attributes:
        steps: what computes it.
        value: float64 (1,).
    """

    steps: tuple[Step, ...]
    value: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """What is asked of a gradient before it is used.

    Attributes:
        steps: what computes it.
        norm: root of the sum of squares, float64 (1,).
        first_not_finite: the first element that is NaN or infinite, int64 (1,); -1 if all are finite.
    """

    steps: tuple[Step, ...]
    norm: npt.NDArray[np.float64]
    first_not_finite: npt.NDArray[np.int64]


def _sums(
    array: Array, machine: Target, precision: Precision, segments: Sequence[Segment] | None, *, weighted: bool
) -> tuple[Step, tuple[int, int, int]]:
    """Return the step that sums over the windows, and what a step that adds them needs to know."""
    windows = Windows.of(len(array), segments)
    count = windows.arguments[0]
    sums, found = np.zeros((max(1, count), 2)), np.zeros(max(1, count), np.int64)
    kernel = compiled.address("tile", "flat_sums", "sums_kernel", machine.name, precision)
    arguments = (
        kernel, *windows.arguments, array.itemsize, machine.lanes(precision), address(array),
        address(windows.factors) if weighted else 0, address(sums), address(found),
    )  # fmt: skip
    step = Step(compiled.address("step", "flat_sums", "sums_step"), arguments, (windows, array, sums, found))
    return step, (count, address(sums), address(found))


def penalty(
    parameters: Array,
    factors: npt.NDArray[np.float64],
    machine: Target,
    precision: Precision,
    *,
    segments: Sequence[Segment] | None = None,
) -> Penalty:
    """Return l1 * sum |w| + l2 * sum w^2, each segment times its own factor, computed in float64.

    Args:
        parameters: flat and contiguous, any length.
        factors: l1 and l2, float64 (2,), read at each run.
        machine: which vectors there are.
        precision: element type.
        segments: as for ``optimizer.update``.
    """
    step, found = _sums(parameters, machine, precision, segments, weighted=True)
    value = np.zeros(1)
    arguments = (*found, address(factors), address(value))
    total = Step(compiled.address("step", "flat_sums", "total_step"), arguments, (step.keep, factors, value))
    return Penalty((step, total), value)


def statistics(
    gradients: Array,
    limit: npt.NDArray[np.float64],
    scale: npt.NDArray[np.float64],
    machine: Target,
    precision: Precision,
    *,
    segments: Sequence[Segment] | None = None,
) -> Statistics:
    """Return the norm of a gradient, its first element that is not finite, and the factor that clips it.

    Args:
        gradients: flat and contiguous, any length.
        limit: largest norm, float64 (1,), read at each run; infinity for none.
        scale: where min(1, limit / norm) goes, float64 (1,).
        machine: which vectors there are.
        precision: element type.
        segments: which ranges count; None for all elements. Their factors do not.
    """
    step, found = _sums(gradients, machine, precision, segments, weighted=False)
    norm, first = np.zeros(1), np.full(1, -1, np.int64)
    arguments = (*found, 0, address(norm), address(first), address(limit), address(scale))
    total = Step(compiled.address("step", "flat_sums", "total_step"), arguments, (step.keep, norm, first, limit, scale))
    return Statistics((step, total), norm, first)
