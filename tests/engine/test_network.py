"""Networks that run: outputs, loss, gradients, parameters, and what they refuse."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from archcost.build import Builder, Sequential
from archcost.engine.network import Network
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.ops import (
    GELU,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    HardSwish,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Tanh,
)
from archcost.zoo.catalogue import load


def branching() -> Graph:
    """Return a small network with a residual block, a gate, branches that are joined, and batch statistics."""
    net = Builder("branching")
    x = net.input((3, 8, 8))
    x = net(Conv2d(8, 3, padding=1, bias=False), x, name="conv1")
    x = net(BatchNorm2d(), x, name="bn1")
    x = net(Tanh(), x, name="tanh1")
    y = net(Conv2d(8, 3, padding=1, groups=2), x, name="conv2")
    x = net(Add(), y, x, name="add")
    gate = net(Sigmoid(), net(Conv2d(8, 1), net(GlobalAvgPool(), x, name="pool"), name="gate"), name="sigmoid")
    x = net(Mul(), x, gate, name="mul")
    left = net(Conv2d(4, 1, stride=2), x, name="left")
    right = net(AvgPool2d(2), net(Conv2d(8, 3, padding=1, groups=8), x, name="depthwise"), name="right")
    x = net(Concat(), left, right, name="concat")
    x = net(Flatten(), x, name="flatten")
    return net.build(net(Linear(5), x, name="fc"))


def batch(graph: Graph, images: int, dtype: str = "float64") -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return random images and labels."""
    generator = np.random.default_rng(3)
    shape = graph.shapes[graph.inputs[0].name]
    classes = graph.shapes[graph.outputs[0]][0]
    return generator.standard_normal((images, *shape)).astype(dtype), generator.integers(0, classes, images)


def test_gradients_of_every_parameter_agree_with_finite_differences() -> None:
    graph = branching()
    net = Network(graph, precision="float64")
    images, labels = batch(graph, 3)
    _, gradients = net.loss_and_gradients(images, labels)
    assert set(gradients) == set(net.parameters)
    generator = np.random.default_rng(5)
    for name, gradient in gradients.items():
        flat = net.parameters[name].reshape(-1)
        for place in generator.choice(flat.size, min(3, flat.size), replace=False):
            before, step = flat[place], 1e-6
            flat[place] = before + step
            above, _ = net.loss_and_gradients(images, labels)
            flat[place] = before - step
            below, _ = net.loss_and_gradients(images, labels)
            flat[place] = before
            assert gradient.reshape(-1)[place] == pytest.approx((above - below) / (2 * step), rel=2e-6, abs=1e-8), name


def test_float32_agrees_with_float64() -> None:
    graph = branching()
    images, labels = batch(graph, 2)
    single, double = Network(graph), Network(graph, precision="float64")
    for name, value in double.parameters.items():
        value[...] = single.parameters[name]
    np.testing.assert_allclose(single(images.astype("float32")), double(images), rtol=1e-4, atol=1e-5)
    (loss, gradients), (exact, others) = (
        single.loss_and_gradients(images, labels),
        double.loss_and_gradients(images, labels),
    )
    assert loss == pytest.approx(exact, rel=1e-5)
    for name, gradient in gradients.items():
        assert np.linalg.norm(gradient - others[name]) <= 1e-4 * np.linalg.norm(others[name]) + 1e-6, name


@pytest.mark.parametrize("threads", [2, 3])
def test_results_are_bit_identical_for_any_number_of_threads(threads: int) -> None:
    graph = branching()
    images, labels = batch(graph, 4, "float32")
    one, more = Network(graph, threads=1), Network(graph, threads=threads)
    np.testing.assert_array_equal(one(images), more(images))
    (loss, gradients), (other, others) = one.loss_and_gradients(images, labels), more.loss_and_gradients(images, labels)
    assert loss == other
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, others[name], err_msg=name)


def test_what_is_written_into_a_parameter_takes_effect() -> None:
    graph = Sequential([Conv2d(4, 3), ReLU(), Flatten(), Linear(2)], (3, 6, 6))
    net = Network(graph)
    images, _ = batch(graph, 1, "float32")
    before = net(images)
    net.parameters["3.bias"][:] = [10, -10]
    np.testing.assert_allclose(net(images), before + np.array([10, -10]), rtol=1e-5)
    kernel = net.parameters["0.weight"]
    kernel *= 0
    net.parameters["0.bias"][:] = 0
    np.testing.assert_array_equal(net(images), [[10, -10]])
    kernel += 1  # the reference is still held: this must be seen as well
    assert not np.array_equal(net(images), [[10, -10]])


def test_running_statistics_move_as_in_torch() -> None:
    graph = Sequential({"bn": BatchNorm2d(momentum=0.1), "flatten": Flatten(), "fc": Linear(2)}, (2, 2, 2))
    net = Network(graph, precision="float64")
    images, labels = batch(graph, 3)
    net.loss_and_gradients(images, labels)
    mean, variance = images.mean((0, 2, 3)), images.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(net.buffers["bn.running_mean"], 0.1 * mean)
    np.testing.assert_allclose(net.buffers["bn.running_var"], 0.9 + 0.1 * variance)
    assert net.buffers["bn.num_batches_tracked"] == 1


