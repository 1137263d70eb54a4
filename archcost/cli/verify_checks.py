"""What ``archcost verify`` checks with the engine: its outputs against the loops', and its gradients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from archcost.cost import BYTES
from archcost.errors import ArchcostError
from archcost.geometry import product, shape_text
from archcost.graph import Graph, Node
from archcost.ops import BatchNorm2d, Flatten
from archcost.report.verify import Check

if TYPE_CHECKING:
    from archcost.kernels.layout import Array

COPIES = 7
"""Arrays of the size of all parameters that a training step needs at most: values, gradients, those packed for the way
there and back, and others while these are made."""

NAMED = 5
"""Operators or parameters that differ are named, up to this many."""

STATISTICS = 8
"""Values that each BatchNorm's statistics should be of: over fewer it is nearly singular."""

MEMORY = Path("/proc/meminfo")


def engine_checks(
    graph: Graph,
    parameters: Mapping[str, Array],
    buffers: Mapping[str, Array],
    inputs: Mapping[str, Array],
    values: Mapping[str, Array],
) -> tuple[Check, ...]:
    """Return whether the engine computes what the loops have computed.

    Args:
        graph: the network.
        parameters: what the loops have read.
        buffers: running statistics and the like that they have read.
        inputs: input node -> (1, ...).
        values: node -> what the loops have computed, (1, ...).
    """
    from archcost.engine.side_by_side import side_by_side

    try:
        agreement = side_by_side(graph, parameters, buffers, inputs, values)
    except ArchcostError as error:
        return (Check("outputs of the engine", "those of the loops", str(error), holds=False),)
    return (
        _compared("outputs of the engine", agreement.outputs, agreement.tolerance.outputs),
        _compared("operators of the engine", agreement.operators, agreement.tolerance.operators),
    )


def _compared(what: str, differences: Mapping[str, float], tolerance: float) -> Check:
    """Return whether the largest difference is tolerated; else with the names of those that are not."""
    worst = max(differences.values())
    wrong = [name for name, difference in differences.items() if not difference <= tolerance]
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    text = f"{worst:.0e} in {', '.join(wrong[:NAMED])}{more}" if wrong else f"{worst:.0e}"
    return Check(what, f"<= {tolerance:.0e}", text, not wrong)


def gradient_check(graph: Graph, directions: int) -> Check:
    """Return whether the gradients of a training step agree with finite differences, in float64.

    Args:
        graph: the network, on a small image.
        directions: how many are tried.
    """
    import numpy as np

    from archcost.engine.gradient_check import TOLERANCE, check_gradients, generic_point
    from archcost.engine.network import Network
    from archcost.engine.plan import logits_of

    parameters = sum(product(shape) for node in graph for shape in graph.params(node).values())
    if not parameters:
        return Check("gradients", "no parameters", "no parameters", holds=True)
    images, allowed = _batch(graph), f"<= {TOLERANCE:.0e}"
    what = f"gradients ({images} images of {', '.join(shape_text(graph.shapes[node.name]) for node in graph.inputs)})"
    needed, free = COPIES * BYTES["float64"] * parameters, _free_memory()
    if needed > free:
        text = f"not checked: {needed / 2**30:.3g} GiB needed, {free / 2**30:.3g} GiB free"
        return Check(what, allowed, text, holds=True, checked=False)
    graph = _classifying(graph)
    generator = np.random.default_rng(0)
    batch = [generator.standard_normal((images, *graph.shapes[node.name])) for node in graph.inputs]
    labels = np.arange(images) % graph.shapes[logits_of(graph)][0]
    try:
        network = Network(graph, precision="float64")
        generic_point(network)
        found = check_gradients(
            network, batch if len(batch) > 1 else batch[0], labels, directions=directions, named=NAMED
        )
    except ArchcostError as error:
        return Check(what, allowed, str(error), holds=False)
    text = f"{found.error:.0e}"
    if not found.holds:
        text += f" by {', '.join(found.wrong)}" if found.wrong else ", of no parameter alone"
    return Check(what, allowed, text, found.holds)


def _batch(graph: Graph) -> int:
    """Return how many images give each BatchNorm enough values."""
    pixels = [product(graph.shapes[node.name][1:]) for node in graph if isinstance(node.op, BatchNorm2d)]
    return max(2, -(-STATISTICS // min(pixels, default=STATISTICS)))


def _classifying(graph: Graph) -> Graph:
    """Return the graph with its first output as logits: a map is flattened for the loss."""
    first = graph.outputs[0]
    if len(graph.shapes[first]) == 1:
        return graph
    node = Node(f"{first}.flattened", Flatten(), (first,))
    return Graph((*graph.nodes, node), (node.name, *graph.outputs[1:]), graph.name)


def _free_memory() -> float:
    """Return the bytes that can be had, where the system tells; else no limit."""
    if MEMORY.exists():
        for line in MEMORY.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return 1024.0 * int(value.split()[0])
    return float("inf")
