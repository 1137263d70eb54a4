"""The check of gradients: right ones pass, a wrong one is found and named, and the network is left as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from archcost.build import Builder, Sequential
from archcost.engine import gradient_check
from archcost.engine.gradient_check import TOLERANCE, check_gradients, generic_point
from archcost.engine.network import Network
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.kernels.accumulate import accumulated
from archcost.kernels.operation import Gradient
from archcost.kernels.step import Step
from archcost.kernels.table import KERNELS
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, Flatten, Linear, ReLU, Scale, Softmax, Tanh

Break = Callable[[str, Callable[[Gradient], list[Step]]], None]


def small() -> Graph:
    """Return a network with batch statistics, masks, kinks, a branch, and a head that is not part of the loss."""
    net = Builder("small")
    x = net.input((2, 6, 6))
    x = net(Conv2d(8, 3, padding=1, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(ReLU(), x, name="relu1")
    y = net(Scale(), net(Conv2d(8, 3, padding=1, groups=2), x, name="conv2"), name="scale")
    x = net(Add(), y, x, name="add")
    x = net(Flatten(), x, name="flatten")
    aside = net(Linear(2), x, name="aside")
    x = net(Dropout(0.5), x, name="dropout")
    return net.build(net(Softmax(), net(Linear(5), x, name="fc"), name="softmax"), aside)


def ready(graph: Graph | None = None, **options: Any) -> Network:
    """Return a network at a point where its gradients can be checked."""
    network = Network(graph or small(), precision="float64", **options)
    generic_point(network)
    return network


def batch(images: int = 4) -> tuple[np.ndarray[Any, Any], list[int]]:
    return np.random.default_rng(1).standard_normal((images, 2, 6, 6)), [number % 5 for number in range(images)]


@pytest.fixture(name="broken")
def _broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Return a function that replaces the backward pass of one node."""

    def replaced(name: str, wrong: Callable[[Gradient], list[Step]]) -> None:
        op = Linear if name == "fc1" else type(small().node(name).op)
        right = KERNELS[op].backward

        def backward(gradient: Gradient) -> list[Step]:
            return wrong(gradient) if gradient.forward.name == name else right(gradient)

        monkeypatch.setitem(KERNELS, op, KERNELS[op]._replace(backward=backward))

    return replaced


def nudged(gradient: Gradient, element: int, relative: float) -> list[Step]:
    """Return the right steps, and one that adds to an element of the weight's gradient."""
    target = gradient.parameters["weight"]
    error = np.zeros_like(target)
    error.reshape(-1)[element] = relative
    steps = KERNELS_RIGHT[type(gradient.forward.op)](gradient)
    return [*steps, accumulated(target, error, "float64")]


KERNELS_RIGHT = {op: kernels.backward for op, kernels in KERNELS.items()}


def test_right_gradients_pass() -> None:
    found = check_gradients(ready(), *batch())
    assert found.holds
    assert 0 < found.error <= found.tolerance == TOLERANCE
    assert (found.directions, found.parameters, found.wrong, found.located) == (3, 10, (), True)


def test_the_network_is_left_as_it_was() -> None:
    network, twin = ready(), ready()
    check_gradients(network, *batch(), directions=1)
    for name, value in twin.parameters.items():
        np.testing.assert_array_equal(network.parameters[name], value, err_msg=name)
    for name, value in twin.buffers.items():
        np.testing.assert_array_equal(network.buffers[name], value, err_msg=name)
    (loss, gradients), (other, others) = (one.loss_and_gradients(*batch()) for one in (network, twin))
    assert loss == other  # the masks too
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, others[name], err_msg=name)


def test_a_gradient_that_nobody_writes_is_found_and_named(broken: Break) -> None:
    broken("conv2", lambda gradient: KERNELS_RIGHT[Conv2d](replace(gradient, parameters={})))
    found = check_gradients(ready(), *batch())
    assert not found.holds
    assert found.error > 0.05
    assert set(found.wrong) == {"conv2.weight", "conv2.bias"}
    assert found.located


def test_one_element_that_is_a_little_wrong_is_found(broken: Break) -> None:
    network = ready()
    size = float(np.linalg.norm(network.loss_and_gradients(*batch())[1]["fc.weight"]))
    broken("fc", lambda gradient: nudged(gradient, 77, 1e-3 * size))
    found = check_gradients(ready(), *batch())
    assert found.wrong == ("fc.weight",)
    assert 1e-5 < found.error < 1e-2


def test_gradients_behind_a_wrong_one_to_an_input_are_named_from_the_loss_on(broken: Break) -> None:
    def halved(gradient: Gradient) -> list[Step]:
        """Forget the branch: the gradient of a sum goes to the second summand alone."""
        return KERNELS_RIGHT[Add](replace(gradient, inputs=(None, gradient.inputs[1])))

    broken("add", halved)
    found = check_gradients(ready(), *batch(), named=2)
    assert not found.holds
    assert len(found.wrong) == 2
    assert not {"fc.weight", "fc.bias", "aside.weight"} & set(found.wrong)


