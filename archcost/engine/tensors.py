"""Which tensor holds each node's output, and how wide its border must be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archcost.errors import GraphError
from archcost.geometry import Shape, Sides, shape_text
from archcost.graph import Graph, Node
from archcost.kernels.conv import FastPlan, direct, input_halo
from archcost.kernels.layout import Blocked
from archcost.ops import (
    Dropout,
    DropPath,
    Flatten,
    Identity,
    Input,
    Linear,
    Reshape,
    Transpose,
)
from archcost.ops.activation import Activation
from archcost.ops.dropout import RandomMask

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

NO_HALO: Sides = ((0, 0), (0, 0))

PASSING = (Dropout, DropPath, Identity, Activation)
"""Operators that may stand between a flattened map and the dense layer that reads it as a map."""


def image_shape(node: Node, shape: Shape, *, channels_last: bool) -> tuple[int, int, int]:
    """Return a graph's shape as (C, H, W).

    Raises:
        GraphError: if the engine has no layout for it.
    """
    if len(shape) == 1:
        return shape[0], 1, 1
    if len(shape) == 3:
        return (shape[2], shape[0], shape[1]) if channels_last else (shape[0], shape[1], shape[2])
    raise GraphError(f"{node.name}: the engine runs tensors of one or three axes, not {shape_text(shape)}")


def channels_last_nodes(graph: Graph) -> frozenset[str]:
    """Return the nodes whose output has the axes (H, W, C): behind a transposition to it, until one back."""
    last: set[str] = set()
    for node in graph:
        before = any(name in last for name in node.inputs)
        if isinstance(node.op, Transpose):
            turned = node.op.axes == (2, 0, 1) if before else node.op.axes == (1, 2, 0)
            if turned != before:
                last.add(node.name)
        elif before and len(graph.shapes[node.name]) == 3 and not isinstance(node.op, Reshape):
            last.add(node.name)
    return frozenset(last)


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
    last = channels_last_nodes(graph)
    holder: dict[str, str] = {}
    for node in graph:
        free = isinstance(node.op, Identity) or (isinstance(node.op, RandomMask) and not training)
        if isinstance(node.op, Transpose):
            free = (node.op.axes == (1, 2, 0) and node.inputs[0] not in last) or (
                node.op.axes == (2, 0, 1) and node.inputs[0] in last
            )
        elif isinstance(node.op, Reshape):
            before, after = graph.shapes[node.inputs[0]], graph.shapes[node.name]
            free = before == after or {before, after} == {(before[0],), (before[0], 1, 1)}
        elif isinstance(node.op, Flatten):
            before = graph.shapes[node.inputs[0]]
            free = before[1:] in ((), (1, 1)) or _only_dense(graph, node, consumers, last)
        elif in_place and isinstance(node.op, Activation):
            free = _overwrites(graph, node, consumers) and holder[node.inputs[0]] == node.inputs[0]
        holder[node.name] = holder[node.inputs[0]] if free else node.name
    return holder


def readers(graph: Graph) -> dict[str, list[Node]]:
    """Return for each node the nodes that read its output."""
    result: dict[str, list[Node]] = {node.name: [] for node in graph}
    for node in graph:
        for name in node.inputs:
            result[name].append(node)
    return result


def _overwrites(graph: Graph, node: Node, consumers: dict[str, list[Node]]) -> bool:
    """Return whether an activation may overwrite its input: neither way back needs it, and nobody else reads it."""
    producer = graph.node(node.inputs[0])
    kept = producer.op.saved_for_input | producer.op.saved_for_params
    return (
        node.op.saved_for_input == {"output"}
        and not hasattr(node.op, "axis")
        and not kept & {"output", "indices"}
        and len(consumers[producer.name]) == 1
        and producer.name not in graph.outputs
        and not isinstance(producer.op, Input)
    )


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


def halos(graph: Graph, holder: dict[str, str], plan: FastPlan = direct) -> dict[str, Sides]:
    """Return the border of each tensor: the widest that the convolutions that read it ask for.

    Args:
        graph: the network.
        holder: node -> the node whose tensor it uses.
        plan: which convolutions are computed in a fast way.
    """
    result = dict.fromkeys(graph.shapes, NO_HALO)
    for node in graph:
        if node.inputs:
            owner = holder[node.inputs[0]]
            edges = input_halo(node.op, graph.shapes[node.inputs[0]], graph.shapes[node.name], plan)
            result[owner] = wider(result[owner], edges)
    return result


def wider(a: Sides, b: Sides) -> Sides:
    """Return the border that holds both."""
    (top, bottom), (left, right) = ((max(x, y) for x, y in zip(a[axis], b[axis])) for axis in (0, 1))
    return (top, bottom), (left, right)


def map_shapes(graph: Graph, holder: Mapping[str, str]) -> dict[str, tuple[int, int, int]]:
    """Return the shape (C, H, W) of every node's tensor.

    Raises:
        GraphError: if the engine has no layout for it.
    """
    last = channels_last_nodes(graph)
    result: dict[str, tuple[int, int, int]] = {}
    for node in graph:
        if holder[node.name] != node.name:
            result[node.name] = result[holder[node.name]]
        elif isinstance(node.op, PASSING) and len(graph.shapes[node.name]) == 1:
            # Between a flattened map and the dense layer that reads it, the map stays a map.
            result[node.name] = result[node.inputs[0]]
        else:
            result[node.name] = image_shape(node, graph.shapes[node.name], channels_last=node.name in last)
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
