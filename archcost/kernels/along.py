"""Softmax and layer normalisation over rows or columns, which no known network asks for, in plain loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
from numba import njit

from archcost.kernels import compiled
from archcost.kernels.layout import Array, Blocked
from archcost.kernels.machine import float32s, float64s, integers
from archcost.kernels.step import Step
from archcost.kernels.target import Precision
from archcost.kernels.units import next_unit


@njit(nogil=True)
def _softmax(lines: Any, _weight: Any, _bias: Any, _eps: float) -> None:
    """Set line 1 to the softmax of line 0."""
    largest = lines[0].max()
    total = 0.0
    for index in range(lines.shape[1]):
        lines[1, index] = np.exp(lines[0, index] - largest)
        total += lines[1, index]
    for index in range(lines.shape[1]):
        lines[1, index] /= total


@njit(nogil=True)
def _softmax_gradient(lines: Any, _weight: Any, _bias: Any, _eps: float) -> None:
    """Set line 2 to the gradient, given the gradient of the output in line 0 and the output in line 1."""
    dot = (lines[0] * lines[1]).sum()
    for index in range(lines.shape[1]):
        lines[2, index] = lines[1, index] * (lines[0, index] - dot)


@njit(nogil=True)
def _normalise(line: Any, eps: float) -> float:
    """Normalise a line in place; return 1 / its standard deviation."""
    line -= line.mean()
    scale: float = 1.0 / np.sqrt((line * line).mean() + eps)
    line *= scale
    return scale


@njit(nogil=True)
def _layer_norm(lines: Any, weight: Any, bias: Any, eps: float) -> None:
    """Set line 1 to the normalised line 0 times the weight plus the bias."""
    _normalise(lines[0], eps)
    lines[1] = lines[0] * weight + bias


@njit(nogil=True)
def _layer_norm_gradient(lines: Any, weight: Any, _bias: Any, eps: float) -> None:
    """Set line 2 to the gradient, given the gradient of the output in line 0 and the input in line 1."""
    scale = _normalise(lines[1], eps)
    lines[0] *= weight
    lines[2] = scale * (lines[0] - lines[0].mean() - lines[1] * (lines[0] * lines[1]).mean())


@njit(nogil=True)
def _normal_products(lines: Any, _weight: Any, _bias: Any, eps: float) -> None:
    """Set line 2 to the gradient in line 0 times the normalised line 1."""
    _normalise(lines[1], eps)
    lines[2] = lines[0] * lines[1]


LINES: dict[str, tuple[int, Callable[..., None]]] = {
    "softmax": (2, _softmax),
    "softmax_gradient": (3, _softmax_gradient),
    "layer_norm": (2, _layer_norm),
    "layer_norm_gradient": (3, _layer_norm_gradient),
    "normal_products": (3, _normal_products),
}
"""Name -> tensors, of which the last is written, and what is done to a line of each, in float64."""


def along_step(precision: Precision, name: str) -> Any:
    """Return the step function of what ``LINES`` calls ``name``."""
    view, dtype = (float32s, np.float32) if precision == "float32" else (float64s, np.float64)
    tensors, compute = LINES[name]

    @njit(nogil=True)
    def run(row: int, _thread: int, threads: int) -> None:
        """Go over the lines of every (image, block, position on the other axis, lane).

        Arguments: images, blocks, positions, lanes, length, whether to add; weight and bias (or 0), address of eps;
        then of each tensor its address and the elements to the next image, block, position and element of a line.
        """
        words = numba.carray(integers(row), (40,), np.int64)
        images, blocks, positions, lanes, length, adds = words[1], words[2], words[3], words[4], words[5], words[6]
        lines, weight, bias = np.zeros((tensors, length)), np.ones(length), np.zeros(length)
        if words[7]:
            weight[:] = numba.carray(view(words[7]), (length,), dtype)
            bias[:] = numba.carray(view(words[8]), (length,), dtype)
        eps = numba.carray(float64s(words[9]), (1,), np.float64)[0]
        unit = next_unit(row, -1, threads)
        while unit < images * blocks * positions:
            image, block, position = unit // (blocks * positions), unit // positions % blocks, unit % positions
            for lane in range(lanes):
                for tensor in range(tensors):
                    place = 10 + 5 * tensor
                    far = words[place + 4]
                    first = image * words[place + 1] + block * words[place + 2] + position * words[place + 3] + lane
                    values = numba.carray(view(words[place]), (first + (length - 1) * far + 1,), dtype)
                    if tensor < tensors - 1:
                        for index in range(length):
                            lines[tensor, index] = values[first + index * far]
                        continue
                    compute(lines, weight, bias, eps)
                    for index in range(length):
                        old = values[first + index * far] if adds else 0.0
                        values[first + index * far] = old + lines[tensor, index]
            unit = next_unit(row, unit, threads)

    return run


def along(
    axis: int,
    name: str,
    tensors: Sequence[Blocked],
    precision: Precision,
    *,
    adds: bool = False,
    learned: Sequence[Array] = (),
    eps: float = 0.0,
) -> Step:
    """Return the step that goes along the rows (axis 1) or the columns (axis 2) of tensors.

    Args:
        axis: 1 or 2.
        name: a name in ``LINES``.
        tensors: as many as it takes; the last one is written.
        precision: element type.
        adds: add to the last tensor.
        learned: weight and bias of a layer norm.
        eps: its constant.
    """
    first = tensors[0]
    places = []
    for tensor in tensors:
        steps = [tensor.image_step, tensor.block_step, tensor.row_step, tensor.pixel_step]
        steps = steps if axis == 2 else [steps[0], steps[1], steps[3], steps[2]]
        places += [tensor.address(), *(step // tensor.memory.itemsize for step in steps)]
    numbers = np.array([eps])
    addresses = [int(values.ctypes.data) for values in learned] or [0, 0]
    sizes = (first.images, first.memory.shape[1], first.shape[3 - axis], first.lanes, first.shape[axis], int(adds))
    function = compiled.address("step", "along", "along_step", precision, name)
    return Step(function, (*sizes, *addresses, int(numbers.ctypes.data), *places), (*tensors, *learned, numbers))
