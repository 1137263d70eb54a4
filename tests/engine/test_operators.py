"""Operators on tensors of any number of axes through a whole network: values against the loops, gradients too.

Every input of an operator is an input of the network times a learned tensor, so that gradients to it are checked
against finite differences as those of its own parameters are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost import Network, ops
from archcost.build import Builder
from archcost.engine.executed import executed_by_node
from archcost.engine.gradient_check import check_gradients
from archcost.geometry import Shape, product
from archcost.graph import Graph
from archcost.ops import Op
from archcost.reference.execution import execute
from tests.engine.built import built, compile_nothing

Array = np.ndarray[Any, Any]

POSITIVE = (ops.Pow, ops.Log, ops.Sqrt, ops.Div)
"""Operators whose inputs are kept above 0."""

CASES: list[tuple[Op, list[Shape]]] = [
    (ops.Transpose((1, 0)), [(5, 7)]),
    (ops.Transpose((2, 0, 3, 1)), [(2, 3, 4, 5)]),
    (ops.Transpose((1, 2, 0)), [(3, 4, 5)]),
    (ops.Transpose((0, 2, 1)), [(3, 4, 5)]),
    (ops.Reshape((2, -1)), [(3, 4, 6)]),
    (ops.Reshape((3, 4, 6)), [(12, 6)]),
    (ops.Flatten(), [(3, 4, 2, 2)]),
    (ops.Slice(1, -1, None, -2), [(5, 7)]),
    (ops.Slice(0, -1, None, -1), [(5, 7, 3)]),
    (ops.Gather(0, (0, 2, 2, -1), (2, 2)), [(5, 7)]),
    (ops.Gather(1, (1,)), [(3, 4, 5)]),
    (ops.Gather(-1, (4, 0, 4), (3,)), [(3, 4, 5)]),
    (ops.Expand((3, 4, 5)), [(4, 1)]),
    (ops.Expand((3, 20, 5)), [(3, 1, 5)]),
    (ops.DepthToSpace(2), [(8, 3, 4)]),
    (ops.DepthToSpace(2, "CRD"), [(8, 3, 4)]),
    (ops.SpaceToDepth(2), [(3, 4, 6)]),
    (ops.Resize((6, 7)), [(3, 4, 5)]),
    (ops.Resize((6, 7), "linear"), [(20, 4, 5)]),
    (ops.Resize((4, 9), "linear", "align_corners"), [(3, 4, 2, 5)]),
    (ops.Concat(1), [(3, 4), (3, 2)]),
    (ops.Concat(0), [(3, 4, 2, 2), (1, 4, 2, 2)]),
    (ops.Split((1, 3), 1, 1), [(2, 4)]),
    (ops.Pad(((1, 2), (0, -1)), value=1.5), [(3, 4)]),
    (ops.Pad(((1, 2), (1, 0)), "reflect"), [(3, 4)]),
    (ops.Pad(((1, 20), (2, 0)), "edge"), [(3, 4)]),
    (ops.Add(), [(2, 3), (1, 3)]),
    (ops.Mul(), [(2, 3, 4, 5), (1, 3, 1, 5)]),
    (ops.Sub(), [(3, 4, 5), (3, 1, 1)]),
    (ops.Sub(), [(1, 4), (3, 4)]),
    (ops.Div(), [(3, 4, 5), (1, 4, 5)]),
    (ops.Pow(), [(7,), (7,)]),
    (ops.Minimum(), [(3, 4), (3, 1), (1, 4)]),
    (ops.Maximum(), [(3, 4, 5), (3, 4, 5)]),
    (ops.Mean(), [(3, 4), (3, 4), (1, 1)]),
    (ops.MatMul(), [(3, 4), (4, 5)]),
    (ops.MatMul(), [(2, 70, 4), (1, 4, 5)]),
    (ops.MatMul(), [(1, 3, 4), (6, 4, 5)]),
    (ops.MatMul(), [(2, 1, 3, 7), (1, 5, 7, 3)]),
    (ops.ReduceMean((0,)), [(4, 5)]),
    (ops.ReduceMean((1, 2), keep_axes=False), [(3, 4, 5)]),
    (ops.ReduceSum((0, 1), keep_axes=False), [(3, 4)]),
    (ops.ReduceMax((-1,)), [(3, 4, 5)]),
    (ops.ReduceMin((0, 2), keep_axes=False), [(3, 4, 5, 2)]),
    (ops.GlobalMaxPool(), [(3, 4, 5)]),
    (ops.GlobalMaxPool(), [(3, 4)]),
    (ops.GlobalAvgPool(), [(3, 4, 5, 2)]),
    (ops.LpPool2d(2, 2), [(3, 4, 5)]),
    (ops.LpPool2d(3, 1, 1, p=3), [(3, 4, 5)]),
    (ops.InstanceNorm(), [(3, 4, 5)]),
    (ops.InstanceNorm(), [(3, 7)]),
    (ops.LayerNorm(), [(3, 7)]),
    (ops.LayerNorm(), [(3, 16)]),
    (ops.LayerNorm(), [(3, 4, 5)]),
    (ops.LayerNorm(affine=False, normalized_axes=3), [(3, 4, 5)]),
    (ops.LayerNorm(normalized_axes=2), [(3, 4, 5)]),
    (ops.Scale(-1), [(3, 7)]),
    (ops.Scale(0), [(3, 4, 5, 2)]),
    (ops.PReLU(), [(3, 4, 5)]),
    (ops.PReLU(), [(3, 4)]),
    (ops.PReLU(shared=True), [(3, 4, 5)]),
    (ops.Softmax(), [(3, 7)]),
    (ops.Softmax(), [(3, 16)]),
    (ops.Softmax(1), [(3, 4, 2, 2)]),
    (ops.LogSoftmax(), [(21,)]),
    (ops.LogSoftmax(0), [(3, 4, 5)]),
    (ops.Linear(5), [(3, 7)]),
    (ops.Linear(16), [(3, 16)]),
    (ops.Linear(5), [(3, 4, 7)]),
    (ops.Linear(5), [(2, 3, 2, 7)]),
    (ops.Neg(), [(3, 4)]),
]


def around(op: Op, shapes: list[Shape], *, rows: bool = False) -> Graph:
    """Return a network of the operator, each input an input of the network times a learned tensor.

    With ``rows`` the network's inputs have two axes: behind a reshape, no tensor of three axes needs to be a map.
    """
    net = Builder("around")
    scaled = []
    for number, shape in enumerate(shapes):
        learned = net(ops.Parameter(shape), name=f"factor{number}")
        x = net.input((shape[0], product(shape[1:])) if rows else shape, name=f"x{number}")
        x = net(ops.Reshape(shape), x, name=f"shaped{number}") if rows else x
        scaled.append(net(ops.Mul(), x, learned, name=f"product{number}"))
    return net.build(net(ops.Flatten(), net(op, *scaled, name="operator"), name="logits"))


def ready(
    op: Op, shapes: list[Shape], precision: Any = "float64", threads: int = 2, *, rows: bool = False
) -> tuple[Network, list[Array]]:
    """Return the network with parameters away from 0 and 1, and inputs for two images."""
    generator = np.random.default_rng(len(shapes) + product(shapes[0]))
    network = Network(around(op, shapes, rows=rows), precision=precision, threads=threads)
    positive = isinstance(op, POSITIVE)

    def drawn(shape: Shape) -> Array:
        values = generator.normal(size=shape)
        return (np.abs(values) + 0.3 if positive else values).astype(precision)

    for array in network.parameters.values():
        array[...] = drawn(array.shape)
    network.parameters.touch()
    return network, [drawn((2, *network.graph.shapes[node.name])) for node in network.graph.inputs]


def given_inputs(arrays: list[Array]) -> Any:
    """Return the inputs as a network takes them."""
    return arrays[0] if len(arrays) == 1 else arrays


def by_loops(network: Network, arrays: list[Array]) -> Array:
    """Return what the naive loops compute."""
    named = {node.name: values for node, values in zip(network.graph.inputs, arrays)}
    done = execute(network.graph, dict(network.parameters), dict(network.buffers), named, keep=["logits"])
    return done.values["logits"]


@pytest.mark.parametrize(("op", "shapes"), CASES, ids=lambda value: repr(value)[:60])
def test_values_and_gradients(op: Op, shapes: list[Shape]) -> None:
    compare(*ready(op, shapes))


@pytest.mark.parametrize(
    ("op", "shapes"), [case for case in CASES if len(case[1][0]) == 3], ids=lambda value: repr(value)[:60]
)
def test_three_axes_that_are_no_map(op: Op, shapes: list[Shape]) -> None:
    compare(*ready(op, shapes, rows=True))


def compare(network: Network, arrays: list[Array]) -> None:
    """Compare the outputs with the loops' and the gradients with finite differences."""
    found, wanted = network(given_inputs(arrays)), by_loops(network, arrays)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13 * max(1.0, float(np.abs(wanted).max())))
    labels = np.array([0, wanted.shape[1] - 1])
    check = check_gradients(network, given_inputs(arrays), labels, directions=2)
    assert check.holds, check


