"""From when to when the tensors of a training step live.

A value lives from the operator that writes it to the last that reads it, in training perhaps on the way back: what an
operator keeps is what its gradient formula asks for (``Op.saved``). A value that is written again, because it is
recomputed, need not be kept in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from archcost.graph import Graph, Node
from archcost.ops.activation import Activation
from archcost.ops.base import Input
from archcost.ops.merge import Split


class Life:
    """From when to when tensors live, noted in the order of time."""

    def __init__(self) -> None:
        self.time = 0
        self._spans: dict[int, list[int]] = {}
        self._ended: list[tuple[int, int, int]] = []

    def touch(self, tensors: Iterable[int]) -> None:
        """Note that tensors are read or added to."""
        for tensor in tensors:
            self._spans.setdefault(tensor, [self.time, self.time])[1] = self.time

    def write(self, tensor: int) -> None:
        """Note that a tensor is written as a whole: what it held before was needed only up to its last reader."""
        span = self._spans.get(tensor)
        if span is not None and span[1] < self.time:
            self._ended.append((tensor, span[0], span[1]))
            del self._spans[tensor]
        self.touch([tensor])

    def peak(self, elements: Sequence[int]) -> int:
        """Return the most elements alive at once."""
        change = [0] * (self.time + 2)
        for tensor, first, last in (*self._ended, *((one, first, last) for one, (first, last) in self._spans.items())):
            change[first] += elements[tensor]
            change[last + 1] -= elements[tensor]
        now = most = 0
        for difference in change:
            now += difference
            most = max(most, now)
        return most


def depending(graph: Graph, sources: Iterable[str]) -> dict[str, bool]:
    """Return for each node whether its output depends on one of ``sources``."""
    own = set(sources)
    depends: dict[str, bool] = {}
    for node in graph:
        depends[node.name] = node.name in own or any(depends[name] for name in node.inputs)
    return depends


def read_back(node: Node, depends: Mapping[str, bool], trained: Iterable[str]) -> tuple[str, ...]:
    """Return the nodes whose outputs the way back through ``node`` reads.

    The gradient of max pooling finds the maximum again in input and output, instead of writing and reading indices.

    Args:
        node: the node.
        depends: node -> whether its output depends on something that gets a gradient.
        trained: nodes whose parameters are trained.
    """
    saved = node.op.saved(to_input=any(depends[name] for name in node.inputs), trainable=node.name in trained)
    inputs = node.inputs if saved & {"input", "indices"} else ()
    return (*inputs, *((node.name,) if saved & {"output", "indices"} else ()))


def readers(graph: Graph) -> dict[str, list[Node]]:
    """Return for each node the nodes that read its output."""
    result: dict[str, list[Node]] = {node.name: [] for node in graph}
    for node in graph:
        for name in node.inputs:
            result[name].append(node)
    return result


def overwrites(graph: Graph, node: Node, consumers: Mapping[str, Sequence[Node]]) -> bool:
    """Return whether an activation may overwrite its input: neither way back needs it, and nobody else reads it.

    Args:
        graph: the network.
        node: the activation.
        consumers: node -> the nodes that read its output (``readers``).
    """
    producer = graph.node(node.inputs[0])
    kept = producer.op.saved_for_input | producer.op.saved_for_params
    return (
        node.op.saved_for_input == {"output"}
        and not hasattr(node.op, "axis")
        and not kept & {"output", "indices"}
        and len(consumers[producer.name]) == 1
        and producer.name not in graph.outputs
        and not isinstance(producer.op, Input)
    )


def holders(graph: Graph) -> dict[str, str]:
    """Return for each node the node whose tensor holds its output in training: itself, or what it is a view of.

    An activation overwrites its input where it may. A split is a copy, since its parts need not live equally long.
    """
    consumers = readers(graph)
    holder: dict[str, str] = {}
    for node in graph:
        shares = not (node.op.makes_tensor or node.op.family == "dropout" or isinstance(node.op, Split))
        if isinstance(node.op, Activation):
            shares = overwrites(graph, node, consumers) and holder[node.inputs[0]] == node.inputs[0]
        holder[node.name] = holder[node.inputs[0]] if shares and node.inputs else node.name
    return holder
