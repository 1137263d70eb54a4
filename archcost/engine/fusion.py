"""What is computed together: in inference a layer that multiplies, the BatchNorm behind it, a sum and an activation.

The micro-kernel adds a residual and applies an activation to its sums before it stores them, and a BatchNorm with fixed
statistics is a factor and a shift of the packed weights: so a chain of up to four operators writes its output once.
Training keeps what the way back needs; there a layer takes an activation with it that overwrites its input anyway.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from archcost.engine.tensors import channels_last_nodes
from archcost.graph import Graph, Node
from archcost.kernels.activation import fused_name
from archcost.ops import Add, BatchNorm2d, Conv2d, Linear


@dataclass(frozen=True)
class Chain:
    """Operators that one step computes.

    Attributes:
        head: the layer that multiplies.
        norm: BatchNorm that is folded into its weights.
        residual: node whose output is added.
        activation: what is applied last (``kernels.elementary.epilogue_of``).
        last: node whose output the chain writes.
        members: the nodes behind the first.
    """

    head: Node
    norm: Node | None
    residual: str | None
    activation: str
    last: str
    members: tuple[str, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes."""
        return self.head.name, *self.members


def chains(graph: Graph) -> dict[str, Chain]:
    """Return the chains of ``graph``, by the name of their first node.

    A node joins a chain if nobody else reads what comes before it. A sum belongs to the later one of the two layers
    that it adds, since the other's output must be there.
    """
    readers: dict[str, list[Node]] = {node.name: [] for node in graph}
    for node in graph:
        for name in set(node.inputs):
            readers[name].append(node)
    last_of_channels = channels_last_nodes(graph)
    order = {node.name: number for number, node in enumerate(graph)}
    result: dict[str, Chain] = {}
    ends: dict[str, int] = {}

    def following(name: str) -> Node | None:
        return readers[name][0] if len(readers[name]) == 1 and name not in graph.outputs else None

    for node in graph:
        if not isinstance(node.op, (Conv2d, Linear)):
            continue
        last, norm, residual, activation = node.name, None, None, "Identity"
        members: list[str] = []
        after = following(last)
        if isinstance(node.op, Conv2d) and after is not None and isinstance(after.op, BatchNorm2d):
            norm, last = after, after.name
            members.append(last)
            after = following(last)
        if after is not None and isinstance(after.op, Add) and len(after.inputs) == 2:
            other = next((name for name in after.inputs if name != last), None)
            # The other summand is ready if it, or the chain that writes it, comes before this layer.
            if (
                other is not None
                and graph.shapes[other] == graph.shapes[last]
                and len({name in last_of_channels for name in (other, last, after.name)}) == 1
                and ends.get(other, order[other]) < order[node.name]
            ):
                residual, last = other, after.name
                members.append(last)
                after = following(last)
        if after is not None and (fused := fused_name(after.op)) is not None:
            activation, last = fused, after.name
            members.append(last)
        result[node.name] = Chain(node, norm, residual, activation, last, tuple(members))
        ends[last] = order[node.name]
    return result


def activated(graph: Graph, in_place: Collection[str]) -> dict[str, Chain]:
    """Return the chains of a layer that multiplies and an activation ``in_place``, by the name of the layer."""
    result: dict[str, Chain] = {}
    for node in graph:
        activation = fused_name(node.op) if node.name in in_place else None
        if activation is not None:
            head = graph.node(node.inputs[0])
            if isinstance(head.op, (Conv2d, Linear)):
                result[head.name] = Chain(head, None, None, activation, node.name, (node.name,))
    return result
