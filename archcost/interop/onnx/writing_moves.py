"""What joins, cuts, moves, resizes or stores tensors as ONNX nodes: one function for each operator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from archcost.interop.onnx.writing_place import Place, axis_of_batch
from archcost.ops import (
    ChannelShuffle,
    Concat,
    Constant,
    DepthToSpace,
    Expand,
    Gather,
    Op,
    Pad,
    Parameter,
    Reshape,
    Resize,
    Slice,
    SpaceToDepth,
    Split,
    Transpose,
)


def concat(place: Place, op: Concat) -> None:
    """Concat."""
    place.end("Concat", axis=axis_of_batch(op.axis))


def split(place: Place, op: Split) -> None:
    """One Split for all parts of a cut: written with the first of them, the others are its outputs."""
    if place.node.name in place.model.written:
        return
    same_cut = {other: part for other, part in _parts(place, op).items() if other not in place.model.written}
    by_index = {part: other for other, part in reversed(same_cut.items())}
    if by_index[op.index] != place.node.name:  # the same part once more
        place.end("Identity", by_index[op.index])
        return
    names = [by_index.get(i) or place.model.fresh(f"{place.node.name}_part") for i in range(len(op.sections))]
    place.model.add("Split", [*place.inputs, place.integers(op.sections)], names, axis=axis_of_batch(op.axis))


def _parts(place: Place, op: Split) -> dict[str, int]:
    """Return all nodes that cut the same input the same way, and which part each is."""
    return {
        other.name: other.op.index
        for other in place.model.graph
        if isinstance(other.op, Split) and other.inputs == place.node.inputs and replace(other.op, index=op.index) == op
    }


def channel_shuffle(place: Place, op: ChannelShuffle) -> None:
    """Reshape, Transpose, Reshape (Zhang et al. 2018, section 3.1)."""
    channels, height, width = place.shapes[0]
    grouped = place.reshaped(place.inputs[0], op.groups, channels // op.groups, height, width)
    swapped = place.add("Transpose", grouped, perm=[0, 2, 1, 3, 4])
    place.end("Reshape", swapped, place.integers((0, channels, height, width)))


def transpose(place: Place, op: Transpose) -> None:
    """Transpose; the batch stays in front."""
    place.end("Transpose", perm=[0, *(axis + 1 for axis in op.axes)])


def flatten(place: Place, op: Op) -> None:
    """Flatten all axes but the batch."""
    place.end("Flatten", axis=1)


def reshape(place: Place, op: Reshape) -> None:
    """Reshape; the batch is kept."""
    place.end("Reshape", *place.inputs, place.integers((0, *place.output)))


def pad(place: Place, op: Pad) -> None:
    """Pad, none on the batch."""
    before, after = ([0, *(sides[end] for sides in op.pads)] for end in (0, 1))
    value = (place.constant(op.value),) if op.mode == "constant" and op.value else ()
    place.end("Pad", *place.inputs, place.integers([*before, *after]), *value, mode=op.mode)


def cut(place: Place, op: Slice) -> None:
    """Slice, from and to elements that are there; what goes down to the first element stops before all of them."""
    axis = op.axis % len(place.shapes[0])
    taken = op.taken(place.shapes[0][axis])
    stop = taken.stop if taken.stop >= 0 else -(2**62)
    bounds = [place.integers([number]) for number in (taken.start, stop, axis + 1, taken.step)]
    place.end("Slice", *place.inputs, *bounds)


def gather(place: Place, op: Gather) -> None:
    """Gather; an image of which one element is left keeps one axis."""
    indices = place.constant(np.reshape(op.indices, op.shape), np.int64)
    axis = op.axis % len(place.shapes[0]) + 1
    if len(place.shapes[0]) == 1 and not op.shape:
        place.end("Reshape", place.add("Gather", *place.inputs, indices, axis=axis), place.integers([-1, 1]))
    else:
        place.end("Gather", *place.inputs, indices, axis=axis)


def expand(place: Place, op: Expand) -> None:
    """Expand, with axes of size 1 in front where the output has more."""
    shape, value = place.shapes[0], place.inputs[0]
    if len(shape) < len(op.shape):
        value = place.reshaped(value, *([1] * (len(op.shape) - len(shape))), *shape)
    place.end("Expand", value, place.integers((1, *op.shape)))


def depth_to_space(place: Place, op: DepthToSpace) -> None:
    """DepthToSpace."""
    place.end("DepthToSpace", blocksize=op.block, mode=op.mode)


def space_to_depth(place: Place, op: SpaceToDepth) -> None:
    """SpaceToDepth."""
    place.end("SpaceToDepth", blocksize=op.block)


def resize(place: Place, op: Resize) -> None:
    """Resize; by scales where the operator has them, else by sizes."""
    if op.coordinates == "half_pixel_symmetric":
        place.needs(19, "half_pixel_symmetric")
    attributes: dict[str, object] = {"mode": op.mode, "coordinate_transformation_mode": op.coordinates}
    if op.mode == "nearest":
        attributes["nearest_mode"] = op.rounding
    rank, resized = len(place.shapes[0]), len(op.sizes)
    if op.scales is not None:
        scales = place.constant([1.0] * (1 + rank - resized) + list(op.scales))
        place.end("Resize", *place.inputs, "", scales, **attributes)
    elif place.model.opset >= 18:
        axes = list(range(1 + rank - resized, 1 + rank))
        place.end("Resize", *place.inputs, "", "", place.integers(op.sizes), **attributes, axes=axes)
    else:
        batch = place.add("Slice", place.add("Shape", *place.inputs), place.integers([0]), place.integers([1]))
        sizes = place.add("Concat", batch, place.integers(place.output), axis=0)
        place.end("Resize", *place.inputs, "", "", sizes, **attributes)


def parameter(place: Place, op: Parameter) -> None:
    """An initializer that broadcasts over the batch."""
    if place.node.shares is not None:
        place.end("Identity", place.node.shares)
    else:
        place.model.initializers[place.node.name] = np.asarray(place.tensor("weight"), np.float32)[np.newaxis]


def constant(place: Place, op: Constant) -> None:
    """A Constant node that broadcasts over the batch."""
    place.model.add_constant(place.node.name, np.asarray(place.tensor("value"), np.float32)[np.newaxis])
