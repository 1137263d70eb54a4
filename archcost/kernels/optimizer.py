"""Updates of parameters by their gradients, penalties and decay, in one pass over flat arrays.

All trained parameters of a network lie in one flat array, their gradients and each state of the optimizer in others of
the same length. Numbers that change while training (the learning rate, the corrections of Adam) are read when a step
runs. A range of any length is updated by whole vectors and single elements for the rest, so that no padding is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from archcost.kernels import compiled
from archcost.kernels.function import function
from archcost.kernels.functions import root
from archcost.kernels.layout import Array
from archcost.kernels.machine import blank_record, call_tile, integers
from archcost.kernels.pixels import unrolled
from archcost.kernels.segments import Segment, Windows, address
from archcost.kernels.step import Step
from archcost.kernels.target import TARGETS, Precision, Target
from archcost.kernels.units import next_near
from archcost.kernels.vector import Code, Value


class Numbers(NamedTuple):
    """What an update reads when it runs, float64 in this order.

    With g' = scale * g + penalty * (l1 * sign(w) + 2 * l2 * w) + decay * weight_decay * w, every rule ends in
    w = w - rate * direction - decay * shrink * w.

    Attributes:
        rate: the learning rate; for Adam times sqrt(1 - beta2^t) / (1 - beta1^t).
        beta1: what is kept of the average of gradients.
        share1: factor of a new gradient in it: 1 - beta1, or 1 in the standard form of momentum.
        beta2: what is kept of the average of squares.
        share2: factor of a new square: 1 - beta2.
        epsilon: added to the root of the average of squares; for Adam times sqrt(1 - beta2^t).
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.
        weight_decay: coupled: added to the gradient times the parameter.
        shrink: decoupled: taken off the parameter directly; AdamW's learning rate times decay.
        scale: factor of the gradient, which clipping sets (``flat_sums.statistics``).
    """

    rate: float = 0.0
    beta1: float = 0.0
    share1: float = 1.0
    beta2: float = 0.0
    share2: float = 1.0
    epsilon: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float = 0.0
    shrink: float = 0.0
    scale: float = 1.0


SCALE = Numbers._fields.index("scale")

Factors = dict[str, Value]
Rule = Callable[[Code, Factors, Value, list[Value]], tuple[Value, list[Value]]]
"""Writes a direction and the new states, given the factors by name, the gradient, and the states."""


def _average(code: Code, factors: Factors, old: Value, new: Value, order: int) -> Value:
    return code.fma(factors[f"beta{order}"], old, code.mul(factors[f"share{order}"], new))


def _sgd(_: Code, __: Factors, gradient: Value, ___: list[Value]) -> tuple[Value, list[Value]]:
    return gradient, []


def _momentum(code: Code, factors: Factors, gradient: Value, states: list[Value]) -> tuple[Value, list[Value]]:
    velocity = _average(code, factors, states[0], gradient, 1)
    return velocity, [velocity]


def _nesterov(code: Code, factors: Factors, gradient: Value, states: list[Value]) -> tuple[Value, list[Value]]:
    velocity = _average(code, factors, states[0], gradient, 1)
    return code.fma(factors["beta1"], velocity, gradient), [velocity]


def _scaled(code: Code, factors: Factors, top: Value, squares: Value) -> Value:
    return code.div(top, code.add(root(code, squares), factors["epsilon"]))


def _rmsprop(code: Code, factors: Factors, gradient: Value, states: list[Value]) -> tuple[Value, list[Value]]:
    squares = _average(code, factors, states[0], code.mul(gradient, gradient), 2)
    return _scaled(code, factors, gradient, squares), [squares]


def _adam(code: Code, factors: Factors, gradient: Value, states: list[Value]) -> tuple[Value, list[Value]]:
    mean = _average(code, factors, states[0], gradient, 1)
    squares = _average(code, factors, states[1], code.mul(gradient, gradient), 2)
    return _scaled(code, factors, mean, squares), [mean, squares]


RULES: dict[str, tuple[int, Rule]] = {
    "sgd": (0, _sgd),
    "momentum": (1, _momentum),
    "nesterov": (1, _nesterov),
    "rmsprop": (1, _rmsprop),
    "adam": (2, _adam),
}
"""Name -> how many states there are for each parameter, and the function that writes the rule."""


def update_kernel(target: str, precision: Precision, rule: str) -> Any:
    """Return the loop that updates one range of elements, as an intrinsic.

    Its record: elements, address of the numbers, of the segment's two factors, of parameters, gradients, and states.
    """
    lanes = TARGETS[target].lanes(precision)
    states, write_rule = RULES[rule]

    @intrinsic
    def operation(_context: Any, record: Any) -> Any:
        def write(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            code = Code(builder, lanes, precision)
            elements, numbers, factors, *addresses = code.arguments(arguments[0], 5 + states)
            scalars = _scalars(code, numbers, factors)
            rest = builder.and_(elements, code.int(lanes - 1))
            full = builder.sub(elements, rest)
            pointers = [code.pointer(address) for address in addresses]
            tails = [code.at(pointer, builder.mul(full, code.int(code.element_bytes))) for pointer in pointers]
            single = Code(builder, 1, precision)
            _write_updates(code, builder.udiv(full, code.int(lanes)), pointers, scalars, write_rule)
            _write_updates(single, rest, tails, scalars, write_rule)
            return context.get_dummy_value()

        return types.void(types.intp), write

    return operation


def _scalars(code: Code, numbers: Value, factors: Value) -> Factors:
    """Return the numbers of an update in the element type, those of penalties with the segment's factors in them."""
    builder = code.builder

    def double(address: Value, index: int) -> Value:
        return builder.load(builder.gep(builder.inttoptr(address, ir.DoubleType().as_pointer()), [code.int(index)]))

    found = {name: double(numbers, index) for index, name in enumerate(Numbers._fields)}
    penalty, decay = double(factors, 0), double(factors, 1)
    twice = builder.fadd(found["l2"], found["l2"])
    found["l1"] = builder.fmul(found["l1"], penalty)
    found["pull"] = builder.fadd(builder.fmul(twice, penalty), builder.fmul(found["weight_decay"], decay))
    found["minus_rate"] = builder.fneg(found["rate"])
    found["minus_shrink"] = builder.fneg(builder.fmul(found["shrink"], decay))
    if code.element_bytes == 8:
        return found
    return {name: builder.fptrunc(value, code.scalar) for name, value in found.items()}


