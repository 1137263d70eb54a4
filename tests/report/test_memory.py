"""Peak activation memory against a simulation that counts references."""

from __future__ import annotations

import pytest
from hypothesis import given

from archcost.build import Builder, Sequential
from archcost.graph import Graph
from archcost.ops import Add, Concat, Conv2d, Dropout, Flatten, Identity, Linear, MaxPool2d, ReLU, Split
from archcost.report.memory import Peak, peak_activations, storage
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import catalogue_graph
from tests.report.generated import VIEWS, graphs


def simulated(graph: Graph) -> tuple[int, str]:
    """Run the network as an interpreter would: a tensor is freed when nobody will read it or a view of it any more."""
    holder: dict[str, str] = {}
    readers: dict[str, int] = {}
    for node in graph:
        view = type(node.op).__name__ in VIEWS
        holder[node.name] = holder[node.inputs[0]] if view else node.name
        readers.setdefault(holder[node.name], 0)
        for name in node.inputs:
            readers[holder[name]] += 1
    for name in graph.outputs:
        readers[holder[name]] += 1  # the caller, who never lets go
    memory: dict[str, int] = {}
    most, at = -1, ""
    for node in graph:
        if holder[node.name] == node.name:
            size = 1
            for axis in graph.shapes[node.name]:
                size *= axis
            memory[node.name] = size
        if sum(memory.values()) > most:
            most, at = sum(memory.values()), node.name
        for name in node.inputs:
            readers[holder[name]] -= 1
        for name in {holder[name] for name in (*node.inputs, node.name)}:
            if readers[name] == 0:
                memory.pop(name, None)
    return most, at


def check(graph: Graph) -> Peak:
    """Compare with the simulation; the tensors that are named must be those that take the space."""
    peak = peak_activations(graph)
    assert (peak.elements, peak.node) == simulated(graph)
    sizes = []
    for name in peak.alive:
        size = 1
        for axis in graph.shapes[name]:
            size *= axis
        sizes.append(size)
    assert sum(sizes) == peak.elements
    assert len(set(peak.alive)) == len(peak.alive)
    return peak


@pytest.mark.parametrize("name", CATALOGUE)
def test_peak_of_the_catalogue(name: str) -> None:
    check(catalogue_graph(name))


@given(graphs())
def test_peak_of_any_graph(graph: Graph) -> None:
    check(graph)


def test_resnet50_needs_three_maps_of_the_first_block() -> None:
    peak = check(catalogue_graph("resnet50"))
    # three maps of 256x56x56: the branch waits while the normalisation of the projected shortcut reads one, writes one
    assert peak.elements == 2_408_448 == 3 * 256 * 56 * 56
    assert peak.node == "layer1.0.downsample.1"
    assert peak.alive == ("layer1.0.bn3", "layer1.0.downsample.0", "layer1.0.downsample.1")


@pytest.mark.parametrize(
    ("graph", "elements", "node"),
    [
        pytest.param(Sequential([ReLU(), ReLU(), ReLU()], (2, 3, 3)), 36, "0", id="chain: input and output of one"),
        pytest.param(Sequential([Conv2d(8, 1), Conv2d(1, 1)], (2, 3, 3)), 90, "0", id="chain: first is widest"),
        pytest.param(Sequential([Conv2d(1, 1), Conv2d(8, 1)], (2, 3, 3)), 81, "1", id="chain: last is widest"),
        pytest.param(Sequential([Identity(), Dropout(), Flatten()], (2, 3, 3)), 18, "input", id="views cost nothing"),
        pytest.param(Sequential([Flatten(), Linear(5)], (2, 3, 3)), 23, "1", id="a view keeps its tensor alive"),
        pytest.param(Sequential([MaxPool2d(3)], (1, 3, 3)), 10, "0", id="pooling writes a new tensor"),
    ],
)
def test_peak_by_hand(graph: Graph, elements: int, node: str) -> None:
    peak = check(graph)
    assert (peak.elements, peak.node) == (elements, node)


def test_shortcut_lives_until_it_is_added() -> None:
    net = Builder()
    x = net.input((1, 10, 10))
    y = net(Conv2d(1, 1), x, name="first")
    y = net(Conv2d(1, 1), y, name="second")
    peak = check(net.build(net(Add(), x, y, name="add")))
    assert (peak.elements, peak.node, peak.alive) == (300, "second", ("input", "first", "second"))


def test_outputs_live_to_the_end() -> None:
    net = Builder()
    x = net.input((1, 10, 10))
    early = net(ReLU(), x, name="early")
    late = net(ReLU(), net(ReLU(), x, name="middle"), name="late")
    # at "late": early and late are outputs, middle is read; the input is read no more
    peak = check(net.build(late, early))
    assert (peak.elements, peak.node) == (300, "middle")
    assert check(net.build(late)).elements == 200


def test_unread_operator_is_freed_at_once() -> None:
    net = Builder()
    x = net.input((1, 10, 10))
    net(Conv2d(50, 1), x, name="unused")
    peak = check(net.build(net(ReLU(), x, name="used")))
    assert (peak.elements, peak.node, peak.alive) == (5100, "unused", ("input", "unused"))


def test_parts_of_a_split_keep_the_whole() -> None:
    net = Builder()
    x = net(ReLU(), net.input((4, 5, 5)), name="made")
    left, right = net(Split((2, 2), 0), x, name="left"), net(Split((2, 2), 1), x, name="right")
    left = net(ReLU(), left, name="work")
    peak = check(net.build(net(Concat(), left, right, name="concat")))
    # the right half alone is needed at the concatenation, but it is a view of all 100 elements: 100 + 50 + 100
    assert (peak.elements, peak.node) == (250, "concat")


def test_dropout_is_a_view_in_inference_and_a_tensor_in_training() -> None:
    graph = Sequential({"act": ReLU(), "flat": Flatten(), "drop": Dropout(), "name": Identity()}, (1, 2, 2))
    assert storage(graph)["name"] == "act"
    assert storage(graph, training=True)["flat"] == "act"
    assert storage(graph, training=True)["name"] == "drop"
