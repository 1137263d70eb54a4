"""The order of a program's work, and from when to when each tensor lives.

Numbers count pieces of work: first the forward pass, then the loss, then the way back. Values live from the work that
writes them to the last that reads them, which in training may be on the way back: what an operator keeps is what its
gradient formula asks for (``Op.saved``). A gradient lives from the first operator that adds to it to the one that takes
it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from archcost.engine.borders import halos, wider
from archcost.engine.fusion import Chain, activated, chains, normalised, pairs, rectified
from archcost.engine.joined import with_parts
from archcost.engine.memory import Key, Need
from archcost.engine.sharing import Back, gradient_owners
from archcost.engine.stages import Stage, StageRule
from archcost.engine.tensors import aliases, map_shapes
from archcost.geometry import Sides
from archcost.graph import Graph, Node
from archcost.kernels.layers import FastPlan, direct, gradient_halo
from archcost.kernels.layout import NO_HALO
from archcost.liveness import depending, read_back
from archcost.ops import Input, Softmax
from archcost.ops.activation import Activation
from archcost.segments import Segment

VALUE, GRADIENT, ALONE = "value", "gradient", "alone"
"""What a tensor of a program holds; ALONE: the value for one image, of which the batch's values are collected."""

BEFORE = -1
"""The time before all work: what is collected image by image lives while the first stage runs again and again."""


