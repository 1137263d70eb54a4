"""Operators of ONNX that move elements: cut, join, pick, repeat, pad, turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import numpy as np

from archcost.build import Tensor
from archcost.errors import ModelError
from archcost.geometry import Pair, product, shape_text
from archcost.interop.onnx.arithmetic import operand
from archcost.interop.onnx.importer import Importer, checked
from archcost.interop.onnx.registry import converts
from archcost.interop.onnx.values import Constant, Runtime, Value
from archcost.interop.onnx.windows import sides_of
from archcost.ops import Concat, DepthToSpace, Expand, Gather, Pad, Reshape, Slice, SpaceToDepth, Split, Transpose


@converts("Transpose")
def transpose(net: Importer, x: Value, *, perm: Sequence[int] | None = None) -> Value:
    """The axes in another order; reversed by default."""
    data = net.runtime(x)
    rank = len(data.shape)
    order = tuple(perm) if perm else tuple(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        raise ModelError(f"`perm` (={list(order)[:8]}) must name the {rank} axes of its input")
    shape = tuple(data.shape[axis] for axis in order)
    if data.batched and order[:1] == (0,):
        order = tuple(axis - 1 for axis in order[1:])
    else:
        data = net.whole(data)
    if order == tuple(range(len(order))):
        return data
    return net.like(data, net.add(Transpose(order), data.tensor), shape)


@converts("Concat")
def concat(net: Importer, *operands: Value, axis: int = 1) -> Value:
    """The inputs one after the other; a constant among them is the same for every image."""
    parts = [value for value in operands if isinstance(value, Runtime) or 0 not in value.shape]
    runtime = [value for value in parts if isinstance(value, Runtime)]
    rank = len(runtime[0].shape)
    if any(len(value.shape) != rank for value in parts):
        raise ModelError("its inputs must have the same number of axes")
    if len(parts) == 1 < len(operands):
        return parts[0]
    place = checked(axis, rank)
    batched = place > 0 and any(value.batched for value in runtime)
    if batched and net.batch != 1:
        batched = all(value.shape[0] == 1 for value in parts if isinstance(value, Constant))
    batched = batched and (net.batch == 1 or all(value.batched for value in runtime))
    if not batched:
        runtime = [net.whole(value) for value in runtime]
    tensors = [operand(net, value, value.shape[1:] if batched else value.shape) for value in parts]
    tensor = net.add(Concat(place - batched), *tensors)
    return Runtime(tensor, (runtime[0].shape[0], *tensor.shape) if batched else tensor.shape, batched)


@converts("Split")
def split(
    net: Importer,
    x: Value,
    given: Value | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    split: Sequence[int] | None = None,
) -> Sequence[Value]:
    """Parts of an axis: of given sizes, or as equal as they can be."""
    sizes = split if given is None else net.integers(given, "the list of sizes")
    place = checked(axis, len(x.shape))
    if not sizes:
        parts = num_outputs or net.outputs
        if not 1 <= parts <= x.shape[place]:
            raise ModelError(f"{x.shape[place]} elements cannot be cut into {parts} parts")
        each = -(-x.shape[place] // parts)
        sizes = [each] * (parts - 1) + [x.shape[place] - each * (parts - 1)]
    if sum(sizes) != x.shape[place] or min(sizes) < 0:
        raise ModelError(f"the sizes {list(sizes)[:8]} do not add up to {x.shape[place]}")
    if isinstance(x, Constant):
        return [Constant.of(part, learned=x.learned) for part in np.split(x.array, np.cumsum(sizes)[:-1], place)]
    x, along = net.axis(axis, x)
    sections = tuple(size for size in sizes if size)
    results = iter([net.like(x, net.add(Split(sections, index, along), x.tensor)) for index in range(len(sections))])
    return [next(results) if size else _nothing(x, place) for size in sizes]


def _nothing(x: Value, axis: int) -> Constant:
    """Return a part of ``x`` that has no elements."""
    return Constant.of(np.zeros((*x.shape[:axis], 0, *x.shape[axis + 1 :]), np.float32))


@converts("Slice")
def slice_(
    net: Importer,
    x: Value,
    starts_: Value | None = None,
    ends_: Value | None = None,
    axes_: Value | None = None,
    steps_: Value | None = None,
    *,
    axes: Sequence[int] | None = None,
    ends: Sequence[int] | None = None,
    starts: Sequence[int] | None = None,
) -> Value:
    """Every so many elements of some axes; before version 10 given as attributes."""
    data = net.runtime(x)
    first = starts if starts_ is None else net.integers(starts_, "its starts")
    last = ends if ends_ is None else net.integers(ends_, "its ends")
    if first is None or last is None:
        raise ModelError("its starts or ends are missing")
    along = axes if axes_ is None else net.integers(axes_, "its axes")
    along = range(len(first)) if along is None else along
    steps = [1] * len(first) if steps_ is None else net.integers(steps_, "its steps")
    if not len(first) == len(last) == len(along) == len(steps) or len(
        {checked(a, len(data.shape)) for a in along}
    ) < len(along):
        raise ModelError("its starts, ends, axes and steps must be as many, for different axes")
    for start, end, axis, step in zip(first, last, along, steps):
        place = checked(axis, len(data.shape))
        if not step:
            raise ModelError("a step must not be 0")
        size = data.shape[place]
        taken = _taken(start, end, step, size)
        if taken == range(size):
            continue
        if not taken:
            raise ModelError(f"it leaves nothing of the axis of size {size}")
        data, own = net.axis(place, data)
        stop: int | None = taken[-1] + (1 if step > 0 else -1)
        shape = (*data.shape[:place], len(taken), *data.shape[place + 1 :])
        data = net.like(data, net.add(Slice(own, taken[0], None if stop == -1 else stop, step), data.tensor), shape)
    return data


def _taken(start: int, end: int, step: int, size: int) -> range:
    """Return the elements that a slice takes: as in Python, but an end beyond the front is the front."""
    stop: int | None = end
    if step < 0 and end < -size:
        stop = None
    return range(*slice(start, stop, step).indices(size))


@converts("Gather")
def gather(net: Importer, data: Value, indices: Value, *, axis: int = 0) -> Value:
    """Elements of an axis at constant indices."""
    x = net.runtime(data)
    which = net.known(indices, "the list of its indices")
    if which.dtype.kind not in "iu" or product(which.shape) > 2**22 or 0 in which.shape:
        raise ModelError(f"its indices must be integers, not {shape_text(which.shape)} {which.dtype}")
    x, own = net.axis(axis, x)
    place = checked(axis, len(x.shape))
    shape = (*x.shape[:place], *which.shape, *x.shape[place + 1 :])
    numbers = tuple(int(number) for number in which.array.reshape(-1))
    return net.like(x, net.add(Gather(own, numbers, which.shape), x.tensor), shape)


@converts("Expand")
def expand(net: Importer, x: Value, target: Value) -> Value:
    """The input repeated to the shape that it and ``target`` broadcast to."""
    data = net.runtime(x)
    wanted = net.integers(target, "the new shape")
    try:
        full = np.broadcast_shapes(data.shape, wanted)
    except ValueError:
        raise ModelError(f"{shape_text(data.shape)} does not broadcast to {list(wanted)[:8]}") from None
    if full == data.shape:
        return data
    if data.batched and (len(full) != len(data.shape) or full[0] != net.batch):
        data = net.whole(data)
    own = (full[1:] if data.batched else full) or (1,)
    return net.like(data, net.add(Expand(own), data.tensor), full)


@converts("Pad")
def pad(
    net: Importer,
    x: Value,
    given: Value | None = None,
    constant: Value | None = None,
    along: Value | None = None,
    *,
    mode: str = "constant",
    paddings: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    value: float = 0.0,
) -> Value:
    """Elements around the input; before version 11 given as attributes."""
    data = net.runtime(x)
    if mode not in ("constant", "reflect", "edge"):
        raise ModelError(f"`mode` (={mode[:40]!r}) must be constant, reflect or edge")
    numbers = (pads or paddings or ()) if given is None else net.integers(given, "its pads")
    fill = value if constant is None else net.number(constant, "its value")
    axes = range(len(data.shape)) if along is None else net.integers(along, "the list of its axes")
    sides: list[Pair] = [(0, 0)] * len(data.shape)
    for axis, pair in zip(axes, sides_of(numbers, len(axes))):
        sides[checked(axis, len(data.shape))] = pair
    if not any(any(pair) for pair in sides):
        return data
    if data.batched and any(sides[0]):
        data = net.whole(data)
    op = Pad(tuple(sides[data.batched :]), cast("Literal['constant', 'reflect', 'edge']", mode), fill)
    return net.like(data, net.add(op, data.tensor))


@converts("DepthToSpace")
def depth_to_space(net: Importer, x: Value, *, blocksize: int = 0, mode: Literal["DCR", "CRD"] = "DCR") -> Value:
    """Channels become blocks of positions."""
    op = DepthToSpace(blocksize, mode)
    return net.images(net.runtime(x), lambda tensor: net.add(op, tensor))


@converts("SpaceToDepth")
def space_to_depth(net: Importer, x: Value, *, blocksize: int = 0, mode: Literal["DCR", "CRD"] = "DCR") -> Value:
    """Blocks of positions become channels; in the order of "CRD", a block's positions stand behind each channel."""
    op = SpaceToDepth(blocksize)

    def one(tensor: Tensor) -> Tensor:
        if mode == "DCR":
            return net.add(op, tensor)
        channels, height, width = op.out_shape(tensor.shape)
        block = (blocksize**2, channels // blocksize**2, height, width)
        places = net.add(Reshape(block), net.add(op, tensor), role="places")
        return net.add(Reshape((channels, height, width)), net.add(Transpose((1, 0, 2, 3)), places), role="channels")

    if mode not in ("DCR", "CRD"):
        raise ModelError(f"`mode` (={mode[:40]!r}) must be DCR or CRD")
    return net.images(net.runtime(x), one)
