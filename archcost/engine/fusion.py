"""What is computed together: in inference a layer that multiplies, the BatchNorm behind it, a sum and an activation.

The product of a map and a gate (squeeze and excitation) takes the sum and the activation behind it, too.
The micro-kernel adds a residual and applies an activation to its sums before it stores them, and a BatchNorm with fixed
statistics is a factor and a shift of the packed weights: so a chain of up to four operators writes its output once.
Training keeps what the way back needs. There a layer takes an activation with it that overwrites its input anyway; and
a BatchNorm takes the sum and the activation behind it, forward and backward. The activation's input is not kept: it
follows from the BatchNorm's. ``ARCHCOST_FUSED_NORM=off`` leaves these operators apart. A max pool takes the ReLU in
front of it along on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from archcost.engine.tensors import channels_last_nodes
from archcost.graph import Graph, Node
from archcost.kernels.activation import fused_name
from archcost.kernels.layers import FastPlan, Layer, convolution_layer
from archcost.kernels.switches import switched_on
from archcost.ops import Add, BatchNorm2d, Conv2d, Identity, Linear, MaxPool2d, Mul, ReLU
from archcost.ops.dropout import RandomMask


@dataclass(frozen=True)
class Chain:
    """Operators that one step computes.

    Attributes:
        head: the layer that multiplies, or in training a BatchNorm.
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
    following, summand = _followers(graph), _Summands(graph)
    result: dict[str, Chain] = {}
    for node in graph:
        gates = isinstance(node.op, Mul) and _gates(graph, node)
        if not (gates or isinstance(node.op, (Conv2d, Linear))):
            continue
        last, norm, activation = node.name, None, "Identity"
        members: list[str] = []
        after = following(last)
        if isinstance(node.op, Conv2d) and after is not None and isinstance(after.op, BatchNorm2d):
            norm, last = after, after.name
            members.append(last)
            after = following(last)
        # What does nothing in inference joins if something stands behind it.
        after, idle = _past(after, following)
        residual = summand(node, idle[-1] if idle else last, after) if after is not None else None
        if after is not None and residual is not None:
            last = after.name
            members += [*idle, last]
            after, idle = _past(following(last), following)
        if after is not None and (fused := fused_name(after.op)) is not None:
            activation, last = fused, after.name
            members += [*idle, last]
        if gates and not members:
            continue  # a product alone
        result[node.name] = Chain(node, norm, residual, activation, last, tuple(members))
        summand.note(node, last)
    return result


def _past(after: Node | None, following: Callable[[str], Node | None]) -> tuple[Node | None, list[str]]:
    """Return the first reader that does something in inference, and those that do nothing before it."""
    idle: list[str] = []
    while after is not None and isinstance(after.op, (RandomMask, Identity)):
        idle.append(after.name)
        after = following(after.name)
    return after, idle


def _gates(graph: Graph, node: Node) -> bool:
    """Tell whether a product is that of a map and of one number for each channel, which comes second."""
    shapes = graph.input_shapes(node)
    return (
        len(shapes) == 2
        and all(len(shape) == 3 for shape in shapes)
        and shapes[0] == graph.shapes[node.name]
        and shapes[1] == (shapes[0][0], 1, 1)
        and not channels_last_nodes(graph) & {*node.inputs, node.name}
    )


def pairs(graph: Graph, found: Mapping[str, Chain], ways: Callable[[str], FastPlan]) -> dict[str, Chain]:
    """Return the chains of depthwise convolutions that are computed with the chain before, by that one's first node.

    The map between must have no other reader, and its convolution must be computed the direct way.

    Args:
        graph: the network.
        found: the chains.
        ways: which convolutions are computed in a fast way.
    """
    following, last_of_channels = _followers(graph), channels_last_nodes(graph)
    result: dict[str, Chain] = {}
    for chain in found.values():
        after = following(chain.last)
        behind = found.get(after.name) if after is not None and after.name in found else None
        if behind is None or chain.residual or behind.residual or chain.last in last_of_channels:
            continue
        first, second = (_convolution(graph, one.head) for one in (chain, behind))
        if first is None or second is None or not second.filters.is_depthwise:
            continue
        shape = graph.shapes[chain.head.name]
        usual = first.filters.groups == 1 and ways(chain.head.name)(first, (shape[1], shape[2])) is None
        if usual and shape[1] > 1:
            result[chain.head.name] = behind
    return result


