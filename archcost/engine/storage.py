"""Parameters and their gradients, each in one block of memory, for optimizers that go over it once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archcost.geometry import Shape, product
from archcost.graph import Graph
from archcost.kernels.layout import CACHE_LINE, Array, aligned


class Segment(NamedTuple):
    """Where a parameter lies in its block.

    Attributes:
        name: of the parameter (``layer1.0.conv1.weight``).
        start: its first element.
        shape: the graph's shape.
    """

    name: str
    start: int
    shape: Shape

    @property
    def stop(self) -> int:
        """The element behind its last one; up to the next segment follow zeros."""
        return self.start + product(self.shape)


class Block:
    """Arrays one behind the other, each from a cache line on; what lies between them is zero.

    Args:
        shapes: name -> shape, in order.
        dtype: element type.

    Attributes:
        memory: all elements, in whole cache lines.
        segments: where each array lies.
        arrays: name -> array, a view.
    """

    def __init__(self, shapes: Mapping[str, Shape], dtype: npt.DTypeLike) -> None:
        line = CACHE_LINE // np.dtype(dtype).itemsize
        self.segments: list[Segment] = []
        start = 0
        for name, shape in shapes.items():
            self.segments.append(Segment(name, start, shape))
            start += -(-product(shape) // line) * line
        self.memory = aligned(start, dtype)
        self.arrays: dict[str, Array] = {
            one.name: self.memory[one.start : one.stop].reshape(one.shape) for one in self.segments
        }


def trained_shapes(graph: Graph, trained: frozenset[str]) -> dict[str, Shape]:
    """Return the shapes of all trained parameters by name; those of sharing nodes once, under their owner's name."""
    return {
        f"{node.name}.{name}": shape
        for node in graph
        if node.name in trained and node.shares is None
        for name, shape in graph.params(node).items()
    }
