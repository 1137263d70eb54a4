"""How wide the border of zeros around each tensor must be, and which inputs are kept without idle lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from archcost.geometry import Sides
from archcost.graph import Graph, Node
from archcost.kernels.layers import FastPlan, convolution_layer, input_halo
from archcost.kernels.layout import NO_HALO
from archcost.kernels.narrow import is_narrow
from archcost.ops import Conv2d

if TYPE_CHECKING:
    from collections.abc import Mapping

Ways = Callable[[str], FastPlan]
"""Node -> which convolutions are computed in a fast way where it stands."""


def halos(graph: Graph, holder: dict[str, str], ways: Ways) -> dict[str, Sides]:
    """Return the border of each tensor: the widest that the convolutions that read it ask for.

    Args:
        graph: the network.
        holder: node -> the node whose tensor it uses.
        ways: which convolutions are computed in a fast way.
    """
    result = dict.fromkeys(graph.shapes, NO_HALO)
    for node in graph:
        if node.inputs:
            owner = holder[node.inputs[0]]
            edges = input_halo(node.op, graph.shapes[node.inputs[0]], graph.shapes[node.name], ways(node.name))
            result[owner] = wider(result[owner], edges)
    return result


def narrow_inputs(graph: Graph, holder: Mapping[str, str], lanes: int, ways: Ways) -> frozenset[str]:
    """Return the inputs of few channels that are kept without idle lanes: only direct convolutions read them.

    Args:
        graph: the network.
        holder: node -> the node whose tensor it uses.
        lanes: of a vector.
        ways: which convolutions are computed in a fast way.
    """
    result = set()
    for node in graph.inputs:
        shape = graph.shapes[node.name]
        sharing = {name for name, owner in holder.items() if owner == node.name}
        reading = [reader for reader in graph if sharing & set(reader.inputs)]
        if (
            len(shape) == 3
            and is_narrow(shape[0], lanes)
            and sharing == {node.name}
            and node.name not in graph.outputs
            and reading
            and all(_reads_elements(graph, reader, ways(reader.name)) for reader in reading)
        ):
            result.add(node.name)
    return frozenset(result)


def _reads_elements(graph: Graph, node: Node, plan: FastPlan) -> bool:
    """Tell whether an operator is a convolution that spreads single elements of its input over vectors."""
    if not isinstance(node.op, Conv2d):
        return False
    shape = graph.shapes[node.name]
    layer = convolution_layer(node.op, graph.shapes[node.inputs[0]], shape)
    return layer.filters.groups == 1 < layer.filters.outputs and plan(layer, (shape[1], shape[2])) is None


def wider(a: Sides, b: Sides) -> Sides:
    """Return the border that holds both."""
    (top, bottom), (left, right) = ((max(x, y) for x, y in zip(a[axis], b[axis])) for axis in (0, 1))
    return (top, bottom), (left, right)
