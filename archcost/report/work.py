"""One operator as the FLOP counters meet it: how the model calls it, what it reads and makes, what it multiplies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from archcost.geometry import Shape, product
from archcost.graph import Call, Graph, Node
from archcost.ops.activation import Softmax
from archcost.ops.base import ElementWise, Op
from archcost.ops.conv import Conv2d, ConvTranspose2d
from archcost.ops.functions import LogSoftmax, PReLU
from archcost.ops.merge import Broadcasting, Concat
from archcost.ops.norm import BatchNorm2d, LayerNorm, Scale
from archcost.ops.pool import AdaptiveAvgPool2d, Window
from archcost.ops.reshape import Identity, Transpose

CHANNELS_LAST = (2, 0, 1)
"""Where the axes of (channels, height, width) lie in memory when the channels are the innermost."""


class Work(NamedTuple):
    """One operator as the counters meet it; shapes are those of one image.

    Attributes:
        op: the operator.
        call: how the model writes it.
        read: shape of its (first) input.
        made: shape of its output.
        inputs: number of inputs.
        mult_adds: its multiply-accumulates.
        weights: elements of its weight; 0 without one.
        biases: elements of its bias; 0 without one.
        contiguous: whether its input lies in memory in the order of its axes.
    """

    op: Op
    call: Call
    read: Shape
    made: Shape
    inputs: int
    mult_adds: int
    weights: int
    biases: int
    contiguous: bool


def works(graph: Graph) -> Iterator[Work]:
    """Yield one entry for each node of ``graph``, in its order."""
    permuted: dict[str, tuple[int, ...]] = {}
    for node in graph:
        shapes = graph.input_shapes(node)
        order = _memory_order(node, len(graph.shapes[node.name]), permuted)
        if order:
            permuted[node.name] = order
        params = graph.params(node)
        source = node.inputs[0] if node.inputs else ""
        yield Work(
            op=node.op,
            call=_call(node, shapes),
            read=shapes[0] if shapes else (),
            made=graph.shapes[node.name],
            inputs=len(shapes),
            mult_adds=node.op.cost(*shapes).mult_adds,
            weights=product(params["weight"]) if "weight" in params else 0,
            biases=product(params["bias"]) if "bias" in params else 0,
            contiguous=source not in permuted or _in_order(permuted[source], shapes[0]),
        )


def _call(node: Node, shapes: tuple[Shape, ...]) -> Call:
    """The framework has no class for these, so that a module that does them is of a class of its own."""
    op = node.op
    if node.call != "module":
        return node.call
    if isinstance(op, LayerNorm) and op.axis == 0 and len(shapes[0]) > 1:
        return "subclass"
    if isinstance(op, (Conv2d, Window)) and op.padding == "same" and op.stride != (1, 1):
        return "subclass"
    return "module"


def _memory_order(node: Node, rank: int, permuted: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The order in memory of the axes of a node's output; empty for the usual one.

    A permutation moves no elements, and what works element by element writes in the order in which it reads. The
    frameworks' normalisation of channels permutes, normalises the last axis and permutes back.
    """
    before = permuted.get(node.inputs[0], ()) if node.inputs else ()
    op = node.op
    if isinstance(op, LayerNorm) and op.axis == 0:
        return CHANNELS_LAST if rank == len(CHANNELS_LAST) else ()
    if isinstance(op, Transpose):
        return tuple(before[axis] for axis in op.axes) if before else op.axes
    if isinstance(op, (Conv2d, ConvTranspose2d, Window, AdaptiveAvgPool2d, BatchNorm2d, Concat)):
        return before if before == CHANNELS_LAST else ()  # the one order that they keep
    elements = (ElementWise, PReLU, Identity, Scale, Broadcasting)
    keeps = isinstance(op, elements) and not isinstance(op, (Softmax, LogSoftmax))
    return before if keeps else ()


def _in_order(axes: tuple[int, ...], shape: Shape) -> bool:
    """An axis of size 1 may lie anywhere."""
    kept = [axis for axis, size in zip(axes, shape) if size > 1]
    return kept == sorted(kept)
