"""Tensors that share memory: they never overlap while they live, and the results do not depend on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archcost.build import Sequential
from archcost.engine import memory as memory_module
from archcost.engine import stages
from archcost.engine.lowering import Lowered, Setting
from archcost.engine.memory import Memory, Need, offsets
from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.engine.training import Training
from archcost.graph import Graph
from archcost.ops import Conv2d, Dropout, Flatten, Linear, Tanh
from archcost.zoo.catalogue import CATALOGUE, load
from tests.engine.test_network import batch, branching

TENSORS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 12), st.integers(0, 5)), max_size=14)
"""Size, first moment and further moments of each tensor."""


@given(TENSORS)
def test_tensors_that_live_together_do_not_overlap(tensors: list[tuple[int, int, int]]) -> None:
    sizes, first, more = (np.array(column, np.int64) for column in (zip(*tensors) if tensors else ((), (), ())))
    last = first + more
    places = offsets(sizes, first, last)
    for one in range(len(sizes)):
        assert places[one] >= 0
        for other in range(one):
            together = first[one] <= last[other] and first[other] <= last[one]
            overlap = places[one] < places[other] + sizes[other] and places[other] < places[one] + sizes[one]
            assert not (together and overlap)


def test_a_chain_of_tensors_needs_two_of_them() -> None:
    first = np.arange(10)
    places = offsets(np.full(10, 8), first, first + 1)
    assert sorted(set(places)) == [0, 8]


def test_a_gap_is_used_again() -> None:
    # The middle one of three dies; a smaller one takes its place, not a new one.
    places = offsets(np.array([30, 20, 10, 9]), np.array([0, 0, 0, 2]), np.array([3, 1, 3, 3]))
    assert list(places) == [0, 30, 50, 30]


def test_a_tensor_that_lives_twice_leaves_its_place_in_between() -> None:
    # The first lives at 0 to 1 and 5 to 6; the second in between, and the third all the time.
    first, last = np.array([[0, 5], [2, 2], [0, 0]]), np.array([[1, 6], [4, 4], [6, 6]])
    assert list(offsets(np.array([8, 8, 4]), first, last)) == [0, 0, 8]
    last[0, 0] = 2
    assert list(offsets(np.array([8, 8, 4]), first, last)) == [0, 8, 16]


def test_only_borders_that_others_write_into_are_cleared() -> None:
    halo = ((1, 1), (1, 1))
    none = ((0, 0), (0, 0))
    needs = {
        ("value", "a"): Need((4, 6, 6), halo, 0, 1),
        ("value", "b"): Need((4, 6, 6), halo, 2, 3),  # the same layout at the same place: borders stay zero
        ("value", "c"): Need((4, 3, 3), halo, 4, 5),
        ("value", "d"): Need((4, 6, 6), none, 0, 9),
    }
    assert needs["value", "a"].spans == ((0, 1), (0, 1))
    assert Need((4, 6, 6), none, 0, 1, again=(5, 6)).spans == ((0, 1), (5, 6))
    memory = Memory(dict(list(needs.items())[:2]), 1, 4, "float32")
    assert memory.uncleared == set()
    memory = Memory(needs, 1, 4, "float32")
    assert memory.uncleared == set()  # small: a and b share bytes, c lies apart
    assert len({memory.tensors["value", name].address() for name in "ab"}) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_module, "SMALL", 0)
        shared = Memory(needs, 1, 4, "float32")
    assert shared.uncleared == {("value", "a"), ("value", "b"), ("value", "c")}
    assert shared.bytes < memory.bytes
    assert all(not tensor.memory.any() for tensor in memory.tensors.values())


def poison(memory: Memory) -> None:
    """Fill the memory with NaN, but for the borders that nobody else writes into."""
    for tensor in memory.tensors.values():
        tensor.memory[...] = np.nan
    for key, tensor in memory.tensors.items():
        if key not in memory.uncleared and any(map(any, tensor.halo)):
            inside = tensor.inside().copy()
            tensor.memory[...] = 0
            tensor.inside()[...] = inside


def masked_map(rate: float) -> Graph:
    """Return a network in which a map is flattened, masked and passed on before a dense layer reads it."""
    layers = [Conv2d(20, 3), Flatten(), Dropout(rate), Tanh(), Linear(5)]
    return Sequential(layers, (3, 6, 7))


def test_a_mask_on_a_flattened_map() -> None:
    masked = Network(masked_map(0.0))
    plain = Network(Sequential([Conv2d(20, 3), Tanh(), Flatten(), Linear(5)], (3, 6, 7)))
    for (_, value), (_, other) in zip(masked.parameters.items(), plain.parameters.items()):
        other[...] = value
    images, labels = batch(plain.graph, 2, "float32")
    (loss, gradients), (wanted, others) = (net.loss_and_gradients(images, labels) for net in (masked, plain))
    assert loss == pytest.approx(wanted, rel=1e-6)
    for gradient, other in zip(gradients.values(), others.values()):
        np.testing.assert_allclose(gradient, other, rtol=1e-4, atol=1e-6)


GRAPHS = {
    "branching": branching,
    "masked map": lambda: masked_map(0.5),
    "resnet18": lambda: load("resnet18", input_size=(3, 32, 32), num_classes=10),
    "googlenet": lambda: load("googlenet", input_size=(3, 32, 32), num_classes=10),
    "shufflenet": lambda: load("shufflenet_v2_x0_5", input_size=(3, 32, 32), num_classes=10),
    "efficientnet": lambda: load("efficientnet_b0", input_size=(3, 32, 32), num_classes=10),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_what_lies_in_the_memory_before_does_not_matter(graph: Any) -> None:
    check_inference(graph())
    check_training(graph())


def test_images_that_go_through_the_first_layers_one_by_one_share_memory_safely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stages, "LARGE_MAPS", 4096)
    monkeypatch.setattr(stages, "PRODUCTS_FOR_A_BYTE", 10**6)
    for name in ("mobilenet_v2", "googlenet"):
        check_inference(load(name, input_size=(3, 64, 64)), staged=True)


def check_inference(graph: Graph, *, staged: bool = False) -> None:
    """Compare a run on poisoned memory, fused, with one in which every operator has memory of its own."""
    net = Network(graph)
    images, _ = batch(graph, 2, "float32")
    net(images)
    memory = net.inference_memory(2)
    assert (
        any(one.images != tensor.images for one in memory.tensors.values() for tensor in memory.tensors.values())
        is staged
    )
    poison(memory)
    shared = np.asarray(net(images))
    apart = Lowered(graph, 2, net.setting, training=False, keep=True)
    apart.inputs[graph.inputs[0].name][...] = images
    Program([*apart.forward, *apart.finish]).run(net.team)
    alone = apart.outputs[graph.outputs[0]]
    assert np.abs(shared - alone).max() <= 1e-5 * np.abs(alone).max()
    assert memory.bytes < 0.6 * apart.memory.bytes or graph.name not in CATALOGUE


def check_training(graph: Graph) -> None:
    """Compare loss and gradients on poisoned memory with those where nothing shares memory; fast ways alone, too."""
    net = Network(graph)
    check_steps(net, replace(net.setting, threads=0), (True, False, False))
    check_steps(net, net.setting, (False, False))


def check_steps(net: Network, setting: Setting, keeps: tuple[bool, ...]) -> None:
    """Compare training steps, of which the first finds memory of zeros."""
    graph = net.graph
    images, labels = batch(graph, 2, "float32")
    expected = None
    for keep in keeps:
        training = Training(graph, 2, setting, net.trained, net.gradients.arrays, keep=keep)
        training.lowered.inputs[graph.inputs[0].name][...] = images
        training.labels[:] = labels
        if expected is not None:
            poison(training.lowered.memory)
        net.gradients.memory[...] = np.nan
        training.program.run(net.team)
        found = {name: array.copy() for name, array in net.gradients.arrays.items()}
        found["loss"] = training.loss.value.copy()
        expected = expected or found
        for name, array in found.items():
            assert np.isfinite(array).all(), name
            # A sum over pixels is cut as its operands lie in memory; what is fused reads others.
            assert np.abs(array - expected[name]).max() <= 2e-5 * np.abs(expected[name]).max(), name
