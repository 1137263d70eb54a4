"""Dense layers (convolutions whose pixels are the images, see ``conv``) and the radial basis layer of LeNet-5."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba
import numpy as np

from archcost.kernels import compiled, conv, plain_dense
from archcost.kernels.function import function
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import is_vector
from archcost.kernels.rows import empty_rows, from_rows, rows_of, rows_shape, to_rows
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit
from archcost.ops import Linear


def _by_rows(operation: Operation, *others: Blocked | None) -> bool:
    """Tell whether a dense layer needs its tensors by rows: neither vectors nor channels-last maps."""
    tensors = [*operation.inputs, operation.output, *(tensor for tensor in others if tensor is not None)]
    rank = len(operation.input_shapes[0])
    if not isinstance(operation.op, Linear) or rank == 1:
        return False
    if rank == 2 and not is_vector(operation.inputs[0], operation.input_shapes[0]):
        return False
    return rank != 3 or not all(tensor.channels_last for tensor in tensors)


def forward_parts(operation: Operation, fusion: conv.Fusion | None = None) -> conv.Parts:
    """Return the steps of a layer that multiplies, on tensors of any number of axes if it is dense.

    Args:
        operation: the layer; its output is that of the last operator that is fused.
        fusion: what is computed together with it.
    """
    fusion = fusion or conv.Fusion()
    if not _by_rows(operation, fusion.residual):
        return _multiplied(operation, fusion)
    setting = operation.machine, operation.precision
    (shape,), output_shape = operation.input_shapes, operation.output_shape
    steps, source = to_rows(operation.inputs[0], shape, *setting)
    residual = fusion.residual
    if residual is not None:
        copies, residual = to_rows(residual, output_shape, *setting)
        steps = [*steps, *copies]
    view = rows_of(operation.output, output_shape)
    output = view or empty_rows(operation.output, output_shape)
    rows = replace(
        operation, inputs=(source,), output=output, input_shapes=(rows_shape(shape),),
        output_shape=rows_shape(output_shape),
    )  # fmt: skip
    parts = _multiplied(rows, replace(fusion, residual=residual))
    back = [] if view else from_rows(output, operation.output, output_shape, *setting, adds=False)
    return conv.Parts(parts.pack, [*steps, *parts.compute, *back])


def _multiplied(operation: Operation, fusion: conv.Fusion) -> conv.Parts:
    """Return the steps of a layer whose last axis is the tensors' channels."""
    if fusion.scale is None and fusion.shift is None and plain_dense.suits(operation):
        return conv.Parts(*plain_dense.forward(operation, fusion.residual, fusion.activation))
    return conv.forward_parts(operation, fusion)


def linear(operation: Operation) -> list[Step]:
    """Return the steps of a dense layer on the last axis."""
    parts = forward_parts(operation)
    return [*(replace(step, prepares=True) for step in parts.pack), *parts.compute]


def linear_backward(gradient: Gradient) -> list[Step]:
    """Return the steps of a dense layer's gradients: to the input, the weight and the bias."""
    operation, (target,) = gradient.forward, gradient.inputs
    if not _by_rows(operation, gradient.output, target):
        return _taken_back(gradient)
    setting = operation.machine, operation.precision
    (shape,), output_shape = operation.input_shapes, operation.output_shape
    steps, source = to_rows(operation.inputs[0], shape, *setting)
    copies, above = to_rows(gradient.output, output_shape, *setting)
    wanted = target and rows_of(target, shape)
    below = wanted or (target and empty_rows(target, shape))
    rows = replace(
        operation, inputs=(source,), output=above, input_shapes=(rows_shape(shape),),
        output_shape=rows_shape(output_shape),
    )  # fmt: skip
    adds = gradient.adds[0] and wanted is not None
    steps += [*copies, *_taken_back(Gradient(rows, above, (below,), (adds,), gradient.parameters))]
    if target is not None and below is not None and wanted is None:
        steps += from_rows(below, target, shape, *setting, adds=gradient.adds[0])
    return steps


def _taken_back(gradient: Gradient) -> list[Step]:
    """Return the steps of the gradients of a layer whose last axis is the tensors' channels."""
    return plain_dense.backward(gradient) if plain_dense.suits_backward(gradient) else conv.backward(gradient)


def radial_step(precision: Precision, backward: bool) -> Any:
    """Return the step function of squared distances or of their gradient, in plain loops: it is a tiny layer."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @function
    def run(row: int, _thread: int, threads: int) -> None:
        """Compute every pixel.

        Arguments: images, rows, columns, features, prototypes, lanes; plain prototypes; then address and elements to
        the next image, block, row and column of the input, of the output (or its gradient) and of the input's gradient;
        whether to add to it.
        """
        words = integers(row)
        rows, columns, features, count, lanes = words[2], words[3], words[4], words[5], words[6]
        prototypes = numba.carray(view(words[7]), (count, features), dtype)
        unit = next_unit(row, -1, threads)
        while unit < words[1] * rows:
            image = unit // rows
            line = unit - image * rows
            for column in range(columns):
                at = image * words[9] + line * words[11] + column * words[12]
                source = view(words[8])
                there = image * words[14] + line * words[16] + column * words[17]
                output = view(words[13])
                if backward:
                    place = image * words[19] + line * words[21] + column * words[22]
                    target = view(words[18])
                    for feature in range(features):
                        value = 0.0
                        x = source[at + feature // lanes * words[10] + feature % lanes]
                        for number in range(count):
                            g = output[there + number // lanes * words[15] + number % lanes]
                            value += 2.0 * g * (x - prototypes[number, feature])
                        index = place + feature // lanes * words[20] + feature % lanes
                        target[index] = target[index] + value if words[23] else value
                else:
                    for number in range(count):
                        value = 0.0
                        for feature in range(features):
                            x = source[at + feature // lanes * words[10] + feature % lanes]
                            distance = x - prototypes[number, feature]
                            value += distance * distance
                        output[there + number // lanes * words[15] + number % lanes] = value
            unit = next_unit(row, unit, threads)

    return run


def _radial(operation: Operation, output: Blocked, target: Blocked | None, *, adds: bool) -> list[Step]:
    (source,), prototypes = operation.inputs, operation.buffers["prototypes"]
    size = source.memory.itemsize

    def place(tensor: Blocked) -> tuple[int, ...]:
        steps = (tensor.image_step, tensor.block_step, tensor.row_step, tensor.pixel_step)
        return tensor.address(), *(step // size for step in steps)

    conv.require_channels(operation)
    count, features = prototypes.shape
    arguments = (
        source.images, *source.shape[1:], features, count, source.lanes, prototypes.ctypes.data, *place(source),
        *place(output), *(place(target) if target else (0,) * 5), int(adds),
    )  # fmt: skip
    function = compiled.address("step", "dense", "radial_step", operation.precision, target is not None)
    return [Step(function, arguments, (source, prototypes, output, target))]


def radial_basis(operation: Operation) -> list[Step]:
    """Return the step of the squared distances to all prototypes."""
    return _radial(operation, operation.output, None, adds=False)


def radial_basis_backward(gradient: Gradient) -> list[Step]:
    """Return the step of the gradient to the input: 2 g (x - prototype), summed over the prototypes."""
    target = gradient.inputs[0]
    if target is None:
        return []
    return _radial(gradient.forward, gradient.output, target, adds=gradient.adds[0])
