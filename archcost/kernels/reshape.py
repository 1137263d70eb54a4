"""Operators that only move or rename elements, forward and backward; concatenation and split are among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import cast

import numpy as np

from archcost.geometry import Shape
from archcost.kernels import moves
from archcost.kernels.channels import blocked_axis
from archcost.kernels.indices import axes_of, indices_of, taken
from archcost.kernels.layout import Blocked, aligned
from archcost.kernels.movement import SKIP, Maps, movement, turned_around
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.places import is_map, is_vector
from archcost.kernels.plain import Direction, Steps, conversion
from archcost.kernels.reduction import summed_to
from archcost.kernels.step import Integers, Step
from archcost.kernels.target import Precision, Target
from archcost.ops import ChannelShuffle, Concat, DepthToSpace, Expand, Pad, Resize, SpaceToDepth, Transpose

Positions = list[list[int]]
"""For each axis of (C, H, W), the source's position for each position of the output."""

MOST_TURNS = 16
"""Most passes over a gradient whose elements were copied; beyond, a table says what is added to each element."""


def is_axis_by_axis(operation: Operation) -> bool:
    """Tell whether inputs and output are vectors or maps of one order of axes, so that the axes of blocks suffice."""
    shapes = (*operation.input_shapes, operation.output_shape)
    tensors = (*operation.inputs, operation.output)
    if {len(shape) for shape in shapes} != {1} and not all(map(is_map, tensors, shapes)):
        return False
    return len({tensor.channels_last for tensor in tensors}) == 1


def positions(operation: Operation) -> Positions:
    """Return where the output of an operator with one input takes its elements from."""
    op, (source,), (shape,) = operation.op, operation.inputs, operation.input_shapes
    result = [list(range(size)) for size in source.shape]
    if isinstance(op, ChannelShuffle):
        members = shape[0] // op.groups
        axis = blocked_axis(source, 0, shape)
        result[axis] = [group * members + member for member in range(members) for group in range(op.groups)]
    elif isinstance(op, Expand | Resize):
        for axis, size in enumerate(operation.output_shape):
            number = blocked_axis(source, axis, shape)
            if isinstance(op, Resize) and axis in op.resized(shape):
                result[number] = [found.low for found in op.sources(shape, axis)]
            elif shape[axis] != size:
                result[number] = [0] * size
    else:
        for axis in axes_of(op, shape):
            found = taken(op, axis, shape[axis])
            if found is not None:
                result[blocked_axis(source, axis, shape)] = found
    return result


def moved(operation: Operation) -> list[Step]:
    """Return the steps of an operator that takes its elements from one input."""
    fill = operation.op.value if isinstance(operation.op, Pad) else 0.0
    machine, precision = operation.machine, operation.precision
    if is_axis_by_axis(operation) and not isinstance(operation.op, DepthToSpace | SpaceToDepth):
        channels, rows, columns = positions(operation)
        maps = Maps([(min(channel, 0), channel) for channel in channels], rows, columns)
        return movement(operation.output, operation.inputs, maps, machine, precision, fill=fill)
    ends = (operation.output, operation.output_shape), (operation.inputs[0], operation.input_shapes[0])
    indices = indices_of(operation.op, operation.input_shapes[0], operation.output_shape)
    return moves.moved(*ends, indices, precision, fill=fill)


def moved_backward(gradient: Gradient) -> list[Step]:
    """Return the steps that bring gradients back where the elements came from; copies add up in a fixed order."""
    target, operation = gradient.inputs[0], gradient.forward
    if target is None:
        return []
    if isinstance(operation.op, Expand):
        ends = (target, operation.input_shapes[0]), (gradient.output, operation.output_shape)
        return summed_to(*ends, operation.precision, adds=gradient.adds[0])
    if is_axis_by_axis(operation) and not isinstance(operation.op, DepthToSpace | SpaceToDepth):
        axes = positions(operation)
        copies = [max(Counter(place for place in axis if place >= 0).values(), default=1) for axis in axes]
        if prod(copies) <= MOST_TURNS:
            return _brought_back(gradient, 0, axes)
    shape = operation.input_shapes[0]
    ends = (target, shape), (gradient.output, operation.output_shape)
    indices = indices_of(operation.op, shape, operation.output_shape)
    return moves.brought_back(*ends, indices, operation.precision, adds=gradient.adds[0])


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


