"""The parameters and buffers of a network that is not run: for files of its own, and for what weights weigh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archcost.engine.initial import initial_tensors
from archcost.engine.watched import Watched

if TYPE_CHECKING:
    from archcost.graph import Graph
    from archcost.interop.npz import Arrays
    from archcost.interop.weights import LoadReport


class State:
    """Float32 values of all parameters and buffers of a graph, as ``Network(graph, seed=seed)`` starts; nothing runs.

    Args:
        graph: the network.
        seed: of the first values.
        initial: recipe of the first values; None for the architecture's own.

    Attributes:
        parameters, buffers: name -> array in the graph's shape.
    """

    precision = "float32"

    def __init__(self, graph: Graph, *, seed: int = 0, initial: str | None = None) -> None:
        self.graph = graph
        parameters, buffers = initial_tensors(graph, seed, self.precision, initial)
        self.parameters, self.buffers = Watched(parameters), Watched(buffers)

    @property
    def arrays(self) -> Arrays:
        """All of them by name: ``layer1.0.conv1.weight``."""
        return {**self.parameters.arrays, **self.buffers.arrays}


def state_with(
    graph: Graph, weights: Arrays | None, *, partial: bool = False, seed: int = 0, source: str = "the weights"
) -> tuple[State, LoadReport | None]:
    """Return the state of ``graph`` with given weights, and what was loaded; first values without weights.

    Raises:
        UsageError: if the weights do not fit (with ``partial``: if none of them fits).
    """
    from archcost.interop.weights import load_into

    state = State(graph, seed=seed)
    if weights is None:
        return state, None
    return state, load_into(state, weights, partial=partial, source=source)
