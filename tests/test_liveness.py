"""From when to when tensors live: spans by hand, and which activations overwrite their input."""

from __future__ import annotations

import pytest

from archcost.build import Builder
from archcost.liveness import Life, depending, holders, overwrites, read_back, readers
from archcost.ops import Add, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, Op, ReLU, Sigmoid, SiLU, Softmax


def test_a_value_that_is_written_again_is_not_alive_in_between() -> None:
    life = Life()
    life.write(0)  # lives at 0 and 1, and again at 3 and 4
    life.time = 1
    life.touch([0])
    life.write(1)  # 1 to 4
    life.time = 2
    life.touch([1])
    life.write(2)  # 2 alone
    life.time = 3
    life.write(0)
    life.time = 4
    life.touch([0, 1])
    assert life.peak([10, 1, 5]) == 11
    assert life.peak([1, 1, 50]) == 51


@pytest.mark.parametrize(("reads", "most"), [(True, 9), (False, 7)])
def test_what_is_read_and_written_at_once_lives_on(reads: bool, most: int) -> None:
    life = Life()
    life.write(0)
    life.time = 1
    life.write(1)
    life.time = 2
    life.touch([0] if reads else [])
    life.write(0)
    assert life.peak([7, 2]) == most


@pytest.mark.parametrize(
    ("before", "activation", "expected"),
    [
        (Conv2d(2, 1), ReLU(), True),
        (BatchNorm2d(), Sigmoid(), True),
        (Conv2d(2, 1), SiLU(), False),  # its gradient needs its input
        (Conv2d(2, 1), Softmax(), False),  # it goes along an axis
        (MaxPool2d(1), ReLU(), False),  # the pooling reads its output again
        (Sigmoid(), ReLU(), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Op) else "",
)
def test_which_activations_overwrite_their_input(before: Op, activation: Op, expected: bool) -> None:
    net = Builder("two")
    x = net(before, net(Conv2d(2, 1), net.input((2, 3, 3)), name="first"), name="before")
    graph = net.build(net(Linear(2), net(Flatten(), net(activation, x, name="last"), name="flat"), name="fc"))
    assert overwrites(graph, graph.node("last"), readers(graph)) == expected
    assert holders(graph)["last"] == ("before" if expected else "last")
    assert holders(graph)["flat"] == holders(graph)["last"]


def test_an_input_that_another_reads_is_not_overwritten() -> None:
    net = Builder("two readers")
    x = net(Conv2d(2, 1), net.input((2, 3, 3)), name="conv")
    graph = net.build(net(Add(), net(ReLU(), x, name="relu"), x, name="add"))
    assert not overwrites(graph, graph.node("relu"), readers(graph))


def test_what_the_way_back_reads() -> None:
    net = Builder("back")
    x = net(Conv2d(2, 1), net.input((2, 4, 4)), name="conv")
    graph = net.build(net(ReLU(), net(MaxPool2d(2), x, name="pool"), name="relu"))
    depends = depending(graph, ["conv"])
    assert depends == {"input": False, "conv": True, "pool": True, "relu": True}
    found = {node.name: read_back(node, depends, {"conv"}) for node in graph if node.inputs}
    assert found == {"conv": ("input",), "pool": ("conv", "pool"), "relu": ("relu",)}
    assert read_back(graph.node("conv"), depends, ()) == ()
