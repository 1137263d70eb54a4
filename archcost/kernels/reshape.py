"""Operators that only move or rename elements, forward and backward; concatenation and split are among them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import cast

import numpy as np

from archcost.geometry import Shape
from archcost.kernels.channels import blocked_axis
from archcost.kernels.layout import Blocked, aligned
from archcost.kernels.movement import FILL, SKIP, Maps, movement, turned_around
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.plain import Direction, Steps, conversion
from archcost.kernels.step import Step
from archcost.kernels.target import Precision, Target
from archcost.ops import ChannelShuffle, Concat, Pad, Slice, Split, Transpose

Positions = list[list[int]]
"""For each axis of (C, H, W), the source's position for each position of the output."""


def positions(operation: Operation) -> Positions:
    """Return where the output of an operator with one input takes its elements from."""
    op, (source,), (shape,) = operation.op, operation.inputs, operation.input_shapes
    result = [list(range(size)) for size in source.shape]
    if isinstance(op, Split):
        first = sum(op.sections[: op.index])
        result[blocked_axis(source, op.axis, shape)] = list(range(first, first + op.sections[op.index]))
    elif isinstance(op, Slice):
        axis = blocked_axis(source, op.axis, shape)
        result[axis] = result[axis][op.start : op.stop : op.step]
    elif isinstance(op, ChannelShuffle):
        members = shape[0] // op.groups
        axis = blocked_axis(source, 0, shape)
        result[axis] = [group * members + member for member in range(members) for group in range(op.groups)]
    elif isinstance(op, Pad):
        for axis, sides in enumerate(op.pads):
            number = blocked_axis(source, axis, shape)
            result[number] = padded(source.shape[number], sides, op.mode)
    return result


def padded(size: int, sides: tuple[int, int], mode: str) -> list[int]:
    """Return the source's position for each position of a padded axis."""
    before, after = sides
    result = []
    for place in range(-before, size + after):
        if 0 <= place < size:
            result.append(place)
        elif mode == "constant":
            result.append(FILL)
        elif mode == "edge":
            result.append(min(max(place, 0), size - 1))
        else:
            result.append(-place if place < 0 else 2 * (size - 1) - place)
    return result


def moved(operation: Operation) -> list[Step]:
    """Return the steps of an operator that takes its elements from one input, axis by axis."""
    channels, rows, columns = positions(operation)
    maps = Maps([(min(channel, 0), channel) for channel in channels], rows, columns)
    fill = operation.op.value if isinstance(operation.op, Pad) else 0.0
    return movement(operation.output, operation.inputs, maps, operation.machine, operation.precision, fill=fill)


def moved_backward(gradient: Gradient) -> list[Step]:
    """Return the steps that bring gradients back where the elements came from; copies add up in a fixed order."""
    return _brought_back(gradient, 0, positions(gradient.forward)) if gradient.inputs[0] else []


def _brought_back(gradient: Gradient, number: int, axes: Positions) -> list[Step]:
    target = gradient.inputs[number]
    assert target is not None
    machine, precision = gradient.forward.machine, gradient.forward.precision
    steps = []
    turns = [turned_around(axis, size) for axis, size in zip(axes, target.shape)]
    for turn, (channels, rows, columns) in enumerate(product(*turns)):
        maps = Maps([(min(channel, 0), channel) for channel in channels], rows, columns)
        adds = gradient.adds[number] or turn > 0
        steps += movement(target, [gradient.output], maps, machine, precision, adds=adds)
    return steps


def concatenation(operation: Operation) -> list[Step]:
    """Return the steps that write inputs one after the other along an axis."""
    output, inputs = operation.output, operation.inputs
    machine, precision = operation.machine, operation.precision
    axis = _axis(operation)
    if axis == 0:
        channels = [(number, channel) for number, source in enumerate(inputs) for channel in range(source.shape[0])]
        maps = Maps(channels, range(output.shape[1]), range(output.shape[2]))
        return movement(output, inputs, maps, machine, precision)
    steps = []
    for source, first in zip(inputs, _starts(inputs, axis)):
        places = [list(range(size)) for size in output.shape]
        before, after = first, output.shape[axis] - first - source.shape[axis]
        places[axis] = [SKIP] * before + list(range(source.shape[axis])) + [SKIP] * after
        maps = Maps([(0, channel) for channel in places[0]], places[1], places[2])
        steps += movement(output, [source], maps, machine, precision)
    return steps


def concatenation_backward(gradient: Gradient) -> list[Step]:
    """Return the steps that cut the gradient into those of the inputs."""
    steps = []
    axis = _axis(gradient.forward)
    starts = _starts(gradient.forward.inputs, axis)
    for number, target in enumerate(gradient.inputs):
        if target is not None:
            places = [list(range(size)) for size in target.shape]
            places[axis] = [starts[number] + place for place in places[axis]]
            maps = Maps([(0, channel) for channel in places[0]], places[1], places[2])
            machine, precision = gradient.forward.machine, gradient.forward.precision
            steps += movement(target, [gradient.output], maps, machine, precision, adds=gradient.adds[number])
    return steps