def test_of_a_large_parameter_a_choice_of_elements_moves(monkeypatch: pytest.MonkeyPatch, broken: Break) -> None:
    monkeypatch.setattr(gradient_check, "MOST_ELEMENTS", 64)
    assert check_gradients(ready(), *batch(), directions=2).holds
    broken("fc", lambda gradient: KERNELS_RIGHT[Linear](replace(gradient, parameters={})))
    assert set(check_gradients(ready(), *batch(), directions=2).wrong) == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize(("size", "count"), [(65, 64), (1000, 64), (1024, 512), (7, 7)])
def test_scattered_places_are_different(size: int, count: int) -> None:
    places = gradient_check._scattered(size, count, np.random.default_rng(2))
    assert len(set(places.tolist())) == count
    assert min(places) >= 0
    assert max(places) < size


def next_to_a_kink(distance: float) -> tuple[Network, np.ndarray[Any, Any], list[int]]:
    """Return a network in which the input of one ReLU is ``distance`` for one image, and that batch."""
    network = ready(Sequential({"fc1": Linear(6), "relu": ReLU(), "fc2": Linear(3)}, (4,)))
    images = np.random.default_rng(4).standard_normal((2, 4))
    weight, bias = network.parameters["fc1.weight"], network.parameters["fc1.bias"]
    bias[2] = distance - float(weight[2] @ images[0])
    return network, images, [0, 1]


@pytest.mark.parametrize("distance", [1e-10, -1e-10])
def test_a_kink_next_to_the_point_is_no_wrong_gradient(distance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    found = check_gradients(*next_to_a_kink(distance))
    assert found.holds
    assert found.wrong == ()
    # This is what the differences to one side are for: central ones alone would call right gradients wrong.
    monkeypatch.setattr(gradient_check._Slopes, "_one_sided", lambda *_: iter(()))
    assert check_gradients(*next_to_a_kink(distance)).error > 1e-3


@pytest.mark.parametrize("distance", [1e-10, -1e-10])
def test_a_wrong_gradient_next_to_a_kink_is_found(distance: float, broken: Break) -> None:
    broken("fc1", lambda gradient: nudged(gradient, 8, 1e-3))  # an element of the unit at the kink
    monitored = check_gradients(*next_to_a_kink(distance))
    assert not monitored.holds
    assert monitored.wrong == ("fc1.weight",)


def test_frozen_layers_do_not_move() -> None:
    network = ready(freeze=["conv1", "bn1"])
    found = check_gradients(network, *batch(), directions=1)
    assert found.holds
    assert found.parameters == 7


def test_what_is_not_a_number_does_not_pass() -> None:
    network = ready()
    network.parameters["fc.bias"][0] = np.nan
    found = check_gradients(network, *batch(), directions=1)
    assert not found.holds
    assert found.error == np.inf


def test_a_loss_that_moves_without_gradients_does_not_pass(broken: Break) -> None:
    graph = Sequential({"fc": Linear(3), "tanh": Tanh()}, (4,))
    images = np.random.default_rng(1).standard_normal((2, 4))
    assert check_gradients(ready(graph), images, [0, 1], directions=1).holds
    broken("fc", lambda _: [])
    found = check_gradients(ready(graph), images, [0, 1], directions=1)
    assert found.error == np.inf
    assert set(found.wrong) == {"fc.weight", "fc.bias"}


def test_a_generic_point() -> None:
    graph = small()
    network, again, other = Network(graph), Network(graph, seed=1), Network(graph)
    for one, seed in ((network, 0), (again, 0), (other, 1)):
        generic_point(one, seed)
    for name, value in network.parameters.items():
        np.testing.assert_array_equal(value, again.parameters[name], err_msg=name)
        assert not np.array_equal(value, other.parameters[name]), name
        assert np.abs(value).min() > 0, name
    assert 0.1 <= network.parameters["scale.weight"].min() <= network.parameters["scale.weight"].max() <= 0.3
    assert network.parameters["bn1.bias"].min() >= 0.5
    assert np.abs(network.parameters["conv1.weight"]).max() <= np.sqrt(6 / 18)


def test_what_cannot_be_checked_is_one_line() -> None:
    with pytest.raises(UsageError, match="gradients are checked in float64; the network's `precision` is 'float32'"):
        check_gradients(Network(small()), *batch())
    images, labels = batch()
    with pytest.raises(UsageError, match="labels must lie between 0 and 4"):
        check_gradients(ready(), images, [5, *labels[1:]])
    with pytest.raises(UsageError, match=r"input 'input' must be \(images, 2, 6, 6\), not \(4, 2, 6\)"):
        check_gradients(ready(), images[..., 0], labels)
    graph = Sequential({"relu": ReLU()}, (4,))
    with pytest.raises(UsageError, match="network has no trained parameters: there are no gradients to check"):
        check_gradients(Network(graph, precision="float64"), np.zeros((2, 4)), [0, 1])
