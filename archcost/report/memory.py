"""Activation memory of inference, by liveness.

Unfused and out of place: every operator that makes a tensor writes a new one; a tensor lives from the operator that
makes it to the last that reads it or a view of it; the network's outputs live to the end. What is stored with the
parameters (``ops.constant``) is no activation.
"""

from __future__ import annotations

from dataclasses import dataclass

from archcost.geometry import product
from archcost.graph import Graph


@dataclass(frozen=True)
class Peak:
    """The moment when most tensor elements are alive.

    Attributes:
        elements: elements alive, per image.
        node: the operator that runs at that moment (the first, if several need as much).
        alive: names of the tensors that are alive, in the order in which they were made.
    """

    elements: int
    node: str
    alive: tuple[str, ...]


def storage(graph: Graph, *, training: bool = False) -> dict[str, str]:
    """Return for every node the node whose tensor holds its output: itself, or what it is a view of.

    In training, dropout writes a new tensor; in inference it is a view of its input.
    """
    holder: dict[str, str] = {}
    for node in graph:
        is_copy = node.op.makes_tensor or (training and node.op.family == "dropout")
        holder[node.name] = node.name if is_copy or not node.inputs else holder[node.inputs[0]]
    return holder


def stored_tensors(graph: Graph) -> set[str]:
    """Return the nodes whose output is stored with the parameters or buffers: no activation."""
    return {node.name for node in graph if not node.inputs and not node.op.makes_tensor}


def peak_activations(graph: Graph) -> Peak:
    """Return the peak of inference for one image, in time linear in the graph."""
    holder = storage(graph)
    last_use: dict[str, int] = {}
    for index, node in enumerate(graph):
        for name in (*node.inputs, node.name):
            last_use[holder[name]] = index
    for name in graph.outputs:
        last_use[holder[name]] = len(graph)
    ends: dict[int, list[str]] = {}
    for name, index in last_use.items():
        ends.setdefault(index, []).append(name)

    alive: dict[str, int] = {}
    now, most, at = 0, -1, 0
    stored = stored_tensors(graph)
    for index, node in enumerate(graph):
        if holder[node.name] == node.name and node.name not in stored:
            alive[node.name] = product(graph.shapes[node.name])
            now += alive[node.name]
        if now > most:
            most, at = now, index
        for name in ends.get(index, ()):
            now -= alive.pop(name, 0)
    names = [node.name for node in graph]
    living = tuple(
        name for name in names[: at + 1] if holder[name] == name and name not in stored and last_use[name] >= at
    )
    return Peak(most, names[at], living)
