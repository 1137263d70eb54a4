"""Layer normalisation of a pixel by its channels, or of a row by its last axis, in vector code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from archcost.kernels import normalise
from archcost.kernels.channels import Columns, blocked_axis, columns_step, mask_of, number
from archcost.kernels.functions import root
from archcost.kernels.layout import Blocked, aligned
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import is_map
from archcost.kernels.plain import channel_vector, conversion
from archcost.kernels.pointwise import Operand, Spread
from archcost.kernels.reduce import channel_sums, collected
from archcost.kernels.rows import rows_of
from archcost.kernels.step import Step
from archcost.kernels.vector import Value
from archcost.ops import LayerNorm


def _layer_norm(columns: Columns) -> None:
    """Write output = (source - mean) * scale * weight + bias; keep the mean and the scale of each pixel."""
    code = columns.code
    share = columns.number("share")
    sums = columns.sums(
        lambda block, ahead: [code.mul(columns.load("source", block, ahead), columns.load("mask", block, ahead))], 1
    )
    means = [code.mul(values[0], share) for values in sums]

    def square(block: Value, ahead: int) -> list[Value]:
        distance = code.sub(columns.load("source", block, ahead), means[ahead])
        return [code.mul(code.mul(distance, distance), columns.load("mask", block, ahead))]

    scales = []
    for ahead, values in enumerate(columns.sums(square, 1)):
        scale = code.div(code.constant(1), root(code, code.fma(values[0], share, columns.number("eps"))))
        scales.append(scale)
        columns.keep("mean", ahead, means[ahead])
        columns.keep("scale", ahead, scale)

    def result(block: Value, ahead: int) -> None:
        value = code.mul(code.sub(columns.load("source", block, ahead), means[ahead]), scales[ahead])
        value = code.fma(value, columns.load("weight", block, ahead), columns.load("bias", block, ahead))
        columns.output("output", block, ahead, value)

    columns.each(result)


def _layer_norm_gradient(columns: Columns, adds: bool) -> None:
    """Write target = scale * (h - mean of h - n * mean of h * n), h = gradient * weight, n = normalised source."""
    code = columns.code
    means = [columns.number("mean", ahead) for ahead in range(columns.count)]
    scales = [columns.number("scale", ahead) for ahead in range(columns.count)]

    def pair(block: Value, ahead: int) -> list[Value]:
        scaled = code.mul(columns.load("gradient", block, ahead), columns.load("weight", block, ahead))
        distance = code.sub(columns.load("source", block, ahead), means[ahead])
        return [scaled, code.mul(distance, scales[ahead])]

    def products(block: Value, ahead: int) -> list[Value]:
        scaled, normal = pair(block, ahead)  # 0 where there is no channel: the weight is
        return [scaled, code.mul(scaled, normal)]

    share = columns.number("share")
    averages = [[code.mul(value, share) for value in values] for values in columns.sums(products, 2)]

    def result(block: Value, ahead: int) -> None:
        scaled, normal = pair(block, ahead)
        value = code.sub(code.sub(scaled, averages[ahead][0]), code.mul(normal, averages[ahead][1]))
        columns.output("target", block, ahead, code.mul(value, scales[ahead]), adds=adds)

    columns.each(result)


COLUMNS: dict[str, tuple[Any, int]] = {
    "layer_norm": (_layer_norm, 0),
    "layer_norm_gradient": (_layer_norm_gradient, 0),
}
"""Formula -> the function that writes it, and its scratch memories for each pixel."""


def _pixel_statistics(operation: Operation) -> dict[str, Operand]:
    """Return the operands for each pixel's mean and scale, in memory made at the first call."""
    saved, source = operation.saved, operation.inputs[0]
    _, height, width = source.shape
    size = source.memory.itemsize
    for name in ("mean", "scale"):
        if name not in saved:
            saved[name] = aligned(source.images * height * width, source.memory.dtype)
    steps = (height * width * size, 0, width * size, size)
    return {name: Spread(int(saved[name].ctypes.data), *steps) for name in ("mean", "scale")}