def _write_updates(code: Code, vectors: Value, pointers: list[Value], scalars: Factors, rule: Rule) -> None:
    """Write the loop over ``vectors`` vectors; the pointers are those of parameters, gradients and states."""
    builder, zero = code.builder, code.constant(0)
    factors = {name: code.splat(value) for name, value in scalars.items()}

    def some(first: Value, count: int, _: list[Value]) -> list[Value]:
        start = builder.mul(first, code.int(code.vector_bytes))
        places = [code.at(pointer, start) for pointer in pointers]
        # All loads come before the first store: the compiler cannot know that the arrays do not overlap.
        loaded = [[code.load(place, ahead * code.vector_bytes) for place in places] for ahead in range(count)]
        for ahead, (parameter, gradient, *states) in enumerate(loaded):
            signed = code.intrinsic("copysign", factors["l1"], parameter)
            slope = builder.select(builder.fcmp_unordered("!=", parameter, zero), signed, zero)
            slope = code.fma(factors["scale"], gradient, code.fma(factors["pull"], parameter, slope))
            direction, new_states = rule(code, factors, slope, states)
            new = code.fma(factors["minus_shrink"], parameter, parameter)
            new = code.fma(factors["minus_rate"], direction, new)
            for place, value in zip((places[0], *places[2:]), (new, *new_states)):
                code.store(value, place, ahead * code.vector_bytes)
        return []

    unrolled(code, vectors, some)


def update_step() -> Any:
    """Return the step function of an update."""
    return update_windows


@function
def update_windows(row: int, thread: int, threads: int) -> None:
    """Update every window, unless a gradient is not finite.

    Arguments: kernel; windows, table of ranges, of the first range of each window; bytes of an element; numbers;
    factors of the segments; address of the first element that is not finite (0: not asked); arrays, their addresses.
    """
    words = integers(row)
    kernel, windows, size, blocked, arrays = words[1], words[2], words[5], words[8], words[9]
    if blocked != 0 and integers(blocked)[0] >= 0:
        return
    firsts = integers(words[4])
    ranges = numba.carray(integers(words[3]), (max(1, firsts[windows]), 3), np.int64)
    address = blank_record()
    record = integers(address)
    record[1] = words[6]
    unit = next_near(row, -1, thread, threads, windows)
    while unit < windows:
        for index in range(firsts[unit], firsts[unit + 1]):
            record[0] = ranges[index, 1]
            record[2] = words[7] + ranges[index, 2] * 16
            for array in range(arrays):
                record[3 + array] = words[10 + array] + ranges[index, 0] * size
            call_tile(kernel, address)
        unit = next_near(row, unit, thread, threads, windows)


def update(
    rule: str,
    parameters: Array,
    gradients: Array,
    states: Sequence[Array],
    numbers: npt.NDArray[np.float64],
    machine: Target,
    precision: Precision,
    *,
    segments: Sequence[Segment] | None = None,
    blocked: npt.NDArray[np.int64] | None = None,
) -> Step:
    """Return the step that updates ``parameters`` and ``states`` once.

    Args:
        rule: a name in ``RULES``.
        parameters: flat and contiguous, any length.
        gradients: as many.
        states: arrays of that length, as many as the rule has; zeros before the first update.
        numbers: values of ``Numbers``, float64 in its order, read at each run.
        machine: which vectors there are.
        precision: element type.
        segments: ranges to update, in order and without overlap; None for all elements with factors of 1.
        blocked: nothing is updated if this number, int64 (1,), is 0 or more when the step runs.
    """
    windows = Windows.of(len(parameters), segments)
    arrays = (parameters, gradients, *states)
    kernel = compiled.address("tile", "optimizer", "update_kernel", machine.name, precision, rule)
    arguments = (
        kernel, *windows.arguments, parameters.itemsize, address(numbers), address(windows.factors),
        0 if blocked is None else address(blocked), len(arrays), *map(address, arrays),
    )  # fmt: skip
    return Step(compiled.address("step", "optimizer", "update_step"), arguments, (windows, numbers, blocked, arrays))