def _convolution(graph: Graph, node: Node) -> Layer | None:
    """Return a convolution as the kernels see it; None for other operators."""
    if not isinstance(node.op, Conv2d):
        return None
    return convolution_layer(node.op, graph.shapes[node.inputs[0]], graph.shapes[node.name])


def pairs_allowed() -> bool:
    """Return whether ``ARCHCOST_FUSED_PAIRS`` lets a depthwise convolution join the one before, as it does by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    return switched_on("ARCHCOST_FUSED_PAIRS")


def _followers(graph: Graph) -> Callable[[str], Node | None]:
    """Return the function that gives the only reader of a node's output, or None if others need it too."""
    readers: dict[str, list[Node]] = {node.name: [] for node in graph}
    for node in graph:
        for name in set(node.inputs):
            readers[name].append(node)
    return lambda name: readers[name][0] if len(readers[name]) == 1 and name not in graph.outputs else None


class _Summands:
    """Finds what a chain adds. Each chain must be noted: it is computed where its first node stands."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._last_of_channels = graph, channels_last_nodes(graph)
        self._order = {node.name: number for number, node in enumerate(graph)}
        self._ends: dict[str, int] = {}

    def note(self, head: Node, last: str) -> None:
        """Note that the output of ``last`` is written where ``head`` stands."""
        self._ends[last] = self._order[head.name]

    def __call__(self, head: Node, last: str, after: Node) -> str | None:
        """Return what ``after`` adds to the output of ``last``, if a chain from ``head`` to ``last`` can add it."""
        if not isinstance(after.op, Add) or len(after.inputs) != 2:
            return None
        other = next((name for name in after.inputs if name != last), None)
        if other is None or self._graph.shapes[other] != self._graph.shapes[last]:
            return None
        alike = len({name in self._last_of_channels for name in (other, last, after.name)}) == 1
        # The other summand is ready if it, or the chain that writes it, comes before this one.
        ready = self._ends.get(other, self._order[other]) < self._order[head.name]
        return other if alike and ready else None


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


def rectified(graph: Graph, in_place: Collection[str]) -> dict[str, str]:
    """Return the ReLUs ``in_place`` that a max pool takes back with it, as the only reader, by the name of the pool."""
    following = _followers(graph)
    pairs = [(node, following(node.name)) for node in graph if isinstance(node.op, ReLU) and node.name in in_place]
    return {after.name: node.name for node, after in pairs if after is not None and isinstance(after.op, MaxPool2d)}


def allowed() -> bool:
    """Return whether ``ARCHCOST_FUSED_NORM`` lets a BatchNorm in training take others with it, as it does by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    return switched_on("ARCHCOST_FUSED_NORM")


def normalised(
    graph: Graph, holder: Mapping[str, str], trained: Collection[str], depends: Mapping[str, bool]
) -> dict[str, Chain]:
    """Return the chains of a BatchNorm in training, the sum and the activation behind it, by the name of the first.

    Args:
        graph: the network.
        holder: node -> the node whose tensor it uses.
        trained: nodes whose parameters get a gradient: a frozen BatchNorm stays alone.
        depends: node -> whether its output gets a gradient: a sum gives one to its other summand beside the input's.
    """
    if not allowed():
        return {}
    following, summand = _followers(graph), _Summands(graph)
    result: dict[str, Chain] = {}
    for node in graph:
        if not isinstance(node.op, BatchNorm2d) or (node.op.affine and node.name not in trained):
            continue
        members: list[str] = []
        activation = "Identity"
        after, residual, source = following(node.name), None, node.inputs[0]
        if after is not None and depends[source]:
            residual = summand(node, node.name, after)
            # Both gradients are written in one pass, so not to the same tensor.
            residual = None if residual is None or holder[residual] == holder[source] else residual
            if residual is not None:
                members.append(after.name)
                after = following(after.name)
        fused = fused_name(after.op) if after is not None else None
        if after is not None and fused is not None and (residual is None or after.op.saved_for_input == {"output"}):
            activation = fused
            members.append(after.name)
        if members:
            result[node.name] = Chain(node, None, residual, activation, members[-1], tuple(members))
            summand.note(node, members[-1])
    return result
