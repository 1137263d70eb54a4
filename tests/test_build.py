"""The builder and the plain list: names, scopes, shapes, and graphs equal to those written node by node."""

from __future__ import annotations

import doctest
from collections.abc import Callable

import pytest

from archcost import build
from archcost.build import Builder, Sequential, Tensor
from archcost.errors import ArchcostError, GraphError, OperatorError
from archcost.graph import Graph, Node
from archcost.ops import Add, Conv2d, Flatten, Input, Linear, MaxPool2d, Op, ReLU


def test_the_examples_of_the_docstrings() -> None:
    results = doctest.testmod(build)
    assert results.attempted > 5
    assert results.failed == 0


def test_a_built_graph_equals_the_one_written_node_by_node() -> None:
    net = Builder("tiny", "residual")
    x = net.input([3, 8, 8])
    with net.scope("block", "Residual"):
        y = net(Conv2d(3, 3, padding=1), x, name="conv")
        y = net(ReLU(), y, call="function")
    y = net(Add(), x, y, call="operator")
    expected = Graph(
        (
            Node("input", Input((3, 8, 8))),
            Node("block.conv", Conv2d(3, 3, padding=1), ("input",)),
            Node("block.relu", ReLU(), ("block.conv",), call="function"),
            Node("add", Add(), ("input", "block.relu"), call="operator"),
        ),
        ("add",),
        "tiny",
        "residual",
        {"block": "Residual"},
    )
    graph = net.build(y)
    assert graph == expected
    assert hash(graph) == hash(expected)
    assert dict(graph.shapes) == dict(expected.shapes)
    assert list(graph.shapes) == list(expected.shapes)


def test_a_tensor_knows_its_shape_as_soon_as_it_is_made() -> None:
    net = Builder()
    x = net(Conv2d(16, 3, 2), net.input((3, 9, 11)))
    assert (x, x.channels) == (Tensor("conv2d", (16, 4, 5)), 16)


def test_automatic_names_are_numbered_within_their_scope() -> None:
    net = Builder()
    x = net.input((3, 8, 8))
    names = [net(ReLU(), x).name, net(ReLU(), x).name]
    with net.scope("a"):
        names += [net(ReLU(), x).name, net(ReLU(), x).name]
        with net.scope("b.c"):
            names.append(net(MaxPool2d(2), x).name)
    with net.scope("a"):
        names.append(net(ReLU(), x).name)
    names.append(net(ReLU(), x).name)
    assert names == ["relu", "relu_1", "a.relu", "a.relu_1", "a.b.c.maxpool2d", "a.relu_2", "relu_2"]


def test_automatic_names_avoid_those_that_were_given() -> None:
    net = Builder()
    x = net.input((3, 8, 8))
    given = [net(ReLU(), x, name=name).name for name in ("relu", "relu_2")]
    made = [net(ReLU(), x).name for _ in range(3)]
    assert len({*given, *made}) == 5
    assert made == ["relu_1", "relu_3", "relu_4"]


def test_a_scope_ends_with_its_block_even_after_an_error() -> None:
    net = Builder()
    x = net.input((3, 8, 8))
    with pytest.raises(GraphError, match=r"^outer.conv: kernel 9 is larger"), net.scope("outer", "Outer"):
        net(Conv2d(8, 9), x, name="conv")
    assert net(ReLU(), x).name == "relu"


def test_what_was_refused_leaves_no_trace() -> None:
    net = Builder()
    x = net.input((3, 8, 8))
    with pytest.raises(GraphError, match="conv: kernel 9"):
        net(Conv2d(8, 9), x, name="conv")
    y = net(Conv2d(8, 3), x, name="conv")
    assert [node.name for node in net.build(y)] == ["input", "conv"]


def test_later_building_does_not_change_a_graph() -> None:
    net = Builder()
    x = net.input((3, 8, 8))
    first = net.build(x)
    y = net(ReLU(), x)
    with net.scope("late", "Late"):
        second = net.build(y)
    assert (len(first), dict(first.shapes), dict(first.scopes)) == (1, {"input": (3, 8, 8)}, {})
    assert (len(second), second.scopes["late"]) == (2, "Late")


