"""A network on a smaller image, so that plain loops can run it."""

from __future__ import annotations

from collections.abc import Callable

from archcost.errors import ArchcostError
from archcost.geometry import Shape
from archcost.graph import Graph

SIDES = (8, 16, *range(32, 1025, 32))
"""Heights and widths that are tried."""

SMALLEST = 32
"""No image is reduced below this, where most taps would fall on padding; one that is itself so small, to a quarter."""


def mult_adds(graph: Graph) -> int:
    """Return the mult-adds of ``graph`` for one image."""
    return sum(node.op.cost(*graph.input_shapes(node)).mult_adds for node in graph)


def reduced(graph: Graph, rebuild: Callable[[Shape], Graph], limit: int) -> Graph:
    """Return ``graph`` if it has at most ``limit`` mult-adds, else the same network on a smaller image.

    That is the largest square of ``SIDES`` that keeps the limit, else the smallest that the network takes.

    Args:
        graph: the network on its own image.
        rebuild: builds it on an image of another shape; raises ArchcostError for a shape that it does not take.
        limit: mult-adds.
    """
    shapes = [graph.shapes[node.name] for node in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 3 or mult_adds(graph) <= limit:
        return graph
    channels, height, width = shapes[0]
    own = min(height, width)
    for side in reversed([side for side in SIDES if min(SMALLEST, own // 4) <= side < own]):
        try:
            smaller = rebuild((channels, side, side))
        except ArchcostError:
            break
        graph = smaller
        if mult_adds(graph) <= limit:
            break
    return graph
