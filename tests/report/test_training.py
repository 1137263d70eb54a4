"""The backward pass: what it reaches, what it costs, what it keeps."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given

from archcost.build import Builder, Sequential
from archcost.graph import Graph
from archcost.ops import (
    Add,
    BatchNorm2d,
    Conv2d,
    DropPath,
    GlobalAvgPool,
    Linear,
    Mul,
    Op,
    ReLU,
    Sigmoid,
    SiLU,
)
from archcost.patterns import frozen_nodes
from archcost.report.rows import rows_of, total
from archcost.report.training import backward_pass, saved_activation_bytes
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import catalogue_graph
from tests.report.generated import graphs, plain_network


def reached(start: Iterable[str], edges: dict[str, list[str]]) -> set[str]:
    """Follow ``edges`` from ``start`` until nothing new is found."""
    found, waiting = set(start), list(start)
    while waiting:
        for name in edges.get(waiting.pop(), []):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def expected_mult_adds(graph: Graph, frozen: Iterable[str] = ()) -> tuple[int, int]:
    """Mult-adds of the gradients to inputs and to weights, by walking the graph down from weights and up from outputs.

    Each product of a convolution or dense layer is done again once for each of the two gradients that is wanted.
    """
    readers: dict[str, list[str]] = {}
    for node in graph:
        for name in node.inputs:
            readers.setdefault(name, []).append(node.name)
    trained = {node.name for node in graph if graph.params(node)} - set(frozen)
    below = reached(trained, readers)
    above = reached(graph.outputs, {node.name: list(node.inputs) for node in graph})
    to_inputs = to_weights = 0
    for node in graph:
        if node.name not in above:
            continue
        products = node.op.cost(*graph.input_shapes(node)).mult_adds
        to_inputs += products * sum(name in below for name in node.inputs)
        to_weights += products if node.name in trained else 0
    return to_inputs, to_weights


def check(graph: Graph, frozen: frozenset[str] = frozenset()) -> dict[str, int]:
    sums = total(rows_of(graph, frozen, train=True))
    found = (sums["input_gradient_mult_adds"], sums["weight_gradient_mult_adds"])
    assert found == expected_mult_adds(graph, frozen)
    return sums


@pytest.mark.parametrize("name", CATALOGUE)
def test_backward_mult_adds_of_the_catalogue(name: str) -> None:
    check(catalogue_graph(name))


@given(graphs())
def test_backward_mult_adds_of_any_graph(graph: Graph) -> None:
    check(graph)
    owners = [node.name for node in graph if graph.params(node) and node.shares is None]
    check(graph, frozen_nodes(graph, owners[: len(owners) // 2]))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "googlenet", "convnext_tiny"])
def test_all_weight_gradients_together_repeat_the_forward_pass(name: str) -> None:
    graph = catalogue_graph(name)
    sums = check(graph)
    first = next(row for row in rows_of(graph) if row.mult_adds)
    assert sums["weight_gradient_mult_adds"] == sums["mult_adds"]
    assert sums["input_gradient_mult_adds"] == sums["mult_adds"] - first.mult_adds


def test_first_layer_has_no_gradient_to_its_input() -> None:
    graph = catalogue_graph("resnet50")
    rows = {row.name: row for row in rows_of(graph, train=True)}
    assert (rows["conv1"].input_gradient_flops, rows["conv1"].input_gradient_mult_adds) == (0, 0)
    assert rows["conv1"].weight_gradient_mult_adds == rows["conv1"].mult_adds == 118_013_952
    assert rows["layer1.0.conv1"].input_gradient_mult_adds == rows["layer1.0.conv1"].mult_adds


def test_normalised_input_is_not_the_first_layer_with_a_gradient() -> None:
    graph = Sequential([ReLU(), BatchNorm2d(), Conv2d(2, 1)], (3, 2, 2))
    relu, norm, conv = backward_pass(graph)[1:]
    assert relu.to_inputs.flops == norm.to_inputs.flops == 0
    assert conv.to_inputs.mult_adds == 24


def test_frozen_layer_passes_the_gradient_on_and_has_none_of_its_own() -> None:
    graph = Sequential({"a": Conv2d(4, 1), "b": Conv2d(4, 1), "c": Conv2d(4, 1)}, (4, 2, 2))
    rows = {row.name: row for row in rows_of(graph, frozen_nodes(graph, ["b"]), train=True)}
    assert (rows["b"].weight_gradient_mult_adds, rows["b"].weight_gradient_flops) == (0, 0)
    assert rows["b"].input_gradient_mult_adds == rows["c"].input_gradient_mult_adds == 64
    assert rows["a"].weight_gradient_mult_adds == 64


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "seresnet50", "resnext50_32x4d"])
def test_only_the_classifier_is_trained(name: str) -> None:
    graph = catalogue_graph(name)
    frozen = frozen_nodes(graph, ["conv1", "bn1", "layer*"])
    sums = check(graph, frozen)
    width = graph.input_shapes(graph.node("fc"))[0][0]
    assert sums["params_trainable"] == 1000 * width + 1000
    assert sums["weight_gradient_mult_adds"] == 1000 * width
    assert sums["input_gradient_flops"] == 0


def test_nothing_below_the_lowest_trained_layer_is_back_propagated() -> None:
    graph = catalogue_graph("resnet18")
    rows = rows_of(graph, frozen_nodes(graph, ["conv1", "bn1", "layer[123]"]), train=True)
    working = {row.name.split(".")[0] for row in rows if row.input_gradient_flops or row.weight_gradient_flops}
    assert working == {"layer4", "avgpool", "fc"}
    inputs = [row.name for row in rows if row.input_gradient_flops]
    assert "layer4.0.conv1" not in inputs
    assert "layer4.0.downsample.0" not in inputs


def test_everything_frozen_costs_nothing_and_keeps_nothing() -> None:
    graph = catalogue_graph("resnet18")
    frozen = frozen_nodes(graph, ["*"])
    sums = check(graph, frozen)
    assert sums["params_trainable"] == 0
    assert {sums[column] for column in sums if "gradient" in column} == {0}
    assert saved_activation_bytes(graph, backward_pass(graph, frozen), 4) == 0


def test_branch_that_no_output_reads_is_not_back_propagated() -> None:
    net = Builder()
    x = net(Conv2d(4, 1), net.input((4, 2, 2)), name="used")
    net(Conv2d(4, 1), x, name="unused")
    graph = net.build(x)
    assert check(graph)["weight_gradient_mult_adds"] == 64


def test_shared_layer_is_frozen_with_its_owner() -> None:
    net = Builder()
    owner = net(Conv2d(4, 1), net.input((4, 2, 2)), name="owner")
    graph = net.build(net(Conv2d(4, 1), owner, name="copy", shares=owner))
    assert frozen_nodes(graph, ["owner"]) == {"owner", "copy"}
    assert check(graph, frozenset({"owner", "copy"}))["input_gradient_mult_adds"] == 0
    assert check(graph)["weight_gradient_mult_adds"] == 128


def saved(graph: Graph, *freeze: str, element_bytes: int = 4) -> int:
    return saved_activation_bytes(graph, backward_pass(graph, frozen_nodes(graph, freeze)), element_bytes)


# conv keeps its input (3x8x8), norm its input (4x8x8), relu its output (4x8x8), fc the dropped 64 elements; the pooling
# keeps 64 positions of 4 bytes, the dropout a mask of 64 bytes.
PLAIN_ELEMENTS, PLAIN_EXTRA = 192 + 256 + 256 + 64, 256 + 64


@pytest.mark.parametrize(("element_bytes", "expected"), [(4, 3072 + 320), (2, 1536 + 320), (8, 6144 + 320)])
def test_saved_activations_by_hand(element_bytes: int, expected: int) -> None:
    assert expected == PLAIN_ELEMENTS * element_bytes + PLAIN_EXTRA
    assert saved(plain_network(), element_bytes=element_bytes) == expected


@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        pytest.param(["features"], 4 * 64, id="only the dense layer: its input, and no mask"),
        pytest.param(["features.conv"], 3392 - 4 * 192, id="a frozen first convolution keeps nothing"),
        pytest.param(["features.norm"], 3392 - 4 * 256, id="a frozen normalisation keeps nothing"),
        pytest.param(["head"], 3392 - 4 * 64, id="a frozen dense layer needs its weights alone"),
        pytest.param(["*"], 0, id="everything frozen"),
    ],
)
def test_saved_activations_of_a_partly_frozen_network(freeze: list[str], expected: int) -> None:
    assert saved(plain_network(), *freeze) == expected


def test_tensor_that_two_operators_keep_counts_once() -> None:
    net = Builder()
    x = net(Conv2d(2, 1), net.input((3, 4, 4)), name="conv1")  # keeps the input, 48
    x = net(ReLU(), x, name="relu")  # keeps its output, 32 ...
    left = net(Conv2d(5, 1), x, name="conv2")  # ... which this keeps as its input
    right = net(Conv2d(5, 1), x, name="conv3")  # ... and this
    assert saved(net.build(net(Add(), left, right))) == 4 * (48 + 32)


def test_gate_keeps_both_factors() -> None:
    net = Builder()
    x = net(Conv2d(4, 1), net.input((4, 3, 3)), name="conv")  # 36 in, 36 out
    gate = net(GlobalAvgPool(), x, name="pool")  # 4
    gate = net(Conv2d(4, 1), gate, name="dense")  # keeps the pooled 4
    gate = net(Sigmoid(), gate, name="gate")  # keeps its output, 4; the product keeps it and the map, 36
    graph = net.build(net(Mul(), x, gate, name="scale"))
    assert saved(graph) == 4 * (36 + 4 + 4 + 36)


@pytest.mark.parametrize(
    ("layer", "elements"),
    [
        pytest.param(SiLU(), 12, id="an activation that needs its input"),
        pytest.param(Sigmoid(), 12, id="an activation that needs its output"),
        pytest.param(DropPath(0.1), 0, id="a dropped path keeps one bit"),
        pytest.param(GlobalAvgPool(), 0, id="a mean needs nothing"),
    ],
)
def test_what_an_operator_behind_a_layer_keeps(layer: Op, elements: int) -> None:
    graph = Sequential([Conv2d(3, 1), layer], (5, 2, 2))
    assert saved(graph) == 4 * (20 + elements)


def test_frozen_normalisation_runs_as_in_inference() -> None:
    graph = plain_network()
    frozen = {row.name: row for row in rows_of(graph, frozen_nodes(graph, ["features.norm"]), train=True)}
    trained = {row.name: row for row in rows_of(graph, train=True)}
    norm = "features.norm"
    # 256 elements: 8 operations with batch statistics, 2 with running ones; backward 4 and 5, or one multiplication
    assert (trained[norm].train_flops, frozen[norm].train_flops) == (2048, 512)
    assert (trained[norm].input_gradient_flops, frozen[norm].input_gradient_flops) == (1024, 256)
    assert (trained[norm].weight_gradient_flops, frozen[norm].weight_gradient_flops) == (1280, 0)


def test_normalisation_without_parameters_still_uses_the_batch() -> None:
    graph = Sequential({"conv": Conv2d(2, 1), "norm": BatchNorm2d(affine=False)}, (3, 4, 4))
    norm = rows_of(graph, train=True)[1]
    # 32 elements: forward mean 1, variance 3, normalise 2; backward the two sums (5) and the three terms (4)
    assert norm.train_flops == 192
    assert norm.input_gradient_flops == 288
    assert saved(graph) == 4 * (48 + 32)


def test_dropout_multiplies_in_training() -> None:
    rows = {row.name: row for row in rows_of(plain_network(), train=True)}
    assert (rows["head.drop"].flops, rows["head.drop"].train_flops, rows["head.drop"].input_gradient_flops) == (
        0,
        64,
        64,
    )


def test_plain_network_backward_by_hand() -> None:
    rows = {row.name: row for row in rows_of(plain_network(), train=True)}
    # conv: its 6,912 products again, and 256 additions to the biases; fc: 640 to the input, 640 and 10 to the weights
    assert rows["features.conv"].weight_gradient_flops == 2 * 6912 + 256
    assert rows["head.fc"].input_gradient_flops == 1280
    assert rows["head.fc"].weight_gradient_flops == 1280 + 10
    assert rows["features.pool"].input_gradient_flops == 64
    assert rows["features.relu"].input_gradient_flops == 256


def test_dense_layer_on_the_input_is_trained_without_a_gradient_to_it() -> None:
    (row,) = rows_of(Sequential([Linear(7, bias=False)], (5,)), train=True)
    assert (row.input_gradient_mult_adds, row.weight_gradient_mult_adds) == (0, 35)


def test_same_input_twice_gets_two_gradients() -> None:
    net = Builder()
    x = net(Conv2d(2, 1), net.input((2, 2, 2)), name="conv")
    (_, _, square) = backward_pass(net.build(net(Mul(), x, x, name="square")))
    assert square.to_inputs.flops == 2 * 8
    assert square.saved == {"input"}