class Work(NamedTuple):
    """What is computed at one place of the forward pass: a node, or the chain that begins with it.

    ``then`` is the chain of a depthwise convolution that is computed with it: nothing stands between them.
    """

    node: Node
    chain: Chain | None
    then: Chain | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """All nodes."""
        behind = self.then.nodes if self.then else ()
        return (*self.chain.nodes, *behind) if self.chain else (self.node.name,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Nodes whose output is read."""
        residual = (self.chain.residual,) if self.chain and self.chain.residual else ()
        return (*self.node.inputs, *residual)

    @property
    def writes(self) -> str:
        """Node whose output is written."""
        last = self.then or self.chain
        return last.last if last else self.node.name


class Plan:
    """What a program does, in order, and the tensors that it needs.

    Args:
        graph: the network.
        training: forward, loss and backward; else inference with operators fused.
        trained: nodes whose parameters get a gradient (training only).
        wanted: inputs of the graph that get one.
        keep: do not fuse, and let every tensor keep its values to the end.
        fast: which convolutions are computed in a fast way.
        stage: the work that is done image by image, given the others' order and tensors; None: nothing.
        fast_alone: which convolutions of it are computed in a fast way.
        own_images: each thread does that for images of its own, whose values go where those of the batch are.
        lanes: channels of a block, for concatenation in place in inference; 0: all inputs are copied.
        segments: of the graph, whose activations are recomputed (training only).
        joins: let depthwise convolutions be computed with the convolution before (inference only).
        bordered: convolutions go back over a border of zeros around the gradients that they read.

    Attributes:
        holder: node -> the node whose tensor it uses.
        owners: kind of tensor -> node -> the node whose memory it uses: that of values is ``holder``.
        in_place: activations that overwrite their input.
        forward: the forward pass.
        rectified: max pools that take the ReLU before them back, which overwrites its input (``fusion.rectified``).
        backward: nodes that are taken back, in that order.
        again: node -> what is computed again before it is taken back.
        whole: chains that go back as a whole, by the name of their last node, which stands for them in ``backward``.
        depends: node -> whether its output depends on something that gets a gradient.
        stage: what is done image by image.
        needs: the tensors.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        training: bool,
        trained: frozenset[str] = frozenset(),
        wanted: frozenset[str] = frozenset(),
        keep: bool = False,
        fast: FastPlan = direct,
        stage: StageRule | None = None,
        fast_alone: FastPlan = direct,
        own_images: bool = False,
        lanes: int = 0,
        segments: Sequence[Segment] = (),
        joins: bool = False,
        bordered: bool = True,
    ) -> None:
        self.graph, self.training = graph, training
        self._bordered, self._own_images = bordered, own_images
        self._fast, self._fast_alone, self._lanes = fast, fast_alone, lanes
        self.trained, self.wanted = trained, wanted
        self.holder = aliases(graph, training=training, in_place=training and not keep)
        self.in_place = frozenset(
            node.name for node in graph if isinstance(node.op, Activation) and self.holder[node.name] != node.name
        )
        self.depends = depending(graph, {*trained, *wanted})
        whole = normalised(graph, self.holder, trained, self.depends) if training and not keep else {}
        self.whole = {chain.last: chain for chain in whole.values()}
        self.rectified = rectified(graph, self.in_place - self.whole.keys())
        fused = {**activated(graph, self.in_place), **whole} if training else chains(graph)
        joined = pairs(graph, fused, lambda _: fast_alone) if joins else {}
        self.forward = [work for work in _forward(graph, {} if keep else fused, joined) if self._computes(work.node)]
        shapes = map_shapes(graph, self.holder)
        self.stage = stage(graph, self.forward, self.holder, shapes) if stage else Stage()
        self.backward = self._backward() if training else []
        self.again = self._again(segments)
        self.owners = dict.fromkeys((VALUE, ALONE), self.holder)
        self.owners[GRADIENT] = self.holder if keep else self._gradient_owners()
        self._spans: dict[Key, list[tuple[int, int]]] = {}
        self._live()
        self.needs = self._needs(keep=keep)

    def ways(self, name: str) -> FastPlan:
        """Return which convolutions are computed in a fast way, for the stage that a node belongs to."""
        return self._fast_alone if name in self.stage.nodes else self._fast

    def _backward(self) -> list[Node]:
        used = _used(self.graph, logits_of(self.graph))
        inner = {name for chain in self.whole.values() for name in chain.nodes if name != chain.last}
        inner.update(self.rectified.values())
        return [
            node
            for node in reversed(self.graph.nodes)
            if node.name in used
            and node.name not in inner
            and self.depends[node.name]
            and self._computes(node)
            and not isinstance(node.op, Input)
        ]

    def _computes(self, node: Node) -> bool:
        return self.holder[node.name] == node.name or node.name in self.in_place

    def _again(self, segments: Sequence[Segment]) -> dict[str, list[Work]]:
        """Return what is computed again before the first node of each segment that is taken back."""
        result = {}
        for segment in segments:
            nodes, again = set(segment.nodes), set(segment.again)
            first = next((node.name for node in self.backward if node.name in nodes), None)
            if first is not None and again:
                result[first] = [work for work in self.forward if again & set(self._named(work))]
        return result

    def _named(self, work: Work) -> tuple[str, ...]:
        """Return the nodes of which one that is computed again lets ``work`` be done again."""
        is_whole = work.chain is not None and work.writes in self.whole
        return work.chain.nodes if work.chain and is_whole else (work.node.name,)

    def _touch(self, kind: str, names: Iterable[str], time: int) -> None:
        """Note that tensors are touched at a time, not before those noted already."""
        for name in names:
            spans = self._spans.setdefault((kind, self.owners[kind][name]), [(time, time)])
            spans[-1] = spans[-1][0], time

    def _compute(self, work: Work, time: int) -> None:
        """Note that values are read, and one is written: what its tensor held before is needed no longer."""
        self._touch(VALUE, work.reads, time)
        spans = self._spans.setdefault((VALUE, self.holder[work.writes]), [])
        if not spans or spans[-1][1] < time:
            spans.append((time, time))

    def _live(self) -> None:
        for time, work in enumerate(self.forward):
            self._compute(work, time)
        now = len(self.forward)
        end = self._end
        if not self.training:
            self._touch(VALUE, (*self.graph.outputs, logits_of(self.graph)), end)
            return
        logits = logits_of(self.graph)
        self._touch(VALUE, [logits], now)
        self._touch(GRADIENT, [logits], now)
        for node in self.backward:
            for work in self.again.get(node.name, ()):
                now += 1
                self._compute(work, now)
            now += 1
            self._touch(GRADIENT, [node.name, *self._gets(node)], now)
            self._touch(VALUE, self._kept(node), now)
        self._touch(GRADIENT, self.wanted, end)

    @property
    def _end(self) -> int:
        """The number behind those of all pieces of work."""
        return len(self.forward) + len(self.backward) + sum(map(len, self.again.values())) + 1

    def below(self, node: Node) -> tuple[str, ...]:
        """Return the nodes that the way back through ``node``, or the chain that it stands for, leads to."""
        chain = self.whole.get(node.name)
        return Work(chain.head, chain).reads if chain else node.inputs

    def _gets(self, node: Node) -> tuple[str, ...]:
        """Return those that get a gradient."""
        return tuple(name for name in self.below(node) if self.depends[name])

    def _kept(self, node: Node) -> tuple[str, ...]:
        """Return the nodes whose outputs are read on the way back through ``node``."""
        if chain := self.whole.get(node.name):
            reads_output = chain.residual is not None and chain.activation != "Identity"
            return (*chain.head.inputs, *([chain.last] if reads_output else []))
        return read_back(node, self.depends, self.trained)

    def _needs(self, *, keep: bool) -> dict[Key, Need]:
        graph, shapes = self.graph, map_shapes(self.graph, self.holder)
        border = {
            VALUE: halos(graph, self.holder, self.ways),
            GRADIENT: self._gradient_halos() if self.training else {},
        }
        result = {}
        for (kind, name), ((first, last), *again) in self._spans.items():
            span = (0, self._end) if keep else (first, last)
            result[kind, name] = Need(shapes[name], border[kind][name], *span, again=again[0] if again else None)
        for work in self.forward[: self.stage.works]:
            key = VALUE, self.holder[work.writes]
            need = result[key]
            if key[1] in self.stage.crossing and self._own_images:
                result[key] = replace(need, first=BEFORE, by_image=True)
            elif key[1] in self.stage.crossing:
                result[ALONE, key[1]] = replace(need, last=self.stage.works, images=1)
                result[key] = replace(need, first=BEFORE)
            else:
                result[key] = replace(need, images=1)
        if self.training or keep or not self._lanes:
            return result
        return with_parts(graph, self.holder, result, (VALUE, ALONE), self._lanes)

    def _gradient_owners(self) -> dict[str, str]:
        way = [Back(node, self._gets(node), node.name in self.whole) for node in self.backward]
        return gradient_owners(self.graph, way, self.holder, self._gradient_halos())

    def _gradient_halos(self) -> dict[str, Sides]:
        """Return the border of each gradient: what the convolution that made the tensor needs to go back."""
        graph = self.graph
        result = dict.fromkeys(graph.shapes, NO_HALO)
        for node in self.backward:
            if not (self._bordered and self._gets(node)):
                continue
            source = graph.input_shapes(node)[0]
            result[node.name] = wider(
                result[node.name], gradient_halo(node.op, source, graph.shapes[node.name], self._fast)
            )
        return result


def _forward(graph: Graph, found: dict[str, Chain], joined: dict[str, Chain]) -> list[Work]:
    """Return the nodes in order: a chain is computed where its first node stands, with the one that joins it."""
    done: set[str] = set()
    result = []
    for node in graph:
        chain = found.get(node.name)
        if node.name in done:
            continue
        if chain is not None:
            result.append(Work(node, chain, joined.get(node.name)))
            done.update(result[-1].nodes)
        else:
            result.append(Work(node, None))
    return result


def logits_of(graph: Graph) -> str:
    """Return the node whose output goes into the loss: the first output, before a final softmax."""
    node = graph.node(graph.outputs[0])
    return node.inputs[0] if isinstance(node.op, Softmax) else node.name


def _used(graph: Graph, output: str) -> frozenset[str]:
    """Return the nodes that ``output`` depends on, and itself."""
    used = {output}
    for node in reversed(graph.nodes):
        if node.name in used:
            used.update(node.inputs)
    return frozenset(used)
