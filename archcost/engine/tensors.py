"""Which tensor holds each node's output, and how wide its border must be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archcost.geometry import Shape, product
from archcost.graph import Graph, Node
from archcost.kernels.layout import Blocked
from archcost.liveness import overwrites, readers
from archcost.ops import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Identity,
    Input,
    InstanceNorm,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    LpPool2d,
    MaxPool2d,
    PartialConv2d,
    PReLU,
    Reshape,
    Resize,
    Scale,
    Softmax,
    SpaceToDepth,
    SubsamplingPool2d,
    Transpose,
)
from archcost.ops.activation import Activation
from archcost.ops.dropout import RandomMask

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy.typing as npt

PASSING = (Dropout, DropPath, Identity, Activation)
"""Operators that may stand between a flattened map and the dense layer that reads it as a map."""


CHANNELS_FIRST = (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    LocalResponseNorm,
    LpPool2d,
    MaxPool2d,
    PartialConv2d,
    SubsamplingPool2d,
)
"""Operators that read maps by channels, rows and columns, in this order of the graph's axes."""


MAPS = (
    *CHANNELS_FIRST,
    ChannelShuffle,
    DepthToSpace,
    GlobalAvgPool,
    GlobalMaxPool,
    Input,
    InstanceNorm,
    PReLU,
    Resize,
    Scale,
    SpaceToDepth,
)
"""Operators that have vector code for maps, or whose tensors of three axes are most likely maps."""


def image_shape(shape: Shape, *, channels_last: bool, is_vector: bool = False) -> tuple[int, int, int]:
    """Return a graph's shape as (C, H, W); what is no map is one vector of all its elements."""
    if len(shape) == 3 and not is_vector:
        return (shape[2], shape[0], shape[1]) if channels_last else (shape[0], shape[1], shape[2])
    return product(shape), 1, 1


def vector_nodes(graph: Graph) -> frozenset[str]:
    """Return the nodes whose output is one vector although it has three axes: no operator on maps is near them.

    Near are the operators that are reached through tensors of three axes alone. The rows of a transformer's tensor,
    for example, are what its operators go along; as a map it could have one channel and fill one lane of each vector.
    """
    group: dict[str, str] = {}

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    maps: set[str] = set()
    for node in graph:
        three = [name for name in node.inputs if len(graph.shapes[name]) == 3]
        if len(graph.shapes[node.name]) == 3:
            group[node.name] = node.name
            three.append(node.name)
        for name in three[1:]:
            group[first(name)] = first(three[0])
        if three and _is_on_maps(node):
            maps.add(three[0])
    found = {first(name) for name in maps}
    return frozenset(name for name in group if first(name) not in found)


def _is_on_maps(node: Node) -> bool:
    """Tell whether an operator works on maps; one along the first axis goes over their channels."""
    return isinstance(node.op, MAPS) or (isinstance(node.op, LayerNorm | Softmax) and node.op.axis == 0)


def channels_last_nodes(graph: Graph) -> frozenset[str]:
    """Return the nodes whose output has the axes (H, W, C): behind a transposition to it, until one back.

    A transposition that an operator on channels-first maps sees moves the elements instead.
    """
    moving = set(vector_nodes(graph))
    while True:
        last = _behind_transpositions(graph, moving)
        seen = {name for node in graph if isinstance(node.op, CHANNELS_FIRST) for name in node.inputs if name in last}
        if not seen:
            return frozenset(last)
        for node in reversed(graph.nodes):
            if node.name in seen:
                seen.update(name for name in node.inputs if name in last)
        before = len(moving)
        moving |= {
            node.name
            for node in graph
            if node.name in seen and isinstance(node.op, Transpose) and not any(name in last for name in node.inputs)
        }
        assert len(moving) > before, "each of them has a transposition that it lies behind"


def _behind_transpositions(graph: Graph, moving: Collection[str]) -> set[str]:
    """Return the nodes behind a transposition to (H, W, C), but those in ``moving``, until one back."""
    last: set[str] = set()
    for node in graph:
        before = any(name in last for name in node.inputs)
        if isinstance(node.op, Transpose):
            turned = node.op.axes == (2, 0, 1) if before else node.op.axes == (1, 2, 0)
            if turned != before and node.name not in moving:
                last.add(node.name)
        elif before and len(graph.shapes[node.name]) == 3 and not isinstance(node.op, Reshape):
            last.add(node.name)
    return last


