"""Evaluation: losses by their formulas, crops, and networks that are averaged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archcost.build import Sequential
from archcost.engine.network import Network
from archcost.engine.training import LossName
from archcost.errors import UsageError
from archcost.ops import Flatten, Linear, Softmax
from archcost.train.evaluation import crops, evaluated, goals, predictions, probabilities

LOGITS = np.array([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3], [-3.0, 4.0, 0.0]])
LABELS = np.array([0, 0, 1])


def linear(seed: int, *, softmax: bool = False) -> Network:
    layers = [Flatten(), Linear(3), *([Softmax()] if softmax else [])]
    return Network(Sequential(layers, (1, 4, 4)), seed=seed, threads=1)


def test_probabilities() -> None:
    shares = probabilities(LOGITS, "softmax")
    np.testing.assert_allclose(shares, np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True))
    np.testing.assert_allclose(probabilities(LOGITS, "bce"), 1 / (1 + np.exp(-LOGITS)))
    np.testing.assert_array_equal(probabilities(LOGITS, "mse"), LOGITS)
    huge = np.array([[1e4, -1e4]])
    np.testing.assert_array_equal(probabilities(huge, "softmax"), [[1, 0]])
    np.testing.assert_array_equal(probabilities(huge, "bce"), [[1, 0]])


def test_goals() -> None:
    np.testing.assert_array_equal(goals(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(goals(np.array([1, 0]), 1), [[1], [0]])


@pytest.mark.parametrize("softmax", [False, True])
def test_loss_and_accuracy_are_their_formulas(softmax: bool) -> None:
    net = linear(1, softmax=softmax)
    images = np.random.default_rng(0).normal(size=(7, 1, 4, 4)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1, 2, 0])
    weight, bias = net.parameters["1.weight"].astype(float), net.parameters["1.bias"].astype(float)
    logits = images.reshape(7, 16) @ weight.T + bias
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    sides = 1 / (1 + np.exp(-logits))
    one = np.eye(3)[labels]
    wanted: dict[LossName, tuple[float, float]] = {
        "softmax": (-np.log(shares[np.arange(7), labels]).mean(), (logits.argmax(1) == labels).mean()),
        "bce": (
            -(one * np.log(sides) + (1 - one) * np.log(1 - sides)).mean(),
            ((sides > 0.5) == one).all(1).mean(),
        ),
        "mse": (((logits - one) ** 2).mean(), (logits.argmax(1) == labels).mean()),
    }
    batches = [(images[:4], labels[:4]), (images[4:], labels[4:])]
    for loss, (value, accuracy) in wanted.items():
        found = evaluated([net], batches, loss)
        assert found.loss == pytest.approx(value, rel=1e-5)
        assert found.accuracy == pytest.approx(accuracy)
        assert found.images == 7


def test_networks_are_averaged() -> None:
    nets = [linear(seed) for seed in range(3)]
    images = np.random.default_rng(1).normal(size=(5, 1, 4, 4)).astype(np.float32)
    wanted = np.mean([probabilities(net.logits(images), "softmax") for net in nets], axis=0)
    np.testing.assert_allclose(predictions(nets, images, "softmax"), wanted)


def test_crops() -> None:
    images = np.arange(2 * 1 * 16 * 8, dtype=np.float32).reshape(2, 1, 16, 8)
    assert [len(list(crops(images, count))) for count in (1, 2, 5, 10)] == [1, 2, 5, 10]
    (whole,) = crops(images, 1)
    np.testing.assert_array_equal(whole, images)
    same, mirrored = crops(images, 2)
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(mirrored, images[..., ::-1])
    five = list(crops(images, 5))
    np.testing.assert_array_equal(five[0], images)
    # The upper left corner: moved by 2 rows and 1 column, the border repeated.
    np.testing.assert_array_equal(five[1][:, :, 2:, 1:], images[:, :, :-2, :-1])
    np.testing.assert_array_equal(five[1][:, :, 0, 1:], images[:, :, 0, :-1])
    np.testing.assert_array_equal(five[4][:, :, :-2, :-1], images[:, :, 2:, 1:])
    assert all(one.shape == images.shape for one in crops(images, 10))
    with pytest.raises(UsageError, match=r"`crops` \(=3\) must be 1, 2, 5 or 10"):
        list(crops(images, 3))


def test_a_probability_of_zero_has_a_finite_loss() -> None:
    net = linear(0)
    net.parameters["1.bias"][...] = [1e4, -1e4, 0]
    found = evaluated([net], [(np.zeros((1, 1, 4, 4), np.float32), np.array([1]))])
    assert math.isfinite(found.loss)
    assert found.accuracy == 0
