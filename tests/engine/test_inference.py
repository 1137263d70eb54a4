"""A network for inference alone gives its plain parameters back, and computes the same."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from archcost.engine.inference import Inference
from archcost.engine.network import Network
from archcost.engine.tuning import tune
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.train.dataset import Dataset, Split
from archcost.train.trainer import Trainer
from archcost.zoo.catalogue import load

Images = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load("resnet18", input_size=(3, 32, 32), num_classes=10)


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(0).standard_normal((5, 3, 32, 32)).astype(np.float32)


def test_outputs_are_those_of_a_network_that_keeps_its_parameters(graph: Graph, images: Images) -> None:
    expected = Network(graph, seed=3, threads=2)
    found = Network(graph, seed=3, threads=2, inference_only=True)
    for _ in range(2):
        np.testing.assert_array_equal(found(images), expected(images))
    np.testing.assert_array_equal(found.logits(images), expected.logits(images))


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_other_batches_are_computed_in_parts_of_the_first(graph: Graph, images: Images, count: int) -> None:
    network = Network(graph, seed=3, threads=2, inference_only=True)
    two = np.concatenate([network(images[first : first + 2]) for first in (0, 2)])
    found = np.asarray(network(images[:count]))
    assert found.shape == (count, 10)
    np.testing.assert_array_equal(found[:4], two[:count])


def test_what_was_written_before_the_first_pass_counts(graph: Graph, images: Images) -> None:
    network = Network(graph, threads=2, inference_only=True)
    network.parameters["fc.weight"][...] = 0
    network.parameters["fc.bias"][...] = np.arange(10)
    np.testing.assert_array_equal(network(images), np.tile(np.arange(10, dtype=np.float32), (5, 1)))


def test_packed_weights_are_freed(graph: Graph, images: Images) -> None:
    network = Network(graph, threads=2, inference_only=True)
    arrays = {name: weakref.ref(array) for name, array in network.parameters.arrays.items()}
    network(images)
    assert {name for name, array in arrays.items() if array() is not None and "conv" in name} == set()


def test_parameters_cannot_be_read_afterwards(graph: Graph, images: Images) -> None:
    network = Network(graph, threads=2, inference_only=True)
    network(images)
    for access in (lambda: network.parameters["fc.weight"], lambda: list(network.parameters)):
        with pytest.raises(UsageError, match="the parameters were given back after the first pass"):
            access()


def test_nothing_is_trained(graph: Graph, images: Images) -> None:
    network = Network(graph, threads=2, inference_only=True)
    assert not network.trained
    with pytest.raises(UsageError, match="resnet18 was made with `inference_only`: it has no gradients"):
        network.loss_and_gradients(images, np.zeros(5, np.int64))
    split = Split(np.zeros((4, 3, 32, 32), np.uint8), np.zeros(4, np.int64))
    with pytest.raises(UsageError, match="it cannot be trained"):
        Trainer(network, Dataset("zeros", tuple("abcdefghij"), split, split))


def test_an_interrupted_first_pass_leaves_nothing_to_compute_with(
    graph: Graph, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_inference: Inference, _team: object) -> None:
        raise KeyboardInterrupt

    network = Network(graph, threads=2, inference_only=True)
    with monkeypatch.context() as patch:
        patch.setattr(Inference, "settle", interrupted)
        with pytest.raises(KeyboardInterrupt):
            network(images)
    with pytest.raises(UsageError, match="resnet18: the parameters were given back, and its first pass was interrup"):
        network(images)


def test_tuning_needs_parameters(graph: Graph) -> None:
    with pytest.raises(UsageError, match="resnet18 was made with `inference_only`: tuning packs"):
        tune(Network(graph, threads=2, inference_only=True), 1)


@pytest.mark.parametrize("count", [1, 4])
def test_images_are_read_where_they_lie(graph: Graph, images: Images, count: int) -> None:
    network = Network(graph, seed=3, threads=2)
    expected = network(images[:count].astype(np.float64))  # another element type is copied
    inference = network._ready(count)
    inference.inputs["input"][...] = 0
    found = network(np.ascontiguousarray(images[:count]))
    np.testing.assert_array_equal(found, expected)
    assert not inference.inputs["input"].any()
    # The program reads its own array again afterwards.
    inference.program.run(network.team)
    np.testing.assert_array_equal(next(iter(inference.outputs.values())), network(np.zeros_like(images[:count])))


def test_images_in_another_order_of_memory_are_copied(graph: Graph, images: Images) -> None:
    network = Network(graph, seed=3, threads=2)
    np.testing.assert_array_equal(network(np.asfortranarray(images)), network(images))
    np.testing.assert_array_equal(network(np.repeat(images, 2, axis=0)[::2]), network(images))