def fail(name: str) -> Callable[[Builder, Tensor], object]:
    cases: dict[str, Callable[[Builder, Tensor], object]] = {
        "duplicate": lambda net, x: net(ReLU(), x, name="input"),
        "foreign": lambda net, _x: net(ReLU(), Tensor("inputs", (3, 8, 8))),
        "arity": lambda net, x: net(ReLU(), x, x, name="r"),
        "none": lambda net, _x: net(Add(), name="sum"),
        "dots": lambda net, x: net(ReLU(), x, name="a..b"),
        "no output": lambda net, _x: net.build(),
        "foreign output": lambda net, _x: net.build(Tensor("inptu", (1,))),
        "shape": lambda net, x: net(Add(), x, net.input((3, 4, 4), "small"), name="sum"),
        "sharing": lambda net, x: net.build(net(ReLU(), x, name="r", shares=x)),
        "later": lambda net, x: net.build(net(Conv2d(3, 1), x, name="c", shares=Tensor("d", (1,)))),
        "empty input": lambda net, _x: net.input(()),
        "huge input": lambda net, _x: net.input((2**50, 1, 1), "huge"),
    }
    return cases[name]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("duplicate", "input: the name is used twice"),
        ("foreign", r"relu: input 'inputs' is not a node before it \(did you mean 'input'\?\)"),
        ("arity", "r: ReLU takes 1 input, not 2"),
        ("none", "sum: Add takes at least one input, not 0"),
        ("dots", "node name 'a..b' must be words joined by dots"),
        ("no output", "a graph needs at least one output"),
        ("foreign output", r"output 'inptu' is not a node \(did you mean 'input'\?\)"),
        ("shape", r"sum: inputs 3x8x8 and 3x4x4 do not broadcast.* \(input 3x8x8, 3x4x4\)"),
        ("sharing", "r: parameters of 'input' have other shapes"),
        ("later", "c: shares 'd', which is no earlier node"),
        ("empty input", "`shape` must have at least one axis"),
        ("huge input", r"`shape` \(=1125899906842624\) must be at least 1 and at most 2\*\*40"),
    ],
)
def test_a_builder_refuses(case: str, message: str) -> None:
    net = Builder()
    x = net.input((3, 8, 8))
    with pytest.raises(ArchcostError, match=f"^{message}"):
        fail(case)(net, x)


def test_a_graph_without_input_is_refused() -> None:
    with pytest.raises(GraphError, match=r"^a graph needs at least one Input$"):
        Builder().build()


def test_a_plain_list_is_a_chain_with_numbered_names() -> None:
    layers: list[Op] = [Conv2d(8, 3), ReLU(), Flatten(), Linear(10)]
    graph = Sequential(layers, (1, 28, 28), "plain", "by hand")
    assert [(node.name, node.inputs) for node in graph] == [
        ("input", ()), ("0", ("input",)), ("1", ("0",)), ("2", ("1",)), ("3", ("2",)),
    ]  # fmt: skip
    assert [node.op for node in graph][1:] == layers
    assert graph.outputs == ("3",)
    assert graph.shapes["3"] == (10,)
    assert graph.title == "plain (by hand)"
    named = Sequential({"features.conv": layers[0], "features.relu": layers[1]}, [1, 28, 28])
    assert [node.name for node in named] == ["input", "features.conv", "features.relu"]
    assert Sequential([], (3,)).outputs == ("input",)


def test_a_plain_list_names_the_layer_that_does_not_fit() -> None:
    with pytest.raises(GraphError, match=r"^1: MaxPool2d needs an input of .*, not 784 \(input 784\)$"):
        Sequential([Flatten(), MaxPool2d(2)], (1, 28, 28))
    with pytest.raises(GraphError, match=r"^input: the name is used twice$"):
        Sequential({"input": ReLU()}, (3,))
    with pytest.raises(OperatorError, match=r"`shape` \(=0\) must be at least 1"):
        Sequential([ReLU()], (3, 0, 5))
