"""Gradients that take the memory of the gradient that they are computed from.

On the way back through a BatchNorm or a sum, every element of an input's gradient follows from the element at its place
in the output's gradient, which nobody needs afterwards. So one input's gradient is written over it, and a sum hands it
on without touching it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from archcost.engine.tensors import channels_last_nodes, map_shapes
from archcost.geometry import Sides
from archcost.graph import Graph, Node
from archcost.ops import Add, BatchNorm2d


class Back(NamedTuple):
    """A node, or the chain that it is the last of, on the way back.

    Attributes:
        node: the node.
        below: inputs that get a gradient; the summand of a chain stands last.
        is_chain: whether it stands for a chain.
    """

    node: Node
    below: tuple[str, ...]
    is_chain: bool


def gradient_owners(
    graph: Graph, way: Iterable[Back], holder: Mapping[str, str], halos: Mapping[str, Sides]
) -> dict[str, str]:
    """Return for each node the node whose gradient's memory its own gradient uses.

    A gradient that others have added to before stays where it is, and so does one with another border than that of the
    gradient it follows from: where rows have a border between them, lines are shorter.

    Args:
        graph: the network.
        way: the way back, in order.
        holder: node -> the node whose tensor it uses.
        halos: node -> border of its gradient.
    """
    last, shapes = channels_last_nodes(graph), map_shapes(graph, holder)
    moved: dict[str, str] = {}
    written: set[str] = set()
    for node, below, is_chain in way:
        owner = holder[node.name]
        written.add(owner)
        owners = [holder[name] for name in below]
        layouts = {(graph.shapes[name], shapes[name], name in last) for name in (node.name, *node.inputs)}
        is_sum = isinstance(node.op, Add) and len(set(owners)) == len(owners) and len(layouts) == 1
        free = [one for one in owners if one not in written and halos[one] == halos[owner]]
        if free and (is_chain or is_sum or isinstance(node.op, BatchNorm2d)):
            moved[free[-1]] = moved.get(owner, owner)
        written.update(owners)
    return {name: moved.get(owner, owner) for name, owner in holder.items()}