def _weights(operation: Operation) -> tuple[list[Step], dict[str, Operand], list[object]]:
    """Return the operands for weight and bias, 0 where there is no channel, and the steps that prepare them."""
    source, steps, keep = operation.inputs[0], [], cast("list[object]", [])
    operands = {}
    if not operation.parameters:
        mask = mask_of(source.shape[0], source.lanes, source.memory.dtype)
        zeros = np.zeros_like(mask)
        operands = {
            name: Operand.per_channel(values, source.lanes) for name, values in (("weight", mask), ("bias", zeros))
        }
        return [], operands, [mask, zeros]
    for name, values in operation.parameters.items():
        packed = channel_vector(values, source.lanes)
        steps.append(conversion("write", packed, values, operation.machine, operation.precision))
        operands[name] = Operand.exact(packed)._replace(image_step=0, row_step=0, pixel_step=0)
        keep.append(packed)
    return steps, operands, keep


def _by_channels(operation: Operation, *more: Blocked | None) -> list[Blocked | None] | None:
    """Return input, output and more tensors as maps whose channels are normalised, if their memory can be seen so."""
    op, shape = cast("LayerNorm", operation.op), operation.input_shapes[0]
    tensors = [*operation.inputs, operation.output, *more]
    present = [tensor for tensor in tensors if tensor is not None]
    are_blocked = len(shape) == 1 or all(is_map(tensor, shape) for tensor in present)
    if are_blocked and all(blocked_axis(tensor, op.axis, shape) == 0 for tensor in present):
        return tensors if op.normalized_axes == 1 else None
    if op.axis != -1 or op.normalized_axes != 1:
        return None
    found = [tensor and rows_of(tensor, shape) for tensor in tensors]
    return found if sum(tensor is not None for tensor in found) == len(present) else None


def layer_norm(operation: Operation) -> list[Step]:
    """Return the steps of layer normalisation."""
    found = _by_channels(operation)
    if found is None:
        return normalise.forward(operation)
    source, output = (cast("Blocked", tensor) for tensor in found)
    operation = replace(operation, inputs=(source,), output=output)
    steps, operands, keep = _weights(operation)
    share, shares = number(1 / source.shape[0], source)
    epsilon, epsilons = number(cast("LayerNorm", operation.op).eps, source)
    operands |= {"share": share, "eps": epsilon, **_pixel_statistics(operation)}
    tensors = {"source": source, "output": output}
    keep += [shares, epsilons, operation]
    step = columns_step(
        "layer_norm", "layer_norm", tensors, operands, operation.machine, operation.precision, keep
    )  # fmt: skip
    return [*steps, step]


def layer_norm_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of layer normalisation's gradients."""
    operation, (adds,) = gradient.forward, gradient.adds
    machine, precision = operation.machine, operation.precision
    found = _by_channels(operation, gradient.output, gradient.inputs[0])
    if found is None:
        return normalise.backward(gradient)
    source, output, above = (cast("Blocked", tensor) for tensor in found[:3])
    target = found[3]
    operation = replace(operation, inputs=(source,), output=output)
    statistics = _pixel_statistics(operation)
    steps: list[Step] = []
    if target is not None:
        steps, operands, keep = _weights(operation)
        operands.pop("bias")
        share, shares = number(1 / source.shape[0], source)
        operands |= {"share": share, **statistics}
        tensors = {"source": source, "gradient": above, "target": target}
        steps.append(
            columns_step(
                "layer_norm", "layer_norm_gradient", tensors, operands, machine, precision,
                [*keep, shares, operation], (adds,),
            )
        )  # fmt: skip
    if gradient.parameters:
        places = [Operand.exact(above), Operand.exact(source), *statistics.values()]
        keep = [above, source, operation]
        step, sums = channel_sums("normalised_products", source, places, machine, precision, keep)
        steps.append(step)
        for index, name in ((1, "weight"), (0, "bias")):
            steps.append(collected(sums, index, source, gradient.parameters[name], precision))
    return steps
