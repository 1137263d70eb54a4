"""Multiply-adds of programs: counted from the steps, against the graph, plain counting, and sums of ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from archcost.build import Builder
from archcost.engine.executed import Executed, executed, executed_by_node
from archcost.engine.lowering import Lowered
from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.errors import OperatorError
from archcost.geometry import Shape, Sides, pair, resolve
from archcost.graph import Graph
from archcost.kernels.layers import gradient_halo, input_halo
from archcost.kernels.layout import Blocked
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.step import Step
from archcost.kernels.table import KERNELS
from archcost.kernels.target import TARGETS
from archcost.ops import (
    Conv2d,
    ConvTranspose2d,
    Flatten,
    Linear,
    Op,
    PartialConv2d,
    ReLU,
)
from tests.engine.built import IMAGES, SMALL, built, compile_nothing, counts, setting_of, small, trained_nodes

NONE: Sides = ((0, 0), (0, 0))


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)


@pytest.mark.parametrize("name", SMALL)
def test_every_layer_executes_its_mult_adds_forward_and_for_its_weights(name: str) -> None:
    graph = small(name)
    found_by_node = counts(name)
    for node in graph:
        wanted = IMAGES * gathered_count(node.op, graph.input_shapes(node), graph.shapes[node.name])
        found = found_by_node.get(node.name, Executed(0, 0, 0))
        assert (found.forward, found.to_weights) == (wanted, wanted), node.name
    assert sum(one.forward for one in found_by_node.values()) > 0


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_inference_executes_the_mult_adds_of_the_graph(name: str) -> None:
    graph = small(name)
    program = Program(Lowered(graph, 2, setting_of(graph), training=False).forward)
    assert program.mult_adds == 2 * sum(node.op.cost(*graph.input_shapes(node)).mult_adds for node in graph)


@pytest.mark.usefixtures("uncompiled")
def test_a_program_counts_all_of_its_steps() -> None:
    training = built(small("lenet"), images=2)
    assert training.program.mult_adds == executed(training).total > 0


def freezing() -> Graph:
    """Return three convolutions, of which the middle one is read by two, and a dense layer."""
    net = Builder("freezing")
    x = net.input((3, 6, 6))
    for number in range(3):
        with net.scope("features"):
            x = net(ReLU(), net(Conv2d(4, 3, padding=1), x, name=f"conv{number}"), name=f"relu{number}")
    return net.build(net(Linear(5), net(Flatten(), x, name="flatten"), name="head"))


@pytest.mark.usefixtures("uncompiled")
def test_with_all_but_the_head_frozen_only_the_gradient_of_its_weights_is_executed() -> None:
    training = built(freezing(), images=2, freeze=["features"])
    one = 36 * 9 * 4
    forward = 2 * (one * 3 + 2 * one * 4 + 144 * 5)
    assert executed(training) == Executed(forward, 0, 2 * 144 * 5)
    assert {step.name for step in training.backward} == {"head"}


@pytest.mark.usefixtures("uncompiled")
def test_nothing_below_the_lowest_trained_layer_is_taken_back() -> None:
    found = executed_by_node(built(freezing(), freeze=["features.conv0"]))
    one = 36 * 9 * 4
    assert found["features.conv0"] == Executed(one * 3, 0, 0)
    assert found["features.conv1"] == Executed(one * 4, 0, one * 4)
    assert found["features.conv2"] == Executed(one * 4, one * 4, one * 4)
    assert found["head"] == Executed(720, 720, 720)


@pytest.mark.usefixtures("uncompiled")
def test_a_frozen_layer_passes_the_gradient_on_and_has_none_of_its_own() -> None:
    found = executed_by_node(built(freezing(), freeze=["features.conv[12]"]))
    assert [found[f"features.conv{number}"].to_weights > 0 for number in range(3)] == [True, False, False]
    assert [found[f"features.conv{number}"].to_inputs > 0 for number in range(3)] == [False, True, True]


@pytest.mark.usefixtures("uncompiled")
def test_freezing_everything_below_the_head_of_a_large_network_leaves_the_head() -> None:
    graph = small("resnet18")
    others = sorted(name for name in trained_nodes(graph) if name != "fc")
    found = executed(built(graph, freeze=others))
    assert (found.to_inputs, found.to_weights) == (0, 512 * 1000)


# Plain counting: every pair of a position and a tap, and every pair of connected channels, one by one.


def connections(op: Op, inputs: int, outputs: int) -> int:
    """Return how many pairs of an input and an output channel are connected."""
    if isinstance(op, PartialConv2d):
        return sum(1 for seen in op.connections for _ in seen)
    assert isinstance(op, Conv2d | ConvTranspose2d)
    return sum(
        1 for i in range(inputs) for o in range(outputs) if i // (inputs // op.groups) == o // (outputs // op.groups)
    )


def spread_pairs(op: Op, source: Shape, larger: Shape, smaller: Shape) -> Iterator[tuple[bool, bool]]:
    """Yield for each position of the larger map and each tap that the stride allows whether the tap, by rows and by
    columns, leads to an element of the smaller map.
    """
    if isinstance(op, PartialConv2d):
        kernel, stride, padding, dilation = pair("", op.kernel_size), (1, 1), NONE, (1, 1)
    else:
        assert isinstance(op, Conv2d | ConvTranspose2d)
        kernel, stride, edges, dilation = op.window
        padding = resolve(edges, source[1:], kernel, stride, dilation)
    for place in np.ndindex(*larger[1:]):
        for tap in np.ndindex(*kernel):
            offsets = [place[axis] + padding[axis][0] - tap[axis] * dilation[axis] for axis in (0, 1)]
            if all(offset % step == 0 for offset, step in zip(offsets, stride)):
                elements = [offset // step for offset, step in zip(offsets, stride)]
                rows, columns = (0 <= element < size for element, size in zip(elements, smaller[1:]))
                yield rows, columns


def spread_count(op: Op, source: Shape, output: Shape) -> int:
    """Return the multiply-adds that spreading the smaller map over the larger one takes, by the rule."""
    larger, smaller = (output, source) if isinstance(op, ConvTranspose2d) else (source, output)
    pairs = list(spread_pairs(op, source, larger, smaller))
    depthwise = not isinstance(op, PartialConv2d) and getattr(op, "groups", 1) == source[0] == output[0]
    if smaller[1:] == (1, 1) and not depthwise:
        pairs = [(rows, columns) for rows, columns in pairs if rows and columns]
    return len(pairs) * connections(op, source[0], output[0])


def reaching(op: Op, source: Shape, output: Shape, axis: int) -> tuple[int, int]:
    """Return the taps of an axis between the first and the last that reach the larger map, and all taps."""
    assert isinstance(op, Conv2d | ConvTranspose2d)
    larger, smaller = (output, source) if isinstance(op, ConvTranspose2d) else (source, output)
    kernel, stride, dilation = (values[axis] for values in (op.window[0], op.window[1], op.window[3]))
    before = resolve(op.window[2], source[1:], *op.window[:2], op.window[3])[axis][0]
    found = {
        tap
        for tap in range(kernel)
        for place in range(smaller[1 + axis])
        if place * stride + tap * dilation - before in range(larger[1 + axis])
    }
    return (max(found) - min(found) + 1 if found else 1), kernel


def gathered_count(op: Op, sources: Sequence[Shape], output: Shape) -> int:
    """Return the multiply-adds from the larger map to the smaller one: all, but for taps on the border alone."""
    count = op.cost(*sources).mult_adds
    if not isinstance(op, Conv2d | ConvTranspose2d) or op.groups == sources[0][0] == output[0]:
        return count
    for axis in (0, 1):
        live, taps = reaching(op, sources[0], output, axis)
        count = count // taps * live
    return count


edge = st.integers(0, 3)
sides = st.tuples(st.tuples(edge, edge), st.tuples(edge, edge))
two = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def layers(draw: st.DrawFn) -> tuple[Op, Shape]:
    """Return a layer that multiplies and an input that it takes; groups that share a block of channels among them."""
    size = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    kind = draw(st.sampled_from(["conv", "conv", "conv", "transposed", "partial"]))
    if kind == "partial":
        channels = draw(st.integers(1, 18))
        seen = st.sets(st.integers(0, channels - 1), min_size=1).map(tuple)
        kernel = draw(st.integers(1, min(size))), draw(st.integers(1, min(size)))
        return PartialConv2d(tuple(draw(st.lists(seen, min_size=1, max_size=18))), kernel), (channels, *size)
    groups = draw(st.sampled_from([1, 1, 2, 3, 16, 18]))
    inputs, outputs = (groups * draw(st.integers(1, 1 if groups > 3 else 17)) for _ in range(2))
    kernel, stride, padding, dilation = draw(two), draw(two), draw(sides), draw(two)
    make = Conv2d if kind == "conv" else ConvTranspose2d
    op = make(outputs, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups)
    try:
        op.out_shape((inputs, *size))
    except OperatorError:
        reject()  # the window does not fit
    return op, (inputs, *size)


class Built:
    """The steps of one layer on tensors whose borders the kernels asked for."""

    def __init__(self, op: Op, shape: Shape, target: str, images: int = 2) -> None:
        self.op, self.output_shape = op, op.out_shape(shape)
        machine = TARGETS[target]
        lanes = machine.lanes("float64")
        output = self.output_shape
        self.parameters = {name: np.ones(size) for name, size in op.params(shape).items() if name == "weight"}

        def tensor(size: Shape, halo: Sides) -> Blocked:
            made = Blocked.make(images, size, halo, lanes, "float64")
            channels = np.arange(made.memory.shape[1] * lanes).reshape(-1, lanes)
            made.memory[...] = (channels < size[0])[None, :, None, None, :]  # ones, the border too
            return made

        self.input = tensor(shape, input_halo(op, shape, output))
        self.output = tensor(output, NONE)
        self.operation = Operation(
            op, (self.input,), self.output, (shape,), output, self.parameters, {}, machine, "float64", training=True
        )
        self.gradient = tensor(output, gradient_halo(op, shape, output))
        self.target = tensor(shape, NONE)
        self.to_weights = {name: np.zeros_like(array) for name, array in self.parameters.items()}

    def forward(self) -> list[Step]:
        return KERNELS[type(self.op)].forward(self.operation)

    def backward(self, *, adds: bool = False) -> list[Step]:
        asked = Gradient(self.operation, self.gradient, (self.target,), (adds,), self.to_weights)
        return KERNELS[type(self.op)].backward(asked)


@given(layers(), st.sampled_from(sorted(TARGETS)), st.booleans())
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.usefixtures("uncompiled")
def test_layers_execute_what_plain_counting_says(case: tuple[Op, Shape], target: str, adds: bool) -> None:
    op, shape = case
    one = Built(op, shape, target)
    gathered = 2 * gathered_count(op, [shape], one.output_shape)
    spread = 2 * spread_count(op, shape, one.output_shape)
    forward, backward = one.forward(), one.backward(adds=adds)
    to_inputs = sum(step.mult_adds for step in backward if not step.for_weights)
    is_spread = isinstance(op, ConvTranspose2d)
    assert sum(step.mult_adds for step in forward) == (spread if is_spread else gathered)
    assert to_inputs == (gathered if is_spread else spread)
    assert sum(step.mult_adds for step in backward if step.for_weights) == gathered


ONES: list[tuple[Op, Shape]] = [
    (Conv2d(9, (2, 3), stride=(1, 2), padding=((1, 0), (2, 1)), groups=3), (6, 4, 6)),
    (Conv2d(5, 1, stride=2), (4, 4, 4)),
    (Conv2d(5, (1, 3), stride=(1, 2), padding=1, groups=5), (5, 2, 6)),
    (Conv2d(5, 3, padding=1), (4, 1, 1)),
    (Conv2d(5, 2, stride=3), (4, 4, 4)),
    (ConvTranspose2d(6, 2, stride=(2, 1), padding=1, dilation=(1, 2)), (4, 4, 3)),
    (PartialConv2d(((0, 1), (2,), (0, 1, 2)), 2), (3, 4, 4)),
]


@pytest.mark.parametrize(
    ("op", "shape"), ONES, ids=lambda value: value.label((9, 9, 9)) if isinstance(value, Op) else ""
)
def test_sums_of_ones_are_the_multiply_adds_that_were_executed(op: Op, shape: Shape) -> None:
    """Where every factor is 1, the taps on the border too, a sum counts the products that went into it."""
    one, threads = Built(op, shape, "avx2"), team(1)
    forward, backward = one.forward(), one.backward()
    Program(forward).run(threads)
    assert one.output.read().sum() == Program(forward).mult_adds > 0
    Program(backward).run(threads)
    to_inputs = Program([step for step in backward if not step.for_weights]).mult_adds
    assert one.target.read().sum() == to_inputs > 0
    assert one.to_weights["weight"].sum() == Program(backward).mult_adds - to_inputs > 0


def test_a_step_that_is_renamed_keeps_its_count() -> None:
    step = replace(Step(0, (), mult_adds=5, for_weights=True), name="conv")
    assert (step.name, step.mult_adds, step.for_weights) == ("conv", 5, True)
