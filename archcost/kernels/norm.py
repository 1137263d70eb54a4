"""Batch normalisation, in training together with a sum and an activation behind it.

Training statistics are taken in two passes, mean first, with sums in float64: accurate where the mean is large.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import numba
import numpy as np

from archcost.kernels import compiled
from archcost.kernels.activation import fused_name
from archcost.kernels.function import function
from archcost.kernels.layout import Array, aligned
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.pointwise import Operand, pointwise, pointwise_results
from archcost.kernels.reduce import Sums, channel_sums, total
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit
from archcost.ops import BatchNorm2d, Op

MEAN, SCALE, SHIFT, SLOPE, OFFSET = range(5)
"""Vectors that a node keeps, a number for each channel: y = (x - mean) * scale + shift, and the gradient to the input
is scale * g + slope * (x - mean) + offset."""

EPS, MOMENTUM, ELEMENTS = range(3)
"""Numbers that belong to a node; ``ELEMENTS`` of them share the statistics of a channel."""

COSTLY = frozenset({"SiLU", "Sigmoid", "Tanh", "GELU", "GELUTanh", "Mish", "ELU"})
"""Activations (``activation.formula_name``) that need exponentials."""

INVERSE, REST = range(2)
"""Float64 numbers of each channel: 1 / standard deviation, and what rounding took from the mean."""


def _vectors(operation: Operation) -> Array:
    """Return the node's vectors [5, channels in whole blocks], made at the first call."""
    saved, output = operation.saved, operation.output
    if "vectors" not in saved:
        size = output.memory.shape[1] * output.lanes
        saved["vectors"] = aligned(5 * size, output.memory.dtype).reshape(5, size)
        saved["details"] = aligned(2 * size, np.float64).reshape(2, size)
    return saved["vectors"]


def _operands(operation: Operation, *vectors: int) -> list[Operand]:
    lanes = operation.output.lanes
    return [Operand.per_channel(_vectors(operation)[vector], lanes) for vector in vectors]


@function
def _mean(c: int, sums: Any, _learned: Any, vectors: Any, _details: Any, _running: Any, numbers: Any) -> None:
    vectors[MEAN, c] = sums[0] / numbers[ELEMENTS]


@function
def _statistics(c: int, sums: Any, learned: Any, vectors: Any, details: Any, running: Any, numbers: Any) -> None:
    elements = numbers[ELEMENTS]
    rest = sums[0] / elements
    variance = max(sums[1] / elements - rest * rest, 0.0)
    unbiased = variance * elements / max(elements - 1.0, 1.0)
    running[0][c] += numbers[MOMENTUM] * (vectors[MEAN, c] + rest - running[0][c])
    running[1][c] += numbers[MOMENTUM] * (unbiased - running[1][c])
    details[INVERSE, c], details[REST, c] = 1.0 / np.sqrt(variance + numbers[EPS]), rest
    vectors[SCALE, c] = learned[0] * details[INVERSE, c]
    vectors[SHIFT, c] = learned[1] - learned[0] * details[INVERSE, c] * rest


@function
def _running(c: int, _sums: Any, learned: Any, vectors: Any, details: Any, running: Any, numbers: Any) -> None:
    details[INVERSE, c], details[REST, c] = 1.0 / np.sqrt(np.float64(running[1][c]) + numbers[EPS]), 0.0
    vectors[MEAN, c] = running[0][c]
    vectors[SCALE, c] = learned[0] * details[INVERSE, c]
    vectors[SHIFT, c] = learned[1]


@function
def _folded(c: int, _sums: Any, learned: Any, vectors: Any, _details: Any, running: Any, numbers: Any) -> None:
    scale = learned[0] / np.sqrt(np.float64(running[1][c]) + numbers[EPS])
    vectors[MEAN, c] = 0.0
    vectors[SCALE, c] = scale
    vectors[SHIFT, c] = learned[1] - running[0][c] * scale


@function
def _gradient(c: int, sums: Any, learned: Any, vectors: Any, details: Any, _running: Any, numbers: Any) -> None:
    inverse = details[INVERSE, c]
    product = (sums[1] - details[REST, c] * sums[0]) * inverse
    share = learned[0] * inverse / numbers[ELEMENTS]
    vectors[SLOPE, c] = -share * inverse * product
    vectors[OFFSET, c] = -share * (sums[0] - inverse * details[REST, c] * product)