@pytest.mark.parametrize(
    ("op", "shapes"),
    [
        (ops.Transpose((1, 0)), [(130, 70)]),
        (ops.MatMul(), [(3, 70, 20), (1, 20, 33)]),
        (ops.Softmax(0), [(40, 90)]),
        (ops.LayerNorm(), [(70, 45)]),
        (ops.Resize((20, 19), "linear"), [(20, 9, 11)]),
        (ops.Mul(), [(40, 50), (1, 50)]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_threads_change_nothing_and_float32_agrees(op: Op, shapes: list[Shape]) -> None:
    results = []
    for threads in (1, 2, 3):
        network, arrays = ready(op, shapes, "float32", threads)
        output = network(given_inputs(arrays))
        loss, gradients = network.loss_and_gradients(given_inputs(arrays), np.array([0, 3]))
        results.append((output, loss, gradients))
    for output, loss, gradients in results[1:]:
        np.testing.assert_array_equal(output, results[0][0])
        assert loss == results[0][1]
        for name, gradient in gradients.items():
            np.testing.assert_array_equal(gradient, results[0][2][name])
    wanted = by_loops(network, arrays)
    np.testing.assert_allclose(results[0][0], wanted, rtol=0, atol=1e-5 * float(np.abs(wanted).max()))


@st.composite
def moves(draw: st.DrawFn) -> tuple[Op, Shape]:
    """Draw an operator that moves elements, and a shape of one to five axes."""
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    kind = draw(st.sampled_from(["transpose", "slice", "gather", "pad", "expand"]))
    size = shape[axis]
    if kind == "transpose":
        return ops.Transpose(tuple(draw(st.permutations(range(len(shape)))))), shape
    if kind == "slice":
        start = draw(st.integers(0, size - 1))
        return (ops.Slice(axis, start, None, draw(st.sampled_from([-2, -1, 1, 2])))), shape
    if kind == "gather":
        indices = draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=4).map(tuple))
        return ops.Gather(axis, indices, draw(st.sampled_from([(len(indices),), (1, len(indices))]))), shape
    if kind == "pad":
        pads = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=len(shape), max_size=len(shape)))
        return ops.Pad(tuple(pads), draw(st.sampled_from(["constant", "edge"])), 0.5), shape
    front = draw(st.lists(st.integers(1, 3), max_size=1))
    return ops.Expand((*front, *(draw(st.integers(2, 3)) if one == 1 else one for one in shape))), shape


