"""What training needs: which operators are back-propagated, what they keep, and what the backward pass costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archcost.cost import INDEX_BYTES, MASK_BYTES, NO_COST, Cost
from archcost.geometry import product
from archcost.graph import Graph, Node
from archcost.ops.base import Saved
from archcost.report.memory import storage, stored_tensors
from archcost.segments import Segment


@dataclass(frozen=True)
class Backward:
    """The backward pass of one operator for one image.

    Attributes:
        to_inputs: gradients to the inputs that need one.
        to_params: gradients to its own parameters.
        saved: what it keeps from the forward pass.
        trainable: whether its parameters are trained.
    """

    to_inputs: Cost = NO_COST
    to_params: Cost = NO_COST
    saved: frozenset[Saved] = frozenset()
    trainable: bool = False


NOT_TRAINED = Backward()
"""The backward pass of an operator that the gradient does not reach."""


def backward_pass(graph: Graph, frozen: frozenset[str] = frozenset()) -> list[Backward]:
    """Return the backward pass of each node, in the order of the nodes.

    Nothing is propagated to a tensor that depends on no trained parameter (the network's inputs, and everything below
    the lowest trained layer), and nothing through a node that no output depends on. A frozen layer has no gradient of
    its own but passes the gradient on.
    """
    learns = [bool(graph.params(node)) and node.name not in frozen for node in graph]
    depends: dict[str, bool] = {}
    for node, own in zip(graph, learns):
        depends[node.name] = own or any(depends[name] for name in node.inputs)
    used = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in used:
            used.update(node.inputs)
    return [
        _backward(graph, node, own, depends) if node.name in used and depends[node.name] else NOT_TRAINED
        for node, own in zip(graph, learns)
    ]


def _backward(graph: Graph, node: Node, trainable: bool, depends: dict[str, bool]) -> Backward:
    cost = node.op.backward_cost(*graph.input_shapes(node), trainable=trainable)
    wanted = [depends[name] for name in node.inputs]
    to_inputs = sum((part for part, want in zip(cost.inputs, wanted) if want), NO_COST)
    saved = node.op.saved(to_input=any(wanted), trainable=trainable)
    return Backward(to_inputs, cost.params if trainable else NO_COST, saved, trainable)


def saved_activation_bytes(
    graph: Graph, backward: Sequence[Backward], element_bytes: int, segments: Sequence[Segment] = ()
) -> int:
    """Return the bytes of everything that the forward pass keeps for one image; a tensor kept twice counts once.

    Unfused: each operator keeps its own input or output as its gradient formula asks; statistics of normalisations
    (two numbers a channel) are not counted, and what is stored with the parameters is there anyway.

    Args:
        graph: the network.
        backward: of each node (``backward_pass``).
        element_bytes: bytes of an element.
        segments: how activations are recomputed. Then it is the most that is kept at once: what a segment keeps from
            its forward pass, and what the forward pass before it has kept for this segment and those still to come.
    """
    holder, stored = storage(graph, training=True), stored_tensors(graph)
    parts = {node.name: part for node, part in zip(graph, backward)}
    whole = Segment(tuple(parts), (), ())
    most, waiting = 0, set[str]()
    for segment in segments or [whole]:
        kept, extra = set[str](), 0
        for name in segment.nodes:
            saved = parts[name].saved
            if "input" in saved:
                kept.update(graph.node(name).inputs)
            if "output" in saved:
                kept.add(name)
            size = product(graph.shapes[name])
            extra += (INDEX_BYTES * ("indices" in saved) + MASK_BYTES * ("mask" in saved)) * size
        for name in segment.again:
            kept.update(other for other in graph.node(name).inputs if other not in segment.again)
        tensors = {holder[name] for name in kept}
        alive = (tensors | waiting) - stored
        most = max(most, extra + element_bytes * sum(product(graph.shapes[name]) for name in alive))
        # Later segments are taken back first: what this one needs of itself and of those before it waits.
        passing = {holder[name] for name in segment.kept}
        waiting |= {name for name in tensors if name in passing or name not in {holder[one] for one in segment.nodes}}
    return most