@function
def _nothing(_c: int, _s: Any, _l: Any, _v: Any, _d: Any, _r: Any, _n: Any) -> None:
    pass


STAGES = {
    "mean": (1, _mean),
    "statistics": (2, _statistics),
    "running": (0, _running),
    "folded": (0, _folded),
    "gradient": (2, _gradient),
    "frozen_gradient": (2, _nothing),
}
"""What is computed for each channel between two passes over the map: sums that it needs, and how."""


def batch_norm_step(precision: Precision, stage: str) -> Any:
    """Return the step function of a stage."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)
    count, compute = STAGES[stage]
    counts_batch = stage == "statistics"

    @function
    def run(row: int, _thread: int, threads: int) -> None:
        """Compute the vectors of every block, and the gradients of weight and bias.

        Arguments: sums, groups, pieces; lanes, channels; weight and bias (or 0); vectors; details; running mean and
        variance; numbers; gradients of weight and bias (or 0); the number of batches and what kind of number it is.
        """
        words = integers(row)
        groups, pieces, lanes, channels = words[2], words[3], words[4], words[5]
        sums = numba.carray(float64s(words[1]), (groups, pieces, count, lanes), np.float64)
        vectors = numba.carray(view(words[8]), (5, groups * lanes), dtype)
        details = numba.carray(float64s(words[9]), (2, groups * lanes), np.float64)
        running_mean = view(words[10])
        running_variance = view(words[11])
        numbers = float64s(words[12])
        unit = next_unit(row, -1, threads)
        while unit < groups:
            for lane in range(min(lanes, channels - unit * lanes)):
                channel = unit * lanes + lane
                first, second, weight, bias = 0.0, 0.0, 1.0, 0.0
                if count > 0:
                    first, second = total(sums, unit, 0, lane), total(sums, unit, count - 1, lane)
                if words[6]:
                    weight = view(words[6])[channel]
                    bias = view(words[7])[channel]
                running = (running_mean, running_variance)
                compute(channel, (first, second), (weight, bias), vectors, details, running, numbers)
                if words[13]:
                    product = (second - details[REST, channel] * first) * details[INVERSE, channel]
                    view(words[13])[channel] = product
                    view(words[14])[channel] = first
            if counts_batch and unit == 0:
                count_batch(words[15], words[16])
            unit = next_unit(row, unit, threads)

    return run


@function
def count_batch(address: int, kind: int) -> None:
    """Add 1 to the number of batches seen: an integer of 64 bits (kind 0), or a float of so many bytes times 2."""
    if kind == 0:
        integers(address)[0] += 1
    elif kind == 8:
        float32s(address)[0] += 1
    else:
        float64s(address)[0] += 1


def _stage(
    stage: str, operation: Operation, sums: Sums | None = None, gradients: Mapping[str, Array] | None = None
) -> Step:
    """Return the step of a stage."""
    op, output = cast("BatchNorm2d", operation.op), operation.output
    buffers, gradients = operation.buffers, gradients or {}
    numbers = np.array([op.eps, op.momentum, output.images * output.shape[1] * output.shape[2]], np.float64)
    learned = [operation.parameters.get(name) for name in ("weight", "bias")]
    tracked = buffers["num_batches_tracked"]
    arguments = (
        *(sums.arguments if sums else (0, output.memory.shape[1], 0)),
        output.lanes, output.shape[0], *map(_address, learned), _address(_vectors(operation)),
        _address(operation.saved["details"]), _address(buffers["running_mean"]), _address(buffers["running_var"]),
        _address(numbers), *(_address(gradients.get(name)) for name in ("weight", "bias")), _address(tracked),
        "iuf".index(tracked.dtype.kind) * tracked.itemsize,
    )  # fmt: skip
    function = compiled.address("step", "norm", "batch_norm_step", operation.precision, stage)
    return Step(function, arguments, (operation, sums, gradients, numbers, *learned, *buffers.values()))


def _address(array: Array | None) -> int:
    return 0 if array is None else int(array.ctypes.data)


def batch_norm(operation: Operation, after: Op | None = None) -> list[Step]:
    """Return the steps of batch normalisation: with the batch's statistics in training, else the running ones.

    Training computes activation(normalised input + summand) in one pass, where the graph says so. A frozen layer is an
    operation that is not ``training``.

    Args:
        operation: the layer; its inputs are the layer's and the summand, if there is one, its output is that of the
            last operator that is computed together with it.
        after: the activation.
    """
    (source, *summands), machine, precision = operation.inputs, operation.machine, operation.precision
    place = Operand.exact(source)
    steps = []
    if operation.training:
        step, sums = channel_sums("value", source, [place], machine, precision, [source])
        steps += [step, _stage("mean", operation, sums)]
        places = [place, *_operands(operation, MEAN)]
        step, sums = channel_sums("centred_squares", source, places, machine, precision, [source, operation])
        steps += [step, _stage("statistics", operation, sums)]
    else:
        steps.append(_stage("running", operation))
    # The vectors are kept: recomputation normalises with them, and running statistics move on once a step.
    steps = [replace(step, once=True) for step in steps]
    operands = [place, *_operands(operation, MEAN, SCALE, SHIFT), *map(Operand.exact, summands)]
    formula = f"normalise:{_activation(after)}" if after or summands else "normalise"
    steps.append(pointwise(formula, operation.output, operands, machine, precision, [*operation.inputs, operation]))
    return steps


def _activation(after: Op | None) -> str:
    return (after and fused_name(after)) or "Identity"


def folded(operation: Operation) -> tuple[Step, Array, Array]:
    """Return inference's batch normalisation as numbers for the layer before it: y = x * scale + shift.

    Returns:
        The step that computes them when parameters have changed; scale and shift, one for each channel in whole blocks.
    """
    step = _stage("folded", operation)
    vectors = _vectors(operation)
    return step, vectors[SCALE], vectors[SHIFT]


def batch_norm_backward(gradient: Gradient, after: Op | None = None) -> list[Step]:
    """Return the steps of batch normalisation's gradients.

    With statistics of the batch, the mean and the variance depend on every element; with fixed ones the gradient to the
    input is the output's times the scale. What is computed together in training goes back together: both passes apply
    the activation's gradient to what they read; one of exponentials is computed once and overwrites the output's.

    Args:
        gradient: of the layer; its inputs are those of the layer and of the summand, if there is one.
        after: the activation.
    """
    operation, (target, *others) = gradient.forward, gradient.inputs
    machine, precision, source = operation.machine, operation.precision, operation.inputs[0]
    place, keep = Operand.exact(gradient.output), [gradient.output, source, operation]
    way, about = _way_back(operation, after)
    steps = []
    if gradient.parameters or (operation.training and target is not None):
        operands = [place, Operand.exact(source), *_operands(operation, MEAN), *about]
        formula = f"centred_products:{way}"
        back = gradient.output if target is not None and _is_costly(way) else None
        step, sums = channel_sums(formula, source, operands, machine, precision, keep, output=back)
        way, about = ("kept:Identity", []) if back else (way, about)
        stage = "gradient" if operation.training else "frozen_gradient"
        steps += [step, _stage(stage, operation, sums, gradient.parameters)]
    if target is not None and operation.training:
        # The pass over the elements has the scale anyway.
        about = about[1:] if len(about) == 2 else about
        operands = [place, Operand.exact(source), *_operands(operation, MEAN, SCALE, SLOPE, OFFSET), *about]
        outputs = [(target, gradient.adds[0])]
        for one, add in zip(others, gradient.adds[1:]):
            # Without an activation, a summand's gradient in the memory of the output's is there already.
            if one is not None and (after or one.address() != gradient.output.address()):
                outputs.append((one, add))
        formula = f"normalise_gradient:{way}"
        steps.append(pointwise_results(formula, outputs, operands, machine, precision, keep))
    elif target is not None:
        operands = [place, *_operands(operation, SCALE)]
        steps.append(pointwise("multiply", target, operands, machine, precision, keep, adds=gradient.adds[0]))
    return steps


def _is_costly(way: str) -> bool:
    """Return whether an activation's gradient takes longer to compute again than to store and read."""
    return way.partition(":")[2].partition(":")[0] in COSTLY and not way.startswith("kept")


def _way_back(operation: Operation, after: Op | None) -> tuple[str, list[Operand]]:
    """Return how gradients go back through an activation (``formulas``), and what that needs beside input and mean.

    Without a summand the pre-activation is computed again from the input, which both passes read anyway. With one, the
    output is read: only activations whose gradient follows from it are computed together with a sum.
    """
    if after is None:
        return "kept:Identity", []
    if len(operation.inputs) > 1:
        return f"kept:{fused_name(after)}", [Operand.exact(operation.output)]
    (source,) = after.saved_for_input
    return f"{source}:{fused_name(after)}", _operands(operation, SCALE, SHIFT)
