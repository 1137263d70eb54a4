"""Instance normalisation of maps, in vector code: statistics of each channel of each image, in two passes."""

from __future__ import annotations

from typing import cast

from archcost.kernels import normalise
from archcost.kernels.channels import masked
from archcost.kernels.layout import NO_HALO, Array, Blocked
from archcost.kernels.normalise import summed_to_array
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import is_map
from archcost.kernels.plain import channel_vector, conversion
from archcost.kernels.pointwise import Operand, constant, pointwise
from archcost.kernels.reduce import channel_sums, collected
from archcost.kernels.step import Step
from archcost.ops import InstanceNorm


def _is_map(operation: Operation) -> bool:
    source = operation.inputs[0]
    return is_map(source, operation.input_shapes[0]) and not source.channels_last


def _vector(tensor: Blocked) -> Blocked:
    """Return a tensor of one number for each channel of each image."""
    return Blocked.make(tensor.images, tensor.shape[:1], NO_HALO, tensor.lanes, tensor.memory.dtype)


def _learned(operation: Operation, name: str) -> tuple[Step, Operand, Blocked]:
    """Return weight or bias as an operand that holds for all pixels of a channel, and the step that prepares it."""
    values: Array = operation.parameters[name]
    packed = channel_vector(values, operation.output.lanes)
    step = conversion("write", packed, values, operation.machine, operation.precision)
    return step, Operand.exact(packed)._replace(image_step=0, row_step=0, pixel_step=0), packed


def _statistics(operation: Operation) -> tuple[list[Step], Blocked, Blocked]:
    """Return the steps that compute the mean and 1 / standard deviation of every channel, and the tensors of both."""
    (source,), precision = operation.inputs, operation.precision
    machine, share = operation.machine, 1 / (source.shape[1] * source.shape[2])
    mean, inverse = _vector(source), _vector(source)
    place = Operand.exact(source)
    first, sums = channel_sums("value", source, [place], machine, precision, [source], per_image=True)
    second, squares = channel_sums(
        "centred_squares", source, [place, Operand.of(mean)], machine, precision, [source, mean], per_image=True
    )
    eps, (mask, kept) = constant(cast("InstanceNorm", operation.op).epsilon, inverse), masked(inverse)
    steps = [
        first,
        collected(sums, 0, source, mean, precision, factor=share),
        second,
        collected(squares, 1, source, inverse, precision, factor=share),
        pointwise(
            "inverse_root", inverse, [Operand.exact(inverse), Operand.constant(eps), mask], machine, precision,
            [inverse, eps, kept],
        ),
    ]  # fmt: skip
    return steps, mean, inverse


def forward(operation: Operation) -> list[Step]:
    """Return the steps of instance normalisation: (x - mean) * weight / standard deviation + bias."""
    if not _is_map(operation):
        return normalise.forward(operation)
    (source,), output = operation.inputs, operation.output
    machine, precision = operation.machine, operation.precision
    steps, mean, scale = _statistics(operation)
    (pack_weight, weight, kept_weight), (pack_bias, bias, kept_bias) = (
        _learned(operation, name) for name in ("weight", "bias")
    )
    operands = [Operand.exact(source), Operand.of(mean), Operand.of(scale), bias]
    return [
        pack_weight, pack_bias, *steps,
        pointwise("multiply", scale, [Operand.exact(scale), weight], machine, precision, [kept_weight]),
        pointwise("normalise", output, operands, machine, precision, [source, mean, scale, kept_bias]),
    ]  # fmt: skip


def backward(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients.

    With n = (x - mean) * i, i = 1 / standard deviation: to the input weight * i * (g - mean of g - n * mean of g * n),
    to the weight the sum of g * n, to the bias that of g.
    """
    operation, (target,), above = gradient.forward, gradient.inputs, gradient.output
    if not _is_map(operation):
        return normalise.backward(gradient)
    (source,), (shape,), machine, precision = (
        operation.inputs, operation.input_shapes, operation.machine, operation.precision,
    )  # fmt: skip
    steps, mean, inverse = _statistics(operation)
    total, product = _vector(source), _vector(source)
    places = [Operand.exact(above), Operand.exact(source), Operand.of(mean), Operand.of(inverse)]
    keep = [above, source, mean, inverse]
    step, sums = channel_sums("normalised_products", source, places, machine, precision, keep, per_image=True)
    steps += [step, collected(sums, 0, source, total, precision), collected(sums, 1, source, product, precision)]
    for name, tensor in (("weight", product), ("bias", total)):
        if name in gradient.parameters:
            sums_to = gradient.parameters[name]
            steps.append(summed_to_array(tensor, (shape[0], 1, 1), (0,), sums_to, precision))
    if target is None:
        return steps
    pack, weight, kept = _learned(operation, "weight")
    share = constant(-1 / (source.shape[1] * source.shape[2]), source)
    scale = _vector(source)

    def scaled(vector: Blocked, *factors: Operand) -> Step:
        operands = [Operand.exact(vector), *factors]
        return pointwise("multiply", vector, operands, machine, precision, [scale, inverse, share])

    steps += [
        pack,
        pointwise("multiply", scale, [Operand.exact(inverse), weight], machine, precision, [inverse, kept]),
        scaled(product, Operand.exact(scale), Operand.exact(inverse), Operand.constant(share)),
        scaled(total, Operand.exact(scale), Operand.constant(share)),
    ]
    operands = [*places[:3], Operand.of(scale), Operand.of(product), Operand.of(total)]
    keep = [above, source, mean, scale, product, total]
    formula = "normalise_gradient:kept:Identity"
    steps.append(pointwise(formula, target, operands, machine, precision, keep, adds=gradient.adds[0]))
    return steps