def _axis(operation: Operation) -> int:
    axis, shape = cast("Concat", operation.op).axis, operation.output_shape
    return blocked_axis(operation.output, axis % len(shape), shape)


def _starts(tensors: Sequence[Blocked], axis: int) -> list[int]:
    return [sum(tensor.shape[axis] for tensor in tensors[:number]) for number in range(len(tensors))]


def graph_steps(tensor: Blocked, shape: Shape) -> Steps:
    """Return the distances in a contiguous array of the graph's ``shape``, by the axes of the tensor."""
    steps, distance = [0, 0, 0], tensor.memory.itemsize
    for axis in reversed(range(len(shape))):
        steps[blocked_axis(tensor, axis, shape)] = distance
        distance *= shape[axis]
    return Steps(distance, *steps)


def renumbered(
    source: tuple[Blocked, Steps], target: tuple[Blocked, Steps], machine: Target, precision: Precision, adds: bool
) -> list[Step]:
    """Return the steps that move elements between tensors whose places in one plain array are known.

    A vector of features is such an array itself; else the elements go through one.
    """
    read, write = source[0], target[0]
    if _is_vector(*target) and not adds:
        steps = source[1]._replace(image=write.image_step)
        filled = conversion("read", read, write.address(), machine, precision, steps=steps, keep=(write,))
        return [*_last_block_cleared(write, machine, precision), filled]
    direction: Direction = "add" if adds else "write"
    if _is_vector(*source):
        return [conversion(direction, write, read.address(), machine, precision,
                           steps=target[1]._replace(image=read.image_step), keep=(read,))]  # fmt: skip
    plain = aligned(read.images * int(np.prod(read.shape)), read.memory.dtype)
    return [
        conversion("read", read, plain, machine, precision, steps=source[1]),
        conversion(direction, write, plain, machine, precision, steps=target[1]),
    ]


def _last_block_cleared(tensor: Blocked, machine: Target, precision: Precision) -> list[Step]:
    """Return the step that clears the lanes beyond the features of a vector, if there are any."""
    beyond = tensor.shape[0] % tensor.lanes
    if not beyond:
        return []
    last = Blocked(tensor.images, (beyond, 1, 1), tensor.halo, tensor.lanes, tensor.memory[:, -1:])
    zeros = aligned(tensor.lanes, tensor.memory.dtype)
    steps = Steps(0, tensor.memory.itemsize, 0, 0)
    return [conversion("write", last, zeros, machine, precision, steps=steps)]


def _is_vector(tensor: Blocked, steps: Steps) -> bool:
    return tensor.memory.shape[2:4] == (1, 1) and steps.channel == tensor.memory.itemsize


def renamed(operation: Operation) -> list[Step]:
    """Return the steps of Identity, Flatten, Reshape and Transpose.

    Between channels-first and channels-last a transposition is a copy of the blocks.
    """
    source, target = _ends(operation)
    if _is_same(source, target):
        return moved(operation)
    return renumbered(source, target, operation.machine, operation.precision, adds=False)


def renamed_backward(gradient: Gradient) -> list[Step]:
    """Return the steps that move the gradient the other way."""
    source, target = _ends(gradient.forward)
    wanted, forward = gradient.inputs[0], gradient.forward
    if wanted is None:
        return []
    if _is_same(source, target):
        return moved_backward(gradient)
    ends = (gradient.output, target[1]), (wanted, source[1])
    return renumbered(*ends, forward.machine, forward.precision, gradient.adds[0])


Place = tuple[Blocked, Steps]
"""A tensor, and where its elements would lie in a plain array."""


def _ends(operation: Operation) -> tuple[Place, Place]:
    """Return input and output with the places of their elements in an array of the output's graph shape."""
    source, output, shape = operation.inputs[0], operation.output, operation.input_shapes[0]
    target = graph_steps(output, operation.output_shape)
    if not isinstance(operation.op, Transpose):
        return (source, graph_steps(source, shape)), (output, target)
    steps = [0, 0, 0]
    for axis, origin in enumerate(operation.op.axes):
        # Axis i of the output is axis axes[i] of the input: their elements lie equally far apart.
        here = blocked_axis(output, axis, operation.output_shape)
        steps[blocked_axis(source, origin, shape)] = target[1 + here]
    return (source, Steps(target.image, *steps)), (output, target)


def _is_same(source: Place, target: Place) -> bool:
    """Tell whether elements have the same channel, row and column in both tensors."""
    sizes = source[0].shape
    return sizes == target[0].shape and all(
        size == 1 or a == b for size, a, b in zip(sizes, source[1][1:], target[1][1:])
    )
