"""What the graph predicts of a training step, and by how much the program must execute other mult-adds than that.

The forward pass of a layer and its gradient to weights execute the mult-adds that the graph counts: each output element
and each weight tap, taps on the padding included. Only taps that lead to nothing but padding, because the map is
smaller than the kernel, are left out (``cropped``), unless the convolution is depthwise.

A convolution's gradient to its input goes the other way, from the smaller map (the gradient of the output) to the
larger one (that of the input), and gathers: each position of the larger map adds up the taps by which it can be reached
at all, those t with (position + padding - t * dilation) divisible by the stride. So it executes

- no products for positions on the padding, whose gradient nobody needs: ``cropped`` of the predicted ones are left out;
- products with the zeros around the smaller map, where a tap leads to a position that the stride and the size would
  allow, but the output does not have: ``border`` come on top.

executed = predicted - cropped + border, exactly. Only where the smaller map is a single pixel and the convolution is
not depthwise, and where lanes are samples (``kernels.samples``), taps that lead beyond it are left out as well (no
``border``). What a step fills its last vector with is counted on neither side. Convolutions by Winograd's filtering
execute other products than those predicted, and fewer (``spared``), with neither of the differences above.

The same holds for the forward pass of a transposed convolution, which is that gradient; its own gradient to the input
executes what is predicted.

What is recomputed on the way back executes what the forward pass does, but for the statistics of a batch, which are
kept (``archcost.recomputation``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from archcost.cost import NO_COST, Cost
from archcost.engine.executed import Executed
from archcost.geometry import Shape, product
from archcost.graph import Graph, Node
from archcost.kernels.layers import FastPlan, Layer, convolution_layer, direct, fast_layer
from archcost.kernels.passes import live_taps
from archcost.kernels.sample_filtering_plan import products as products_of_rows
from archcost.kernels.sample_filtering_plan import row_tile
from archcost.kernels.winograd_plan import Cut, products
from archcost.ops import Conv2d, ConvTranspose2d, Op, PartialConv2d
from archcost.report.training import NOT_TRAINED, backward_pass
from archcost.segments import recomputed_costs


class Difference(NamedTuple):
    """Why a layer that gathers executes other mult-adds than the graph counts.

    Attributes:
        cropped: predicted products that lead to the padding of the larger map, and are not executed.
        border: products with the zeros around the smaller map, which are executed and not predicted.
        spared: predicted products less those that Winograd's filtering executes in their place.
    """

    cropped: int = 0
    border: int = 0
    spared: int = 0

    @property
    def total(self) -> int:
        """Executed minus predicted."""
        return self.border - self.cropped - self.spared

    def plus(self, other: Difference) -> Difference:
        """Return both together."""
        return Difference(*(a + b for a, b in zip(self, other)))


NO_DIFFERENCE = Difference()


@dataclass(frozen=True)
class Predicted:
    """What the graph predicts of a training step, for one image.

    Attributes:
        forward: the forward pass as training runs it: batch statistics in trained normalisations.
        to_inputs: gradients to the inputs of operators.
        to_weights: gradients to parameters.
        forward_difference: by how much the mult-adds that are executed must differ.
        input_difference, weight_difference: likewise of the gradients.
        recomputed: activations that are computed again on the way back.
        recomputed_difference: as of the forward pass.
    """

    forward: Cost
    to_inputs: Cost
    to_weights: Cost
    forward_difference: Difference
    input_difference: Difference
    weight_difference: Difference
    recomputed: Cost = NO_COST
    recomputed_difference: Difference = NO_DIFFERENCE

    @property
    def differences(self) -> Difference:
        """All differences together."""
        parts = self.forward_difference, self.input_difference, self.weight_difference, self.recomputed_difference
        return summed(parts)

    @property
    def flops(self) -> int:
        """Forward, backward and what is recomputed, all operators."""
        return self.forward.flops + self.to_inputs.flops + self.to_weights.flops + self.recomputed.flops

    @property
    def expected(self) -> Executed:
        """The mult-adds that the engine must execute for one image."""
        return Executed(
            self.forward.mult_adds + self.forward_difference.total,
            self.to_inputs.mult_adds + self.input_difference.total,
            self.to_weights.mult_adds + self.weight_difference.total,
            self.recomputed.mult_adds + self.recomputed_difference.total,
        )


def predicted(
    graph: Graph,
    trained: frozenset[str],
    *,
    samples: bool = False,
    fast: FastPlan = direct,
    again: frozenset[str] = frozenset(),
) -> Predicted:
    """Return what the graph predicts of a training step, for one image.

    The loss looks at the first output: other outputs (auxiliary heads) are computed, but not taken back. A final
    softmax counts by its rule, though the loss takes its gradient together with its own.

    Args:
        graph: the network.
        trained: nodes whose parameters are trained (``Network.trained``).
        samples: lanes are samples.
        fast: which convolutions are computed in a fast way (``Lowered.fast``).
        again: nodes that are computed again on the way back (``Recomputation.again``).
    """
    by_node = predicted_by_node(graph, trained, samples=samples, fast=fast, again=again).values()
    return Predicted(
        sum((one.forward for one in by_node), NO_COST),
        sum((one.to_inputs for one in by_node), NO_COST),
        sum((one.to_weights for one in by_node), NO_COST),
        summed([one.forward_difference for one in by_node]),
        summed([one.input_difference for one in by_node]),
        summed([one.weight_difference for one in by_node]),
        sum((one.recomputed for one in by_node), NO_COST),
        summed([one.recomputed_difference for one in by_node]),
    )


def predicted_by_node(
    graph: Graph,
    trained: frozenset[str],
    *,
    samples: bool = False,
    fast: FastPlan = direct,
    again: frozenset[str] = frozenset(),
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
        gathered, spread = _differences(graph, node, samples=samples, fast=fast)
        forward, backward = (spread, gathered) if isinstance(node.op, ConvTranspose2d) else (gathered, spread)
        result[node.name] = Predicted(
            node.op.cost(*shapes, training=learns),
            part.to_inputs,
            part.to_params,
            forward,
            backward if part.to_inputs.mult_adds else NO_DIFFERENCE,
            _without_dead_taps(node, graph, samples=samples) if part.to_params.mult_adds else NO_DIFFERENCE,
            recomputed.get(node.name, NO_COST),
            forward if node.name in again else NO_DIFFERENCE,
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


def _differences(graph: Graph, node: Node, *, samples: bool, fast: FastPlan) -> tuple[Difference, Difference]:
    """Return why a convolution from its larger to its smaller map, and back, differs from the prediction."""
    op = node.op
    if not isinstance(op, Conv2d | ConvTranspose2d | PartialConv2d):
        return Difference(), Difference()
    (source,), output = graph.input_shapes(node), graph.shapes[node.name]
    larger, smaller = (output, source) if isinstance(op, ConvTranspose2d) else (source, output)
    layer, count = convolution_layer(op, source, output), op.cost(source).mult_adds
    found = []
    for gathers in (True, False):
        computed, size = fast_layer(layer, larger[1:], smaller[1:], gathers=gathers)
        cut = fast(computed, size) if computed else None
        if computed is not None and isinstance(cut, Cut):
            found.append(Difference(spared=count - products(computed.filters, size, cut.outputs)))
        elif gathers:
            found.append(_without_dead_taps(node, graph, samples=samples))
        else:
            found.append(_spread(op, layer, source, (larger, smaller), samples=samples))
    return found[0], found[1]


def _without_dead_taps(node: Node, graph: Graph, *, samples: bool) -> Difference:
    """Return what is saved by leaving out the taps that never reach the larger map, or by filtering along rows."""
    op, (source, *_), output = node.op, graph.input_shapes(node), graph.shapes[node.name]
    if not isinstance(op, Conv2d | ConvTranspose2d | PartialConv2d):
        return Difference()
    layer, count = convolution_layer(op, source, output), op.cost(source).mult_adds
    if samples:
        return _filtered(layer, output[1:], count, output[1] * layer.filters.kernel[0]) or Difference()
    if layer.filters.is_depthwise:
        return Difference()
    larger, smaller = (output, source) if layer.spreads else (source, output)
    live = product([len(taps) for taps in live_taps(layer.window, larger[1:], smaller[1:])])
    return Difference(cropped=count - count // product(layer.filters.kernel) * live)


def _spread(op: Op, layer: Layer, source: Shape, maps: tuple[Shape, Shape], *, samples: bool) -> Difference:
    """Return why spreading the smaller map of a convolution over the larger one differs from the prediction."""
    window, (larger, smaller) = layer.window, maps
    axes = [
        _axis(sizes[0], sizes[1], kernel, stride, padding[0], dilation)
        for sizes, kernel, stride, padding, dilation in zip(zip(larger[1:], smaller[1:]), *window)
    ]
    if samples:
        filtered = _filtered(layer, smaller[1:], op.cost(source).mult_adds, axes[0].common)
        if filtered:
            return filtered
        axes = [axis._replace(executed=axis.common) for axis in axes]
    # Each pair of a position and a tap stands for as many products as channels are connected.
    channels = op.cost(source).mult_adds // product([axis.predicted for axis in axes])
    count, done, common = (channels * product(column) for column in zip(*axes))
    if smaller[1:] == (1, 1) and not layer.filters.is_depthwise:
        done = common
    return Difference(count - common, done - common)


def _filtered(layer: Layer, size: Shape, count: int, pairs_of_rows: int) -> Difference | None:
    """Return what filtering along rows spares, where lanes are samples; None where products are not filtered so.

    Args:
        layer: the convolution.
        size: height and width of its output.
        count: products that the graph predicts.
        pairs_of_rows: pairs of a row of a map and a row of the kernel that are multiplied.
    """
    tile = row_tile(layer, (size[0], size[1]))
    return None if tile is None else Difference(spared=count - products_of_rows(layer, tile, size[1], pairs_of_rows))
