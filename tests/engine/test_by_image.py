"""Images that threads compute each for itself: the same numbers as when all threads share each image."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine import stages
from archcost.engine.network import Network
from archcost.engine.stage_steps import own_threads
from archcost.engine.timing import profiled
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.ops import (
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    GlobalAvgPool,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Mul,
    ReLU,
    Sigmoid,
)
from archcost.zoo.catalogue import load


@pytest.fixture(autouse=True)
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few pixels be a large map, and copies cost nothing."""
    monkeypatch.setattr(stages, "LARGE_MAPS", 100)
    monkeypatch.setattr(stages, "PRODUCTS_FOR_A_BYTE", 10**6)
    monkeypatch.setattr(stages, "COPIES_FOR_A_BYTE", 0)


def mixed() -> Graph:
    """Return a network of many operators, some of which take several steps with memory between them."""
    net = Builder("mixed")
    x = net(ReLU(), net(BatchNorm2d(), net(Conv2d(32, 3, padding=1), net.input((3, 18, 14)), name="first")))
    x = net(LocalResponseNorm(5), net(Conv2d(32, 3, padding=1), x, name="filtered"))
    wide = net(ReLU(), net(Conv2d(64, 1), x, name="wide"))
    deep = net(ReLU(), net(Conv2d(64, 3, padding=1, groups=64), wide, name="deep"))
    gate = net(Sigmoid(), net(Conv2d(64, 1), net(GlobalAvgPool(), deep)))
    y = net(Add(), net(Conv2d(32, 1), net(Mul(), deep, gate), name="narrow"), x)
    y = net(Concat(), y, net(AvgPool2d(3, 1, padding=1), y), net(MaxPool2d(3, 1, padding=1), x))
    z = net(Conv2d(24, 5, stride=2, padding=2, groups=2), y, name="last")
    return net.build(net(Linear(5), net(GlobalAvgPool(), z, name="mean"), name="head"))


def network(graph: Graph, threads: int, precision: Any = "float32", *, own: bool = True) -> Network:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCOST_OWN_IMAGES", "on" if own else "off")
        made = Network(graph, precision=precision, threads=threads)
        for images in (2, 4, 6, 9):
            made.inference_steps(images)
    return made


def images_of(graph: Graph, count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal((count, *graph.shapes[graph.inputs[0].name]))


def is_own(made: Network, images: int) -> bool:
    return made._inference[images].lowered.stage.by_image is not None


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("threads", "images"), [(2, 2), (2, 4), (3, 6), (2, 9), (4, 4)])
def test_own_images_give_the_same_bits(precision: Any, threads: int, images: int) -> None:
    graph = mixed()
    own, alone = network(graph, threads, precision), network(graph, 1, precision)
    shared = network(graph, threads, precision, own=False)
    assert is_own(own, images)
    assert not is_own(shared, images)
    assert not is_own(alone, images)
    for seed in range(4):
        batch = images_of(graph, images, seed).astype(precision)
        results = [made(batch) for made in (own, shared, alone)]
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])


def test_weights_that_change_are_packed_for_all_threads() -> None:
    graph = mixed()
    own, shared = network(graph, 2), network(graph, 2, own=False)
    batch = images_of(graph, 4).astype(np.float32)
    before: Any = own(batch)
    for made in (own, shared):
        for name in ("first.weight", "deep.weight", "wide.bias"):
            made.parameters[name][...] *= 1.5
    after: Any = own(batch)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(after, shared(batch))


def test_an_image_does_not_depend_on_where_it_stands() -> None:
    """Also while partners help each other, which no image is exempt from: again and again, in any order."""
    graph = mixed()
    own = network(graph, 2)
    batch = images_of(graph, 9).astype(np.float32)
    expected: Any = own(batch)
    generator = np.random.default_rng(1)
    for _ in range(50):
        order = generator.permutation(9)
        np.testing.assert_array_equal(own(batch[order]), expected[order])


def test_a_network_for_inference_gives_its_plain_weights_back() -> None:
    graph = mixed()
    kept, given = network(graph, 2), Network(graph, threads=2, inference_only=True)
    plain = {name: weakref.ref(array) for name, array in given.parameters.arrays.items()}
    for count in (4, 2, 5):
        batch = images_of(graph, count).astype(np.float32)
        np.testing.assert_allclose(given(batch), kept(batch), rtol=1e-5, atol=1e-6)
    assert not [name for name, array in plain.items() if array() is not None and "head" not in name]


def test_networks_with_several_inputs() -> None:
    net = Builder("two inputs")
    left, right = net.input((3, 12, 12), name="left"), net.input((3, 12, 12), name="right")
    x = net(Add(), net(Conv2d(16, 3, padding=1), left), net(Conv2d(16, 3, padding=1), right))
    y = net(Conv2d(16, 3, padding=1, groups=16), net(ReLU(), x))
    graph = net.build(net(Linear(3), net(GlobalAvgPool(), y)))
    own, shared = network(graph, 2), network(graph, 2, own=False)
    assert is_own(own, 4)
    batches = [np.random.default_rng(seed).standard_normal((4, 3, 12, 12)).astype(np.float32) for seed in (0, 1)]
    np.testing.assert_array_equal(own(batches), shared(batches))


def test_images_that_do_not_come_out_even_are_shared() -> None:
    assert own_threads(8, 2) == 2
    assert own_threads(3, 2) == 0
    assert own_threads(9, 2) == 2
    assert own_threads(8, 16) == 0
    assert own_threads(8, 1) == 0
    assert own_threads(8, 0) == 0


def test_the_variable_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHCOST_OWN_IMAGES", "perhaps")
    with pytest.raises(UsageError, match=r"ARCHCOST_OWN_IMAGES \(='perhaps'\) must be on or off"):
        Network(mixed(), threads=2).inference_steps(4)


def test_a_profile_names_every_layer_of_the_stage() -> None:
    graph = mixed()
    own, shared = network(graph, 2), network(graph, 2, own=False)
    profiles = [profiled(made, 4, 1) for made in (own, shared)]
    assert {layer.name for layer in profiles[0].layers} == {layer.name for layer in profiles[1].layers}
    for name in ("method", "also", "flops", "bytes"):
        lists = [{layer.name: getattr(layer, name) for layer in profile.layers} for profile in profiles]
        assert lists[0] == lists[1]
    batch = images_of(graph, 4).astype(np.float32)
    np.testing.assert_array_equal(own(batch), shared(batch))


def test_all_multiply_adds_are_executed() -> None:
    graph = mixed()
    own, shared = network(graph, 2), network(graph, 2, own=False)
    assert own.inference_steps(6)[0].mult_adds == shared.inference_steps(6)[0].mult_adds
    done = [sum(step.mult_adds for _, steps in made.inference_steps(6)[1] for step in steps) for made in (own, shared)]
    assert done[0] == done[1]


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0", "googlenet", "densenet121", "seresnet50"])
def test_networks_of_the_catalogue(name: str) -> None:
    graph = load(name, input_size=(3, 64, 64))
    own, shared = (Network(graph, threads=2) for _ in range(2))
    batch = images_of(graph, 4).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCHCOST_OWN_IMAGES", "off")
        expected = shared(batch)
    for _ in range(3):
        np.testing.assert_array_equal(own(batch), expected)
    assert is_own(own, 4)
