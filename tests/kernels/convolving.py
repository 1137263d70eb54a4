"""Running one convolution through the engine, and the same sums in NumPy, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.geometry import Pair, Sides, resolve
from archcost.kernels import layers
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.table import KERNELS
from archcost.kernels.target import TARGETS, Precision
from archcost.ops import Conv2d, ConvTranspose2d, Linear, Op, PartialConv2d

Array = np.ndarray[Any, Any]
NONE: Sides = ((0, 0), (0, 0))
AROUND: Sides = ((1, 0), (0, 2))
JUNK = 3.25
"""What lanes hold that fill up the last block, and outputs before they are written."""


class Plan(NamedTuple):
    """A convolution from a larger map to a smaller one, with a full weight (smaller, larger, rows, columns)."""

    weight: Array
    stride: Pair
    padding: Sides
    dilation: Pair


def full_weight(op: Op, weight: Array, shape: tuple[int, ...]) -> Array:
    """Return a weight with zeros where channels are not connected."""
    weight = weight.astype(np.float64)
    if isinstance(op, Linear):
        return weight.reshape(len(weight), *shape)
    if isinstance(op, PartialConv2d):
        full = np.zeros((len(op.connections), shape[0], *weight.shape[1:]))
        parts = iter(weight)
        for row, seen in zip(full, op.connections):
            for channel in seen:
                row[channel] = next(parts)
        return full
    groups = cast("Conv2d | ConvTranspose2d", op).groups
    rows, columns = len(weight) // groups, weight.shape[1]
    full = np.zeros((len(weight), columns * groups, *weight.shape[2:]))
    for group in range(groups):
        place = slice(group * rows, (group + 1) * rows)
        full[place, group * columns : (group + 1) * columns] = weight[place]
    return full


def plan_of(op: Op, weight: Array, shape: tuple[int, ...]) -> Plan:
    """Return the plan of a layer on (C, H, W)."""
    full = full_weight(op, weight, shape)
    if isinstance(op, Linear | PartialConv2d):
        return Plan(full, (1, 1), NONE, (1, 1))
    kernel, stride, padding, dilation = cast("Conv2d | ConvTranspose2d", op).window
    return Plan(full, stride, resolve(padding, shape[1:], kernel, stride, dilation), dilation)


def _taps(plan: Plan, larger: Array, smaller: Array) -> Iterator[tuple[Pair, Array]]:
    """Yield each tap with the part of the padded larger map that it reads, as a view."""
    (height, width), (down, right) = smaller.shape[2:], plan.stride
    for row, column in np.ndindex(*plan.weight.shape[2:]):
        top, left = row * plan.dilation[0], column * plan.dilation[1]
        rows = slice(top, top + (height - 1) * down + 1, down)
        yield (row, column), larger[:, :, rows, left : left + (width - 1) * right + 1 : right]


def correlated(plan: Plan, larger: Array, smaller: Array) -> Array:
    """Return the convolution of the larger map; ``smaller`` gives the shape."""
    padded = np.pad(larger, ((0, 0), (0, 0), *plan.padding))
    result = np.zeros(smaller.shape)
    for (row, column), part in _taps(plan, padded, smaller):
        result += np.einsum("nchw,oc->nohw", part, plan.weight[:, :, row, column])
    return result


def spread(plan: Plan, smaller: Array, larger: Array) -> Array:
    """Return the transposed convolution of the smaller map; ``larger`` gives the shape."""
    padded = np.pad(np.zeros(larger.shape), ((0, 0), (0, 0), *plan.padding))
    for (row, column), part in _taps(plan, padded, smaller):
        np.add(part, np.einsum("nohw,oc->nchw", smaller, plan.weight[:, :, row, column]), out=part)
    (top, _), (left, _) = plan.padding
    return padded[:, :, top : top + larger.shape[2], left : left + larger.shape[3]]


def weight_gradient(plan: Plan, larger: Array, smaller: Array) -> Array:
    """Return the gradient to the full weight."""
    padded = np.pad(larger, ((0, 0), (0, 0), *plan.padding))
    result = np.zeros(plan.weight.shape)
    for (row, column), part in _taps(plan, padded, smaller):
        result[:, :, row, column] = np.einsum("nchw,nohw->oc", part, smaller)
    return result


def picked(op: Op, full: Array, like: Array) -> Array:
    """Return the elements of a full weight that the layer has, in its order."""
    ones = full_weight(op, np.arange(1, like.size + 1).reshape(like.shape), full.shape[1:])
    order = np.argsort(ones[ones > 0])
    return np.asarray(full[ones > 0][order].reshape(like.shape))


class Results(NamedTuple):
    """What a layer and its backward pass give."""

    output: Array
    to_input: Array
    parameters: dict[str, Array]


class Layer:
    """A layer with random numbers, ready to run.

    Args:
        op: the layer.
        shape: (C, H, W), or the graph's (C,) with ``map_shape``.
        target: name of the target.
        precision: element type.
        images: batch.
        threads: how many.
        halo: whether the tensors have the borders that the kernels ask for.
        map_shape: the map in front of a Flatten.
        channels_last: the graph's shape is (H, W, C).
    """

    def __init__(
        self,
        op: Op,
        shape: tuple[int, ...],
        *,
        target: str = "avx512",
        precision: Precision = "float64",
        images: int = 2,
        threads: int = 2,
        halo: bool = True,
        map_shape: tuple[int, int, int] | None = None,
        channels_last: bool = False,
    ) -> None:
        self.op, self.team, self.precision = op, team(threads), precision
        self.lanes = TARGETS[target].lanes(precision)
        generator = np.random.default_rng(images)
        out = op.out_shape(shape)
        self.parameters = {
            name: generator.normal(size=size).astype(precision) for name, size in op.params(shape).items()
        }
        source, result = map_shape or _image(shape, channels_last), _image(out, channels_last)
        self.x = generator.normal(size=(images, *source)).astype(precision)
        self.gradient = generator.normal(size=(images, *result)).astype(precision)
        border = layers.input_halo(op, source, result) if halo else NONE
        self.input = self._tensor(self.x, border, channels_last)
        self.output = self._tensor(np.full((images, *result), JUNK), AROUND if result[1:] != (1, 1) else NONE)
        self.operation = Operation(
            op, (self.input,), replace(self.output, channels_last=channels_last), (shape,), out, self.parameters, {},
            TARGETS[target], precision, training=True,
        )  # fmt: skip
        self.border = layers.gradient_halo(op, source, result) if halo else NONE

    def _tensor(self, values: Array, halo: Sides, channels_last: bool = False) -> Blocked:
        made = Blocked.make(len(values), values.shape[1:], halo, self.lanes, self.precision)
        made.write(values.astype(self.precision))
        if values.shape[1] % self.lanes:
            made.inside()[:, -1, :, :, values.shape[1] % self.lanes :] = JUNK
        return replace(made, channels_last=channels_last)

    def forward(self) -> Array:
        """Return the output."""
        Program(KERNELS[type(self.op)].forward(self.operation)).run(self.team)
        return _read(self.output)

    def run(self, *, adds: bool = False) -> Results:
        """Return output and gradients; where they add, what was there is taken off again."""
        output = self.forward()
        start = np.full(self.x.shape, 2.0)
        target = self._tensor(start, AROUND if self.x.shape[2:] != (1, 1) else NONE, self.input.channels_last)
        given = self._tensor(self.gradient, self.border, self.input.channels_last)
        parameters = {name: np.full_like(values, np.nan) for name, values in self.parameters.items()}
        asked = Gradient(self.operation, given, (target,), (adds,), parameters)
        Program(KERNELS[type(self.op)].backward(asked)).run(self.team)
        return Results(output, _read(target) - (2 if adds else 0), parameters)

    def expected(self) -> Results:
        """Return what NumPy gives in float64."""
        x, gradient = self.x.astype(np.float64), self.gradient.astype(np.float64)
        weight = self.parameters["weight"]
        plan = plan_of(self.op, weight, x.shape[1:])
        if isinstance(self.op, ConvTranspose2d):
            output, to_input = spread(plan, x, gradient), correlated(plan, gradient, x)
            full = weight_gradient(plan, gradient, x)
        else:
            output, to_input = correlated(plan, x, gradient), spread(plan, gradient, x)
            full = weight_gradient(plan, x, gradient)
        parameters = {"weight": picked(self.op, full, weight)}
        if "bias" in self.parameters:
            output += self.parameters["bias"][:, None, None]
            parameters["bias"] = gradient.sum((0, 2, 3))
        return Results(output, to_input, parameters)


def _image(shape: tuple[int, ...], channels_last: bool) -> tuple[int, int, int]:
    if len(shape) == 1:
        return shape[0], 1, 1
    return (shape[2], shape[0], shape[1]) if channels_last else (shape[0], shape[1], shape[2])


def _read(tensor: Blocked) -> Array:
    """Return a tensor's values; its halo must be zero and all of its lanes finite."""
    around = replace(tensor, memory=tensor.memory.copy())
    around.inside()[...] = 0
    assert not around.memory.any(), "the halo is not zero"
    assert np.isfinite(tensor.memory).all()
    return tensor.read()


def error(found: Array, wanted: Array) -> float:
    """Return the largest difference, relative to the largest element."""
    assert found.shape == wanted.shape
    scale = max(1e-30, float(np.abs(wanted).max(initial=0)))
    return float(np.abs(found - wanted).max(initial=0)) / scale


def check(layer: Layer, tolerance: float, *, adds: bool = False) -> None:
    """Compare a layer's output and gradients with NumPy's."""
    found, wanted = layer.run(adds=adds), layer.expected()
    assert error(found.output, wanted.output) <= tolerance
    assert error(found.to_input, wanted.to_input) <= tolerance
    for name, values in wanted.parameters.items():
        assert error(found.parameters[name], values) <= tolerance, name
