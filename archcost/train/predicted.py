"""What the graph predicts of a training step, and by how much the program must execute other mult-adds than that.

The forward pass of every layer and all gradients to weights execute exactly the mult-adds that the graph counts: each
output element and each weight tap, taps on the padding included.

A convolution's gradient to its input goes the other way, from the smaller map (the gradient of the output) to the
larger one (that of the input), and gathers: each position of the larger map adds up the taps by which it can be reached
at all, those t with (position + padding - t * dilation) divisible by the stride. So it executes

- no products for positions on the padding, whose gradient nobody needs: ``cropped`` of the predicted ones are left out;
- products with the zeros around the smaller map, where a tap leads to a position that the stride and the size would
  allow, but the output does not have: ``border`` come on top.

executed = predicted - cropped + border, exactly. Only where the smaller map is a single pixel and the convolution is
not depthwise, taps that lead beyond it are left out as well (no ``border``); and where lanes are samples
(``kernels.samples``), those that lead beyond its first and last row are. What a step fills its last vector with is
counted on neither side. The same holds for the forward pass of a transposed convolution, which is that gradient; its
own gradient to the input executes what is predicted.

What is recomputed on the way back executes what the forward pass does, but for the statistics of a batch, which are
kept (``archcost.recomputation``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archcost.cost import NO_COST, Cost
from archcost.engine.executed import Executed
from archcost.geometry import Pair, Shape, pair, product, resolve
from archcost.graph import Graph, Node
from archcost.ops import Conv2d, ConvTranspose2d, Op, PartialConv2d
from archcost.report.training import NOT_TRAINED, backward_pass
from archcost.segments import recomputed_costs


class Difference(NamedTuple):
    """Why a layer that gathers executes other mult-adds than the graph counts.

    Attributes:
        cropped: predicted products that lead to the padding of the larger map, and are not executed.
        border: products with the zeros around the smaller map, which are executed and not predicted.
    """

    cropped: int = 0
    border: int = 0

    @property
    def total(self) -> int:
        """Executed minus predicted."""
        return self.border - self.cropped

    def plus(self, other: Difference) -> Difference:
        """Return both together."""
        return Difference(self.cropped + other.cropped, self.border + other.border)


NO_DIFFERENCE = Difference()


@dataclass(frozen=True)
class Predicted:
    """What the graph predicts of a training step, for one image.

    Attributes:
        forward: the forward pass as training runs it: batch statistics in trained normalisations.
        to_inputs: gradients to the inputs of operators.
        to_weights: gradients to parameters.
        forward_difference, input_difference: by how much the mult-adds that are executed must differ.
        recomputed: activations that are computed again on the way back.
        recomputed_difference: as of the forward pass.
    """

    forward: Cost
    to_inputs: Cost
    to_weights: Cost
    forward_difference: Difference
    input_difference: Difference
    recomputed: Cost = NO_COST
    recomputed_difference: Difference = NO_DIFFERENCE

    @property
    def flops(self) -> int:
        """Forward, backward and what is recomputed, all operators."""
        return self.forward.flops + self.to_inputs.flops + self.to_weights.flops + self.recomputed.flops

    @property
    def difference(self) -> Difference:
        """By how much the mult-adds that are executed must differ, all together."""
        return summed([self.forward_difference, self.input_difference, self.recomputed_difference])

    @property
    def expected(self) -> Executed:
        """The mult-adds that the engine must execute for one image."""
        return Executed(
            self.forward.mult_adds + self.forward_difference.total,
            self.to_inputs.mult_adds + self.input_difference.total,
            self.to_weights.mult_adds,
            self.recomputed.mult_adds + self.recomputed_difference.total,
        )


def predicted(
    graph: Graph, trained: frozenset[str], *, samples: bool = False, again: frozenset[str] = frozenset()
) -> Predicted:
    """Return what the graph predicts of a training step, for one image.

    The loss looks at the first output: other outputs (auxiliary heads) are computed, but not taken back. A final
    softmax counts by its rule, though the loss takes its gradient together with its own.

    Args:
        graph: the network.
        trained: nodes whose parameters are trained (``Network.trained``).
        samples: lanes are samples.
        again: nodes that are computed again on the way back (``Recomputation.again``).
    """
    by_node = predicted_by_node(graph, trained, samples=samples, again=again).values()
    return Predicted(
        sum((one.forward for one in by_node), NO_COST),
        sum((one.to_inputs for one in by_node), NO_COST),
        sum((one.to_weights for one in by_node), NO_COST),
        summed([one.forward_difference for one in by_node]),
        summed([one.input_difference for one in by_node]),
        sum((one.recomputed for one in by_node), NO_COST),
        summed([one.recomputed_difference for one in by_node]),
    )


def predicted_by_node(
    graph: Graph, trained: frozenset[str], *, samples: bool = False, again: frozenset[str] = frozenset()
) -> dict[str, Predicted]:
    """Return what the graph predicts of a training step for each node, for one image; see ``predicted``."""
    frozen = frozenset(node.name for node in graph if graph.params(node) and node.name not in trained)
    used = {graph.outputs[0]}
    for node in reversed(graph.nodes):
        if node.name in used:
            used.update(node.inputs)
    recomputed = recomputed_costs(graph, trained, again)
    result = {}
    for node, found in zip(graph, backward_pass(graph, frozen)):
        part = found if node.name in used else NOT_TRAINED
        shapes = graph.input_shapes(node)
        learns = not graph.params(node) or node.name in trained
        difference = _difference(graph, node, samples=samples)
        spreads = isinstance(node.op, ConvTranspose2d)
        ahead = difference if spreads else NO_DIFFERENCE
        result[node.name] = Predicted(
            node.op.cost(*shapes, training=learns),
            part.to_inputs,
            part.to_params,
            ahead,
            difference if part.to_inputs.mult_adds and not spreads else NO_DIFFERENCE,
            recomputed.get(node.name, NO_COST),
            ahead if node.name in again else NO_DIFFERENCE,
        )
    return result


def summed(parts: Sequence[Difference]) -> Difference:
    """Return all differences together."""
    total = Difference()
    for part in parts:
        total = total.plus(part)
    return total


class _Axis(NamedTuple):
    """Products of an axis: predicted, executed, and both at once."""

    predicted: int
    executed: int
    common: int


def _axis(larger: int, smaller: int, kernel: int, stride: int, padding: int, dilation: int) -> _Axis:
    """Count the pairs of a position of the larger map and a tap that the stride allows.

    Tap t of the element s of the smaller map lies at s * stride + t * dilation - padding in the larger map.
    """
    reached = common = 0
    for position in range(larger):
        for tap in range(kernel):
            element, rest = divmod(position + padding - tap * dilation, stride)
            reached += not rest
            common += not rest and 0 <= element < smaller
    return _Axis(smaller * kernel, reached, common)


def _difference(graph: Graph, node: Node, *, samples: bool) -> Difference:
    """Return why spreading the smaller map of a convolution over the larger one differs from the prediction."""
    op = node.op
    if not isinstance(op, Conv2d | ConvTranspose2d | PartialConv2d):
        return Difference()
    (source,), output = graph.input_shapes(node), graph.shapes[node.name]
    larger, smaller = (output, source) if isinstance(op, ConvTranspose2d) else (source, output)
    axes = _axes(op, source, larger, smaller)
    if samples:
        axes[0] = axes[0]._replace(executed=axes[0].common)
    # Each pair of a position and a tap stands for as many products as channels are connected.
    channels = op.cost(source).mult_adds // product([axis.predicted for axis in axes])
    count, done, common = (channels * product(column) for column in zip(*axes))
    is_depthwise = not isinstance(op, PartialConv2d) and op.groups == source[0] == output[0]
    if smaller[1:] == (1, 1) and not is_depthwise:
        done = common
    return Difference(count - common, done - common)


def _axes(op: Op, source: Shape, larger: Shape, smaller: Shape) -> list[_Axis]:
    one: Pair = (1, 1)
    kernel, stride, dilation, edges = one, one, one, ((0, 0), (0, 0))
    if isinstance(op, PartialConv2d):
        kernel = pair("kernel_size", op.kernel_size)
    elif isinstance(op, Conv2d | ConvTranspose2d):
        kernel, stride, padding, dilation = op.window
        edges = resolve(padding, source[1:], kernel, stride, dilation)
    return [
        _axis(larger[1 + axis], smaller[1 + axis], kernel[axis], stride[axis], edges[axis][0], dilation[axis])
        for axis in (0, 1)
    ]