def _parts(operation: Operation) -> list[Integers]:
    """Return for each input of a concatenation the numbers of its elements in the output."""
    shape = operation.output_shape
    numbers = np.arange(prod(shape), dtype=np.int64).reshape(shape)
    axis = cast("Concat", operation.op).axis % len(shape)
    ends = np.cumsum([one[axis] for one in operation.input_shapes])
    return [np.ascontiguousarray(part) for part in np.split(numbers, ends[:-1], axis)]


def concatenation(operation: Operation) -> list[Step]:
    """Return the steps that write inputs one after the other along an axis."""
    output, inputs = operation.output, operation.inputs
    machine, precision = operation.machine, operation.precision
    if not is_axis_by_axis(operation):
        steps = []
        for source, shape, part in zip(inputs, operation.input_shapes, _parts(operation)):
            own = np.arange(part.size, dtype=np.int64).reshape(shape)
            steps += moves.moved((output, operation.output_shape), (source, shape), own, precision, places=part)
        return steps
    axis = _axis(operation)
    if axis == 0:
        channels = [
            (SKIP if _is_part(source, output, first) else number, channel)
            for number, (source, first) in enumerate(zip(inputs, _starts(inputs, 0)))
            for channel in range(source.shape[0])
        ]
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
    steps: list[Step] = []
    operation = gradient.forward
    if not is_axis_by_axis(operation):
        for number, (target, part) in enumerate(zip(gradient.inputs, _parts(operation))):
            if target is not None:
                ends = (target, operation.input_shapes[number]), (gradient.output, operation.output_shape)
                steps += moves.moved(*ends, part, operation.precision, adds=gradient.adds[number])
        return steps
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


def _is_part(source: Blocked, output: Blocked, first: int) -> bool:
    """Tell whether a tensor lies where channel ``first`` of another begins."""
    place = output.address() + first // output.lanes * output.block_step
    return first % output.lanes == 0 and source.address() == place and source.row_step == output.row_step


def _axis(operation: Operation) -> int:
    axis, shape = cast("Concat", operation.op).axis, operation.output_shape
    return blocked_axis(operation.output, axis % len(shape), shape)


def _starts(tensors: Sequence[Blocked], axis: int) -> list[int]:
    return [sum(tensor.shape[axis] for tensor in tensors[:number]) for number in range(len(tensors))]


def graph_steps(tensor: Blocked, shape: Shape) -> Steps:
    """Return the distances in a contiguous array of the graph's ``shape``, by the axes of the tensor."""
    if is_vector(tensor, shape):
        return Steps(tensor.shape[0] * tensor.memory.itemsize, tensor.memory.itemsize, 0, 0)
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
    if _is_turned_vector(operation):
        return moved(operation)
    source, target = _ends(operation)
    if _is_same(source, target):
        return moved(operation)
    return renumbered(source, target, operation.machine, operation.precision, adds=False)


def renamed_backward(gradient: Gradient) -> list[Step]:
    """Return the steps that move the gradient the other way."""
    wanted, forward = gradient.inputs[0], gradient.forward
    if wanted is None:
        return []
    if _is_turned_vector(forward):
        return moved_backward(gradient)
    source, target = _ends(forward)
    if _is_same(source, target):
        return moved_backward(gradient)
    ends = (gradient.output, target[1]), (wanted, source[1])
    return renumbered(*ends, forward.machine, forward.precision, gradient.adds[0])


def _is_turned_vector(operation: Operation) -> bool:
    """Tell whether axes of a tensor that is held as a vector change their order."""
    before, after = (operation.inputs[0], operation.input_shapes[0]), (operation.output, operation.output_shape)
    return isinstance(operation.op, Transpose) and (is_vector(*before) or is_vector(*after))


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
