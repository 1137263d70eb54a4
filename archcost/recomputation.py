"""Recomputation of activations in training: which are kept, and which are computed again on the way back.

The graph is cut into segments, in its order. The forward pass keeps only what passes from one segment to the next; the
way back computes a segment's activations again, from what was kept, before it takes the segment back. The last segment
is taken back at once, so nothing of it is computed twice (Chen et al. 2016, Training Deep Nets with Sublinear Memory
Cost, sections 3 and 4). Where tensors pass around a segment (the skips of a U-shaped network), they are kept too.

Engine and summary ask the same function, so that what is executed is what is predicted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import NamedTuple

from archcost.cost import Cost
from archcost.geometry import product
from archcost.graph import Graph, Node
from archcost.liveness import Life, depending, holders, read_back, readers
from archcost.ops.activation import Activation

BISECTIONS = 8
"""Halvings, by factors, of the interval in which the least budget of memory lies."""

SLACKS = (1.0, 1.02, 1.04, 1.07, 1.1, 1.15, 1.2, 1.3, 1.45, 1.7, 2.0)
"""Budgets that are tried, in units of the least; they are estimates, and each choice is measured exactly."""

MOST_PLACES = 200
"""Cuts that are considered first; of more, the best of each few neighbours."""

REACH = 3
"""Places by which a cut is moved to see whether that is better."""

MOST_VISITS = 40_000
"""Nodes that are visited to see it."""


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


@dataclass(frozen=True)
class Recomputation:
    """How activations are recomputed.

    Attributes:
        segments: from the first to the last, of which nothing is computed again.
        elements, plain_elements: the most tensor elements alive at once in a training step for one image, activations
            and their gradients, with recomputation and without (by liveness; activations overwrite their input where
            nothing else needs it).
    """

    segments: tuple[Segment, ...]
    elements: int
    plain_elements: int

    @cached_property
    def again(self) -> frozenset[str]:
        """All nodes that are computed again."""
        return frozenset(name for segment in self.segments for name in segment.again)


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


def recomputation(graph: Graph, trained: frozenset[str], outputs: Sequence[str]) -> Recomputation:
    """Choose the segments that need least memory, and of those the ones with the least work.

    A dynamic programme finds the cuts for a budget of memory: which of them keep least, such that what is kept and what
    one segment needs stay within the budget. It estimates; among the choices for some budgets, liveness decides.

    Args:
        graph: the network.
        trained: nodes whose parameters are trained.
        outputs: nodes whose outputs go into the loss.
    """
    step = _Step(graph, trained, outputs)
    plain = step.measured(())
    least, most = max(step.smallest, 1), 2 * plain.elements
    for _ in range(BISECTIONS):
        middle = isqrt(least * most)
        least, most = (least, middle) if step.cuts(middle) is not None else (middle, most)
    tried = {step.cuts(int(slack * most)) for slack in SLACKS}
    best = step.improved(min([plain, *(step.measured(cuts) for cuts in tried if cuts)]))
    return Recomputation(step.segments(best.cuts), best.elements, plain.elements)


class _Choice(NamedTuple):
    """Cuts behind these positions, the peak, and the work of recomputation: the least is best."""

    elements: int
    flops: int
    cuts: tuple[int, ...]


class _Cut(NamedTuple):
    """A place between two nodes.

    Attributes:
        position: of the node before it.
        names: nodes whose outputs pass.
        tensors: position of the node that makes each tensor that passes, in order, and its elements.
    """

    position: int
    names: tuple[str, ...]
    tensors: tuple[tuple[int, int], ...]


class _Step:
    """A training step whose cuts are to be chosen."""

    def __init__(self, graph: Graph, trained: frozenset[str], outputs: Sequence[str]) -> None:
        self.graph = graph
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
        together = -(-len(self.cut) // MOST_PLACES) or 1
        ordered = list(self.cut.values())
        self._places = [
            min(ordered[start : start + together], key=lambda cut: sum(size for _, size in cut.tensors)).position
            for start in range(0, len(ordered), together)
        ]
        self._saved = [elements if index in saved else 0 for index, elements in enumerate(self.elements)]
        self._gradients = [self._gradient(node) for node in graph]
        self.smallest = max(self._gradients)

    def _owner(self, name: str) -> int:
        """Return the position of the node whose tensor holds the output of ``name``."""
        return self.position[self.holder[name]]

    def _gradient(self, node: Node) -> int:
        """Return the elements of the gradients that are alive while a node is taken back."""
        if node.name not in self.back:
            return 0
        names = {self.holder[name] for name in (*node.inputs, node.name) if self.depends[name]}
        return sum(self.elements[self.position[name]] for name in names)

    def _allowed(self) -> list[_Cut]:
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
                result.append(_Cut(index, tuple(passing), tuple((owner, self.elements[owner]) for owner in owners)))
        return result

    def cuts(self, budget: int) -> tuple[int, ...] | None:
        """Return the cuts that keep least if no segment may need more than ``budget`` elements; None if none do.

        What a segment needs is estimated as what was kept before it, all of its tensors that are read on the way back,
        and the largest gradients.
        """
        places = [*self._places, len(self.graph) - 1]
        kept: dict[int, tuple[int, int]] = {-1: (0, -1)}
        for end, place in enumerate(places):
            found: tuple[int, int] | None = None
            saved = gradients = more = 0
            position = place
            passing = [*self.cut[place].tensors] if place in self.cut else []
            for before in (*places[:end][::-1], -1):
                for index in range(position, before, -1):
                    saved += self._saved[index]
                    gradients = max(gradients, self._gradients[index])
                position = before
                if saved + gradients > budget:
                    break
                # What passes here and was made before the other cut is kept there already.
                while passing and passing[-1][0] > before:
                    more += passing.pop()[1]
                earlier = kept.get(before)
                if (
                    earlier
                    and earlier[0] + saved + gradients <= budget
                    and (not found or earlier[0] + more <= found[0])
                ):
                    found = earlier[0] + more, before
            if found:
                kept[place] = found
        if places[-1] not in kept:
            return None
        result = []
        place = kept[places[-1]][1]
        while place >= 0:
            result.append(place)
            place = kept[place][1]
        return tuple(reversed(result))

    def improved(self, best: _Choice) -> _Choice:
        """Return the best choice that leaving out and moving cuts leads to, one at a time."""
        places = list(self.cut)
        left = MOST_VISITS // len(self.graph)
        before = None
        while best != before and left > 0:
            before = best
            for one in best.cuts:
                at = bisect_left(places, one)
                others = [cut for cut in best.cuts if cut != one]
                near = {*places[max(at - REACH, 0) : at + REACH + 1]}.difference(best.cuts)
                tried = [others, *([*others, place] for place in sorted(near))][:left]
                left -= len(tried)
                best = min([best, *(self.measured(tuple(sorted(cuts))) for cuts in tried)])
        return best

    def measured(self, cuts: tuple[int, ...]) -> _Choice:
        """Return what cuts need and cost."""
        segments = self.segments(cuts)
        flops = sum(self.flops[name] for segment in segments for name in segment.again)
        return _Choice(self._peak(segments), flops, cuts)

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