@settings(max_examples=40)
@given(case=moves())
def test_generated_moves(case: tuple[Op, Shape]) -> None:
    op, shape = case
    network, arrays = ready(op, [shape])
    np.testing.assert_allclose(network(arrays[0]), by_loops(network, arrays), rtol=1e-12, atol=1e-12)
    if network.graph.shapes["logits"][0] > 1:
        assert check_gradients(network, arrays[0], np.array([0, 1]), directions=1).holds


def test_a_stored_tensor_is_the_same_for_every_image() -> None:
    net = Builder("stored")
    total = net(ops.Add(), net.input((2, 3), name="x"), net(ops.Constant((2, 3)), name="table"), name="sum")
    network = Network(net.build(total))
    network.buffers["table.value"][...] = np.arange(6).reshape(2, 3)
    network.buffers.touch()
    x = np.ones((3, 2, 3), np.float32)
    np.testing.assert_array_equal(network(x), x + np.arange(6).reshape(2, 3))


def test_an_output_with_the_channels_last_has_the_order_of_the_graph() -> None:
    net = Builder("last")
    turned = net(ops.Transpose((1, 2, 0)), net.input((3, 4, 5), name="x"), name="turned")
    network = Network(net.build(net(ops.ReLU(), turned, name="relu")))
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(network(x), np.maximum(x.transpose(0, 2, 3, 1), 0))


