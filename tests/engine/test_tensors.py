"""Which tensors are maps, and which are one vector: by the operators that are near them."""

from __future__ import annotations

from archcost.build import Builder
from archcost.engine.tensors import aliases, channels_last_nodes, map_shapes, vector_nodes
from archcost.graph import Graph
from archcost.ops import (
    Add,
    Conv2d,
    Flatten,
    LayerNorm,
    Linear,
    MatMul,
    Parameter,
    ReLU,
    Reshape,
    Softmax,
    Transpose,
)


def attention() -> Graph:
    """Return a convolution, whose map becomes rows, and a product of heads with themselves."""
    net = Builder("attention")
    x = net(Conv2d(8, 2, 2), net.input((3, 6, 8), name="image"), name="conv")
    rows = net(Transpose((1, 0)), net(Reshape((8, 12)), x, name="columns"), name="rows")
    heads = net(Transpose((1, 0, 2)), net(Reshape((12, 2, 4)), rows, name="cut"), name="heads")
    scores = net(MatMul(), heads, net(Transpose((0, 2, 1)), heads, name="turned"), name="scores")
    mask = net(Parameter((1, 12, 12)), name="mask")
    return net.build(net(Softmax(), net(Add(), scores, mask, name="masked"), name="softmax"))


def test_tensors_of_three_axes_far_from_maps_are_vectors() -> None:
    graph = attention()
    assert vector_nodes(graph) == {"cut", "heads", "turned", "scores", "mask", "masked", "softmax"}
    shapes = map_shapes(graph, aliases(graph, training=False))
    assert shapes["conv"] == (8, 3, 4)
    assert shapes["rows"] == (96, 1, 1)
    assert shapes["softmax"] == (288, 1, 1)


def test_a_reshape_of_vectors_is_free_and_one_of_a_map_is_not() -> None:
    holder = aliases(attention(), training=False)
    assert holder["cut"] == "rows"
    assert holder["columns"] == "columns"
    assert holder["heads"] == "heads"


def test_a_softmax_over_channels_keeps_maps() -> None:
    net = Builder("channels")
    x = net(Reshape((3, 4, 5)), net.input((60,), name="x"), name="cut")
    assert not vector_nodes(net.build(net(Softmax(0), x, name="softmax")))


def test_a_transposition_to_channels_last_moves_nothing_unless_a_convolution_reads_it() -> None:
    net = Builder("last")
    x = net(Transpose((1, 2, 0)), net.input((3, 4, 5), name="x"), name="turned")
    x = net(LayerNorm(), x, name="norm")
    graph = net.build(net(Linear(2), x, name="dense"))
    assert channels_last_nodes(graph) == {"turned", "norm", "dense"}
    assert aliases(graph, training=False)["turned"] == "x"

    net = Builder("moved")
    x = net(Transpose((1, 2, 0)), net.input((3, 4, 5), name="x"), name="turned")
    x = net(ReLU(), x, name="relu")
    graph = net.build(net(Flatten(), net(Conv2d(2, 1), x, name="conv"), name="flat"))
    assert not channels_last_nodes(graph)
    assert aliases(graph, training=False)["turned"] == "turned"