def test_frozen_layers_have_no_gradient_and_their_statistics_rest() -> None:
    net = Network(branching(), freeze=["conv1", "bn1"])
    images, labels = batch(net.graph, 2, "float32")
    _, gradients = net.loss_and_gradients(images, labels)
    assert not any(name.startswith(("conv1", "bn1")) for name in gradients)
    assert "fc.weight" in gradients
    np.testing.assert_array_equal(net.buffers["bn1.running_mean"], 0)


def test_gradient_descent_lowers_the_loss() -> None:
    graph = load("lenet")
    net = Network(graph)
    images, labels = batch(graph, 8, "float32")
    losses = []
    for _ in range(30):
        loss, gradients = net.loss_and_gradients(images, labels)
        losses.append(loss)
        for name, gradient in gradients.items():
            net.parameters[name][...] -= 0.05 * gradient
    assert losses[-1] < 0.2 * losses[0]


def test_masks_follow_the_seed_and_change_from_step_to_step() -> None:
    graph = Sequential([Flatten(), Linear(64), Dropout(0.5), Linear(3)], (1, 4, 4))
    images, labels = batch(graph, 4, "float32")
    nets = [Network(graph, seed=1, threads=threads) for threads in (1, 2)]
    losses = [[net.loss_and_gradients(images, labels)[0] for _ in range(3)] for net in nets]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 3
    np.testing.assert_array_equal(nets[0](images), nets[0](images))


def test_two_python_threads_may_run_two_networks() -> None:
    graph = branching()
    images, _ = batch(graph, 2, "float32")
    nets = [Network(graph, seed=seed) for seed in range(2)]
    expected = [net(images) for net in nets]
    wrong: list[int] = []

    def work(number: int) -> None:
        wrong.extend(number for _ in range(50) if not np.array_equal(nets[number](images), expected[number]))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_an_input_may_be_a_view_of_another_order() -> None:
    graph = Sequential([MaxPool2d(2), Flatten(), Linear(2)], (3, 4, 4))
    net = Network(graph)
    images, _ = batch(graph, 2, "float32")
    channels_last = np.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not channels_last.flags.c_contiguous
    np.testing.assert_array_equal(net(channels_last), net(images))


@pytest.mark.parametrize(
    "op", [ReLU(), ReLU6(), SiLU(), HardSwish(), GELU(), Sigmoid(), Tanh(), MaxPool2d(1)], ids=repr
)
def test_what_is_not_a_number_stays_so(op: Op) -> None:
    images = np.ones((1, 3, 2, 2), np.float32)
    images[0, 1, 0, 1] = np.nan
    for fused in (False, True):
        layers = [Conv2d(3, 1, groups=3, bias=False), op] if fused else [op]
        found = np.asarray(Network(Sequential(layers, (3, 2, 2)))(images))
        np.testing.assert_array_equal(np.isnan(found), np.isnan(images))


def test_an_empty_batch_has_an_empty_answer_and_no_loss() -> None:
    net = Network(branching())
    assert np.shape(net(np.zeros((0, 3, 8, 8), np.float32))) == (0, 5)
    with pytest.raises(UsageError, match="the loss of an empty batch is not defined"):
        net.loss_and_gradients(np.zeros((0, 3, 8, 8), np.float32), np.zeros(0, np.int64))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 3, 8, 9), np.float32), r"must be \(images, 3, 8, 8\), not \(1, 3, 8, 9\)"),
        (np.zeros((1, 8, 8, 3), np.float32), "channels come before rows and columns"),
        (np.zeros((3, 8, 8), np.float32), "must be"),
        (np.zeros((1, 3, 8, 8), np.uint8), "must hold floating-point numbers, not uint8"),
        (np.full((1, 3, 8, 8), np.nan, np.float32), "holds numbers that are not finite"),
    ],
    ids=["size", "channels last", "no batch", "bytes", "nan"],
)
def test_images_that_are_refused(images: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Network(branching(), check_finite=True)(images)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0]), "labels must be 2 integers"),
        (np.array([0.0, 1.0]), "labels must be 2 integers"),
        (np.array([0, 5]), "labels must lie between 0 and 4"),
        (np.array([-1, 0]), "labels must lie between 0 and 4"),
    ],
)
def test_labels_that_are_refused(labels: np.ndarray[Any, Any], message: str) -> None:
    net = Network(branching())
    with pytest.raises(UsageError, match=message):
        net.loss_and_gradients(np.zeros((2, 3, 8, 8), np.float32), labels)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match=r"`precision` .* must be 'float32' or 'float64'"):
        Network(branching(), precision="float16")  # type: ignore[arg-type]
