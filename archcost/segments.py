"""The segments of a graph between cuts: what is kept, what is computed again, and what that needs and costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from archcost.cost import Cost
from archcost.geometry import product
from archcost.graph import Graph, Node
from archcost.liveness import Life, depending, holders, read_back, readers
from archcost.ops.activation import Activation


class Segment(NamedTuple):
    """Nodes that are computed again together.

    Attributes:
        nodes: names, in the graph's order.
        kept: nodes whose outputs pass to later segments: the forward pass keeps them.
        again: nodes that are computed again: those that the way back through the segment needs, and what leads to them.
    """

    nodes: tuple[str, ...]
    kept: tuple[str, ...]
    again: tuple[str, ...]


def recomputed_costs(graph: Graph, trained: Iterable[str], again: Iterable[str]) -> dict[str, Cost]:
    """Return the work of computing each node of ``again`` again, for one image.

    Args:
        graph: the network.
        trained: nodes whose parameters are trained; a frozen normalisation uses its running statistics.
        again: nodes that are computed again.
    """
    learning = set(trained)
    result = {}
    for name in again:
        node = graph.node(name)
        learns = not graph.params(node) or name in learning
        result[name] = node.op.cost_again(*graph.input_shapes(node), training=learns)
    return result


class Choice(NamedTuple):
    """Cuts behind these positions: what they need, cost, and their number; the least is best."""

    elements: int
    flops: int
    number: int
    cuts: tuple[int, ...]


class Cut(NamedTuple):
    """A place between two nodes.

    Attributes:
        position: of the node before it.
        names: nodes whose outputs pass.
        tensors: position of the node that makes each tensor that passes, in order, and its elements.
    """

    position: int
    names: tuple[str, ...]
    tensors: tuple[tuple[int, int], ...]


class Step:
    """A training step whose cuts are to be chosen."""

    def __init__(self, graph: Graph, trained: frozenset[str], outputs: Sequence[str]) -> None:
        self.graph, self.outputs = graph, outputs
        self.position = {node.name: index for index, node in enumerate(graph)}
        self.depends = depending(graph, trained)
        self.holder = holders(graph)
        self.elements = [
            product(graph.shapes[node.name]) if node.inputs or node.op.makes_tensor else 0 for node in graph
        ]
        used = {*outputs}
        for node in reversed(graph.nodes):
            if node.name in used:
                used.update(node.inputs)
        self.back = {
            node.name: read_back(node, self.depends, trained)
            for node in graph
            if node.name in used and self.depends[node.name]
        }
        flops = recomputed_costs(graph, trained, graph.shapes)
        self.flops = {name: cost.flops for name, cost in flops.items()}
        self.cut = {cut.position: cut for cut in self._allowed()}
        saved = {self._owner(name) for names in self.back.values() for name in names}
        self.saved = [elements if index in saved else 0 for index, elements in enumerate(self.elements)]
        self.gradients = [self._gradient(node) for node in graph]

    def _owner(self, name: str) -> int:
        """Return the position of the node whose tensor holds the output of ``name``."""
        return self.position[self.holder[name]]

    def _gradient(self, node: Node) -> int:
        """Return the elements of the gradients that are alive while a node is taken back."""
        if node.name not in self.back:
            return 0
        names = {self.holder[name] for name in (*node.inputs, node.name) if self.depends[name]}
        return sum(self.elements[self.position[name]] for name in names)

    def _allowed(self) -> list[Cut]:
        """Return where the graph may be cut: not between an activation and an input that it alone reads.

        There it may overwrite its input or be computed together with it.
        """
        reading = readers(self.graph)
        ends = {name: self.position[found[-1].name] for name, found in reading.items() if found}
        closed = {name for name, found in reading.items() if len(found) == 1 and isinstance(found[0].op, Activation)}
        result = []
        passing: list[str] = []
        for index, node in enumerate(self.graph.nodes[:-1]):
            passing = [name for name in (*passing, node.name) if ends.get(name, -1) > index]
            owners = sorted({self._owner(name) for name in passing})
            if not closed.intersection(passing):
                result.append(Cut(index, tuple(passing), tuple((owner, self.elements[owner]) for owner in owners)))
        return result

    def measured(self, cuts: tuple[int, ...]) -> Choice:
        """Return what cuts need and cost."""
        segments = self.segments(cuts)
        flops = sum(self.flops[name] for segment in segments for name in segment.again)
        return Choice(self._peak(segments), flops, len(cuts), cuts)

    def segments(self, cuts: Sequence[int]) -> tuple[Segment, ...]:
        """Return the segments between cuts."""
        nodes = self.graph.nodes
        result = []
        for start, end in zip((-1, *cuts), (*cuts, len(nodes) - 1)):
            names = tuple(node.name for node in nodes[start + 1 : end + 1])
            is_last = end == len(nodes) - 1
            kept = () if is_last else tuple(name for name in self.cut[end].names if self.position[name] > start)
            result.append(Segment(names, kept, () if is_last else self._again(start, end)))
        return tuple(result)

    def _again(self, start: int, end: int) -> tuple[str, ...]:
        """Return what is computed again of the segment of nodes behind ``start`` up to ``end``."""
        nodes = self.graph.nodes
        available = {self.holder[name] for name in self.cut[end].names}
        wanted: set[str] = set()
        for node in nodes[start + 1 : end + 1]:
            wanted.update(self.back.get(node.name, ()))
        again = []
        for node in reversed(nodes[start + 1 : end + 1]):
            if node.name in wanted and self.holder[node.name] not in available:
                again.append(node.name)
                wanted.update(node.inputs)
        return tuple(reversed(again))

    def _peak(self, segments: Sequence[Segment]) -> int:
        """Return the most elements alive at once."""
        life = Life()
        nodes, owner = self.graph.nodes, self._owner
        for node in nodes:
            life.touch(map(owner, node.inputs))
            life.write(owner(node.name))
            life.time += 1
        count = len(nodes)
        life.touch(place + owner(name) for name in self.outputs if self.depends[name] for place in (0, count))
        life.time += 1
        for segment in reversed(segments):
            for name in segment.again:
                life.touch(map(owner, self.graph.node(name).inputs))
                life.write(owner(name))
                life.time += 1
            for name in reversed(segment.nodes):
                if name in self.back:
                    life.touch(map(owner, self.back[name]))
                    inputs = self.graph.node(name).inputs
                    life.touch(count + owner(other) for other in (name, *inputs) if self.depends[other])
                    life.time += 1
        return life.peak([*self.elements, *self.elements])
