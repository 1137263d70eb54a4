"""What the graph predicts of a training step, against the steps of programs and plain counting."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine.executed import Executed, executed_by_node
from archcost.geometry import Shape, Sides
from archcost.ops import BatchNorm2d, Conv2d, ConvTranspose2d, Flatten, Linear, Op
from archcost.report.rows import rows_of, total
from archcost.train.accounting import account
from archcost.train.predicted import Difference, predicted, predicted_by_node
from archcost.zoo.catalogue import load
from tests.engine.built import IMAGES, SMALL, below, built, compile_nothing, counts, small, trained_nodes


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)


@pytest.mark.parametrize("name", SMALL)
def test_every_node_executes_what_the_account_expects(name: str) -> None:
    graph = small(name)
    found = counts(name)
    for node, part in predicted_by_node(graph, trained_nodes(graph)).items():
        wanted = Executed(*(IMAGES * count for count in part.expected))
        assert found.get(node, Executed(0, 0, 0)) == wanted, node


@pytest.mark.parametrize("name", ["lenet", "resnet18", "mobilenet_v2"])
def test_predicted_flops_are_those_of_the_summary(name: str) -> None:
    graph = small(name)
    sums = total(rows_of(graph, train=True))
    one = predicted(graph, trained_nodes(graph))
    assert one.forward.flops == sums["train_flops"]
    assert one.to_inputs.flops == sums["input_gradient_flops"]
    assert one.to_weights.flops == sums["weight_gradient_flops"]
    assert one.flops == sums["train_flops"] + sums["input_gradient_flops"] + sums["weight_gradient_flops"]


def products(op: Conv2d | ConvTranspose2d, larger: Shape, smaller: Shape, padding: Sides) -> tuple[int, int, int]:
    """Return by brute force the predicted pairs, those without padding, and all whose tap a position allows.

    Pairs of an element and a tap, the elements also far beyond both ends of the smaller map.
    """
    kernel, stride, _, dilation = op.window
    counted = np.zeros(3, int)
    for tap in np.ndindex(*kernel):
        for element in np.ndindex(40, 40):
            at = [index - 20 for index in element]
            place = [at[a] * stride[a] + tap[a] * dilation[a] - padding[a][0] for a in (0, 1)]
            in_smaller = all(0 <= at[a] < smaller[1 + a] for a in (0, 1))
            in_larger = all(0 <= place[a] < larger[1 + a] for a in (0, 1))
            counted += [in_smaller, in_smaller and in_larger, in_larger]
    first, second, third = counted.tolist()
    return first, second, third


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (Conv2d(4, 3, padding=1), (2, 5, 6)),
        (Conv2d(4, 3, stride=2), (2, 8, 8)),
        (Conv2d(4, 5), (2, 12, 7)),
        (Conv2d(4, 1, stride=2), (2, 7, 6)),
        (Conv2d(2, (3, 2), stride=(2, 3), padding=((2, 0), (1, 3)), dilation=(2, 1), groups=2), (2, 9, 8)),
        (ConvTranspose2d(4, 3, stride=2, padding=1, output_padding=1), (2, 4, 5)),
    ],
    ids=lambda value: value.label((2, 9, 9)) if isinstance(value, Op) else "",
)
def test_the_difference_is_what_leads_to_padding_and_what_reads_beyond(
    op: Conv2d | ConvTranspose2d, shape: Shape
) -> None:
    graph = below(op, shape)
    part = predicted_by_node(graph, trained_nodes(graph))["layer"]
    output = op.out_shape(shape)
    spreads = isinstance(op, ConvTranspose2d)
    _, _, padding, _ = op.window
    assert not isinstance(padding, str)
    count, common, reached = products(op, *((output, shape) if spreads else (shape, output)), padding)
    channels = shape[0] * output[0] // op.groups
    found, other = part.input_difference, part.forward_difference
    if spreads:
        found, other = other, found
    assert part.forward.mult_adds == channels * count
    assert found == Difference(channels * (count - common), channels * (reached - common))
    assert other == Difference()


@pytest.mark.usefixtures("uncompiled")
def test_a_map_of_one_pixel_is_spread_without_a_border() -> None:
    graph = below(Conv2d(4, 3, padding=1), (2, 2, 1))
    graph_of_pixel = below(Conv2d(4, 3, padding=1), (2, 1, 1))
    for each in (graph, graph_of_pixel):
        found = executed_by_node(built(each))["layer"]
        assert found == predicted_by_node(each, trained_nodes(each))["layer"].expected
    assert predicted_by_node(graph, trained_nodes(graph))["layer"].input_difference.border > 0
    pixel = predicted_by_node(graph_of_pixel, trained_nodes(graph_of_pixel))["layer"]
    assert pixel.input_difference == Difference(cropped=8 * 8, border=0)


def test_a_frozen_normalisation_runs_as_in_inference() -> None:
    net = Builder("normal")
    x = net(BatchNorm2d(), net(Conv2d(4, 1), net.input((2, 3, 3)), name="conv"), name="norm")
    graph = net.build(net(Linear(2), net(Flatten(), x, name="flatten"), name="fc"))
    everything, frozen = (predicted(graph, trained_nodes(graph, freeze)) for freeze in ([], ["norm"]))
    assert everything.forward.flops - frozen.forward.flops == 36 * (8 - 2)


@pytest.mark.usefixtures("uncompiled")
def test_auxiliary_heads_are_computed_and_not_taken_back() -> None:
    graph = load("googlenet", input_size=(3, 96, 96), aux=True)
    assert len(graph.outputs) == 3
    part = predicted_by_node(graph, trained_nodes(graph))
    heads = [name for name in part if name.startswith("aux")]
    assert sum(part[name].forward.mult_adds for name in heads) > 0
    assert not any(part[name].to_weights.flops or part[name].to_inputs.flops for name in heads)
    assert account(built(graph), "sgd").agrees
