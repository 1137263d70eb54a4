"""Networks on smaller images."""

from __future__ import annotations

from archcost.build import Builder, Sequential
from archcost.errors import GraphError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import Add, AvgPool2d, Conv2d, Flatten, Linear
from archcost.report.reduced import mult_adds, reduced
from archcost.report.rows import rows_of, total
from tests.conftest import catalogue_graph

PER_POSITION = 9 * 3 * 4


def convolution(shape: Shape) -> Graph:
    return Sequential([Conv2d(4, 3, padding=1)], shape)


def at_least_96(shape: Shape) -> Graph:
    return Sequential([Conv2d(4, 3, padding=1), AvgPool2d(90)], shape)


def side(graph: Graph) -> int:
    return graph.shapes[graph.inputs[0].name][-1]


def test_mult_adds_are_those_of_the_rows() -> None:
    graph = catalogue_graph("mobilenet_v2")
    assert mult_adds(graph) == total(rows_of(graph))["mult_adds"] > 0


def test_a_network_within_the_limit_stays() -> None:
    graph = convolution((3, 200, 200))
    assert reduced(graph, convolution, mult_adds(graph)) is graph


def test_the_largest_square_within_the_limit() -> None:
    graph = convolution((3, 200, 150))
    assert side(reduced(graph, convolution, PER_POSITION * 200 * 150 - 1)) == 128
    assert side(reduced(graph, convolution, PER_POSITION * 96**2)) == 96
    assert side(reduced(graph, convolution, PER_POSITION * 96**2 - 1)) == 64


def test_nothing_below_32_unless_the_image_is_small_itself() -> None:
    assert side(reduced(convolution((3, 200, 200)), convolution, 1)) == 32
    assert side(reduced(convolution((3, 33, 33)), convolution, 1)) == 8
    assert side(reduced(convolution((3, 30, 30)), convolution, PER_POSITION * 16**2)) == 16


def test_the_smallest_that_the_network_takes() -> None:
    assert side(reduced(at_least_96((3, 200, 200)), at_least_96, 1)) == 96


def test_a_network_that_takes_no_other_size_stays() -> None:
    def fixed(shape: Shape) -> Graph:
        raise GraphError(f"no {shape}")

    graph = convolution((3, 200, 200))
    assert reduced(graph, fixed, 1) is graph


def test_networks_without_one_image_stay() -> None:
    row = Sequential([Flatten(), Linear(9)], (100,))
    assert reduced(row, convolution, 1) is row
    net = Builder()
    two = net.build(net(Add(), net.input((3, 99, 99), "a"), net(Conv2d(3, 1), net.input((3, 99, 99), "b"))))
    assert reduced(two, convolution, 1) is two