def aliases(graph: Graph, *, training: bool, in_place: bool = False) -> dict[str, str]:
    """Return for each node the node whose tensor it uses: itself, or its input's where nothing is computed.

    A Flatten in front of dense layers keeps the map: the dense layer reads it as a convolution with a kernel of the
    map's size does.

    Args:
        graph: the network.
        training: dropout computes something.
        in_place: activations overwrite their input where nobody else needs it, their gradients likewise.
    """
    consumers = readers(graph)
    last, vectors = channels_last_nodes(graph), vector_nodes(graph)
    holder: dict[str, str] = {}
    for node in graph:
        free = isinstance(node.op, Identity) or (isinstance(node.op, RandomMask) and not training)
        if isinstance(node.op, Transpose):
            before_last, now_last = node.inputs[0] in last, node.name in last
            free = before_last != now_last and node.op.axes == ((1, 2, 0) if now_last else (2, 0, 1))
        elif isinstance(node.op, Reshape):
            free = _is_renaming(graph, node, last, vectors)
        elif isinstance(node.op, Flatten):
            free = _is_renaming(graph, node, last, vectors) or _only_dense(graph, node, consumers, last)
        elif in_place and isinstance(node.op, Activation):
            alike = all((node.name in some) == (node.inputs[0] in some) for some in (last, vectors))
            free = alike and overwrites(graph, node, consumers) and holder[node.inputs[0]] == node.inputs[0]
        holder[node.name] = holder[node.inputs[0]] if free else node.name
    return holder


def _is_renaming(graph: Graph, node: Node, last: Collection[str], vectors: Collection[str]) -> bool:
    """Tell whether elements lie at the same places before and after a reshape: vectors, and maps of one pixel."""
    if node.inputs[0] in last:
        return False
    names = node.inputs[0], node.name
    before, after = (graph.shapes[name] for name in names)
    if before == after:
        return (names[0] in vectors) == (names[1] in vectors)
    return all(len(graph.shapes[name]) != 3 or graph.shapes[name][1:] == (1, 1) or name in vectors for name in names)


def _only_dense(graph: Graph, node: Node, consumers: dict[str, list[Node]], last: frozenset[str]) -> bool:
    """Return whether a flattened map is read by dense layers only, dropout and activations between them left aside."""
    if node.name in graph.outputs or any(name in last for name in node.inputs):
        return False
    return all(
        isinstance(reader.op, Linear)
        or (
            isinstance(reader.op, PASSING)
            and not hasattr(reader.op, "axis")
            and _only_dense(graph, reader, consumers, last)
        )
        for reader in consumers[node.name]
    )


def map_shapes(graph: Graph, holder: Mapping[str, str]) -> dict[str, tuple[int, int, int]]:
    """Return the shape (C, H, W) of every node's tensor."""
    last, vectors = channels_last_nodes(graph), vector_nodes(graph)
    result: dict[str, tuple[int, int, int]] = {}
    for node in graph:
        if holder[node.name] != node.name:
            result[node.name] = result[holder[node.name]]
        elif isinstance(node.op, PASSING) and len(graph.shapes[node.name]) == 1:
            # Between a flattened map and the dense layer that reads it, the map stays a map.
            result[node.name] = result[node.inputs[0]]
        else:
            shape = graph.shapes[node.name]
            result[node.name] = image_shape(shape, channels_last=node.name in last, is_vector=node.name in vectors)
    return result


def views(
    graph: Graph, images: int, holder: Mapping[str, str], held: Mapping[str, Blocked], lanes: int, dtype: npt.DTypeLike
) -> dict[str, Blocked]:
    """Return the tensor of every node: its holder's, with the node's order of axes.

    Args:
        graph: the network.
        images: size of the batch.
        holder: node -> the node whose tensor it uses.
        held: the tensors of those that have one; what fusion leaves out has only a shape.
        lanes: channels of a block.
        dtype: element type.
    """
    last, shapes = channels_last_nodes(graph), map_shapes(graph, holder)
    tensors: dict[str, Blocked] = {}
    for node in graph:
        made = held.get(holder[node.name]) or Blocked.absent(images, shapes[node.name], lanes, dtype)
        tensors[node.name] = replace(made, channels_last=node.name in last)
    return tensors