def test_a_convolution_behind_a_transposition_reads_the_graphs_channels() -> None:
    net = Builder("turned")
    turned = net(ops.Transpose((1, 2, 0)), net.input((3, 4, 5), name="x"), name="turned")
    other = net(ops.Conv2d(2, 3, padding=1), net(ops.ReLU(), turned, name="relu"), name="conv")
    network = Network(net.build(net(ops.Flatten(), other, name="logits")), precision="float64")
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(network(x), by_loops(network, [x]), rtol=0, atol=1e-13)
    assert check_gradients(network, x, np.array([0, 1])).holds


def test_a_channels_last_tensor_is_added_to_a_convolution() -> None:
    net = Builder("residual")
    x = net.input((3, 4, 5), name="x")
    turned = net(ops.Transpose((1, 2, 0)), x, name="turned")
    other = net(ops.Conv2d(4, 1), net(ops.Reshape((4, 5, 3)), x, name="cut"), name="conv")
    total = net(ops.ReLU(), net(ops.Add(), other, turned, name="sum"), name="relu")
    network = Network(net.build(net(ops.Flatten(), total, name="logits")), precision="float64")
    data = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(network(data), by_loops(network, [data]), rtol=0, atol=1e-13)
    assert check_gradients(network, data, np.array([0, 1])).holds


def test_tensors_of_two_orders_of_axes_are_added() -> None:
    net = Builder("orders")
    turned = net(ops.Transpose((1, 2, 0)), net.input((3, 4, 5), name="x"), name="turned")
    learned = net(ops.Parameter((4, 5, 3)), name="learned")
    joined = net(ops.Concat(2), net(ops.Add(), turned, learned, name="sum"), learned, name="joined")
    network = Network(net.build(net(ops.Flatten(), joined, name="logits")), precision="float64")
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(network(x), by_loops(network, [x]), rtol=0, atol=1e-13)
    assert check_gradients(network, x, np.array([0, 1])).holds


@pytest.mark.parametrize(
    "op", [ops.LeakyReLU(0.1), ops.Clip(high=0.75), ops.ELU(0.5), ops.HardSigmoid(0.2, 0.5), ops.Mish()], ids=repr
)
def test_activations_are_fused_with_their_numbers(op: Op) -> None:
    net = Builder("fused")
    x = net(ops.Linear(20), net.input((7,), name="x"), name="dense")
    network = Network(net.build(net(op, x, name="logits")), precision="float64")
    assert [name for name, _ in network.inference_steps(2)[1] if name == "logits"] in ([], ["logits"])
    assert len([step for step in network.inference_steps(2)[0].steps if step.name == "dense"]) == 1
    data = np.random.default_rng(0).normal(size=(2, 7))
    np.testing.assert_allclose(network(data), by_loops(network, [data]), rtol=0, atol=1e-13)


def test_a_dense_layer_on_rows_is_fused_with_a_sum_and_an_activation() -> None:
    net = Builder("rows")
    x = net.input((3, 10), name="x")
    hidden = net(ops.GELU(), net(ops.Linear(16), x, name="first"), name="gelu")
    total = net(ops.Add(), net(ops.Linear(10), hidden, name="second"), x, name="sum")
    network = Network(net.build(net(ops.Flatten(), total, name="logits")), precision="float64")
    data = np.random.default_rng(0).normal(size=(2, 3, 10))
    np.testing.assert_allclose(network(data), by_loops(network, [data]), rtol=0, atol=1e-13)
    assert check_gradients(network, data, np.array([0, 1])).holds


@pytest.mark.parametrize(
    ("op", "shapes"),
    [(ops.MatMul(), [(2, 5, 4), (1, 4, 3)]), (ops.Linear(5), [(2, 3, 7)]), (ops.Linear(16), [(3, 4, 2, 16)])],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_executed_is_what_is_counted(op: Op, shapes: list[Shape]) -> None:
    graph = around(op, shapes)
    with pytest.MonkeyPatch.context() as patch:
        compile_nothing(patch)
        counted = executed_by_node(built(graph, images=3))["operator"]
    products = 3 * op.cost(*shapes).mult_adds
    assert counted.forward == products
    assert counted.to_inputs + counted.to_weights == 2 * products
