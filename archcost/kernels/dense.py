"""Dense layers (convolutions whose pixels are the images, see ``conv``) and the radial basis layer of LeNet-5."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import njit

from archcost.kernels import compiled, conv
from archcost.kernels.layout import Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit

linear, linear_backward = conv.forward, conv.backward


def radial_step(precision: Precision, backward: bool) -> Any:
    """Return the step function of squared distances or of their gradient, in plain loops: it is a tiny layer."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)

    @njit(nogil=True)
    def run(row: int, _thread: int, threads: int) -> None:
        """Compute every pixel.

        Arguments: images, rows, columns, features, prototypes, lanes; plain prototypes; then address and elements to
        the next image, block, row and column of the input, of the output (or its gradient) and of the input's gradient;
        whether to add to it.
        """
        words = numba.carray(integers(row), (40,), np.int64)
        rows, columns, features, count, lanes = words[2], words[3], words[4], words[5], words[6]
        prototypes = numba.carray(view(words[7]), (count, features), dtype)
        unit = next_unit(row, -1, threads)
        while unit < words[1] * rows:
            image = unit // rows
            line = unit - image * rows
            for column in range(columns):
                at = image * words[9] + line * words[11] + column * words[12]
                source = numba.carray(view(words[8]), (at + (features // lanes + 1) * words[10] + lanes,), dtype)
                there = image * words[14] + line * words[16] + column * words[17]
                output = numba.carray(view(words[13]), (there + (count // lanes + 1) * words[15] + lanes,), dtype)
                if backward:
                    place = image * words[19] + line * words[21] + column * words[22]
                    last = place + (features // lanes + 1) * words[20] + lanes
                    target = numba.carray(view(words[18]), (last,), dtype)
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
