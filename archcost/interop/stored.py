"""What a file of weights stores for the layers of a graph, tensor by tensor: no two of them are in memory at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.interop.weights import NAMES_SHOWN, LoadReport, WrongShape, fits, own_name, weights_in
from archcost.report.stored import Stored


def stored_weights(graph: Graph, path: str | Path, *, partial: bool = False) -> dict[str, Stored]:
    """Return node -> what the file stores for its parameters (a shared tensor counts for its owner).

    Args:
        graph: the network.
        path: file of weights, as ``read_weights`` takes it.
        partial: leave out what does not fit instead of refusing it.

    Raises:
        UsageError: if the file cannot be read, or its names or shapes are not those of the network.
    """
    wanted = graph.tensors()
    learned = {f"{node.name}.{name}": node.name for node in graph if node.shares is None for name in graph.params(node)}
    result: dict[str, Stored] = {}
    seen, unexpected, wrong = [], [], []
    for tensor in weights_in(path):
        name = own_name(graph, tensor.name)
        if name not in wanted:
            unexpected.append(tensor.name)
            continue
        seen.append(name)
        if not fits(tensor.array.shape, wanted[name]):
            wrong.append(WrongShape(name, wanted[name], tensor.array.shape))
        elif name in learned:
            before, size = result.get(learned[name], Stored()), tensor.array.size
            zeros = size - int(np.count_nonzero(tensor.array))
            result[learned[name]] = before.plus(tensor.dtype, size, zeros)
    there = set(seen)
    missing = tuple(name for name in learned if name not in there)
    report = LoadReport((), missing, tuple(unexpected), tuple(wrong))
    if not (report.complete or partial):
        found = "; ".join(report.differences(NAMES_SHOWN))
        raise UsageError(f"{path} does not fit {graph.name}: {found} (`--partial` leaves out what does not fit)")
    if not result:
        raise UsageError(f"nothing in {path} has the name and shape of a parameter of {graph.name}")
    return result
