"""Losses: values against NumPy, gradients against finite differences, counts of right predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.loss import binary_cross_entropy, cross_entropy, mean_squared_error
from archcost.kernels.target import TARGETS, Precision
from tests.kernels.running import PRECISIONS, TOLERANCE, Array, close, differences, plain, tensor


def logarithms(logits: Array) -> Array:
    """Return the logarithms of the softmax."""
    moved = logits - logits.max(1, keepdims=True)
    return np.asarray(moved - np.log(np.exp(moved).sum(1, keepdims=True)))


def entropy(logits: Array, labels: Array, smoothing: float) -> float:
    classes = logits.shape[1]
    goals = np.full(logits.shape, smoothing / classes)
    goals[np.arange(len(labels)), labels] += 1 - smoothing
    return float(-(goals * logarithms(logits)).sum() / len(logits))


@settings(max_examples=40)
@given(
    images=st.integers(1, 7),
    classes=st.integers(1, 40),
    smoothing=st.sampled_from([0.0, 0.1]),
    threads=st.integers(1, 3),
    target=st.sampled_from([*TARGETS]),
    precision=st.sampled_from(PRECISIONS),
)
def test_cross_entropy(
    images: int, classes: int, smoothing: float, threads: int, target: str, precision: Precision
) -> None:
    rng = np.random.default_rng(images * classes)
    logits = (rng.normal(size=(images, classes)) * 3).astype(precision)
    labels = rng.integers(0, classes, images)
    predictions, gradient = tensor(logits, target), tensor(np.zeros_like(logits), target)
    loss = cross_entropy(predictions, labels, precision, gradient=gradient, smoothing=smoothing)
    Program(loss.steps).run(team(threads))
    wide = logits.astype("float64")
    assert abs(loss.value[0] - entropy(wide, labels, smoothing)) < 1e-12
    assert loss.correct[0] == (logits.argmax(1) == labels).sum()
    wanted = differences(lambda: entropy(wide, labels, smoothing), wide)
    close(plain(gradient, (classes,)), wanted, 1e-5 if precision == "float32" else 1e-6, 1e-2)


def test_labels_are_read_at_each_run_and_large_logits_do_not_overflow() -> None:
    logits = tensor(np.array([[1e4, 0.0, -1e4]]), "avx512")
    labels = np.array([0])
    loss = cross_entropy(logits, labels, "float64")
    program = Program(loss.steps)
    program.run(team(1))
    assert (loss.value[0], loss.correct[0]) == (0, 1)
    labels[0] = 1
    program.run(team(1))
    assert (loss.value[0], loss.correct[0]) == (1e4, 0)


def binary(logits: Array, goals: Array) -> float:
    return float((np.logaddexp(0, logits) - goals * logits).mean())


def squared(predictions: Array, goals: Array) -> float:
    return float(((predictions - goals) ** 2).mean())


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(2, 21), (3, 5, 2, 4)])
@pytest.mark.parametrize("kind", ["binary", "squared"])
def test_losses_of_elements(kind: str, shape: tuple[int, ...], precision: Precision, target: str) -> None:
    rng = np.random.default_rng(1)
    values, goals = (rng.normal(size=shape) * 4).astype(precision), rng.uniform(0, 1, shape).astype(precision)
    goals[0] = values[0] > 0
    function, reference = {
        "binary": (binary_cross_entropy, binary),
        "squared": (mean_squared_error, squared),
    }[kind]
    gradient = tensor(np.zeros_like(values), target)
    loss = function(tensor(values, target), tensor(goals, target), precision, gradient=gradient)
    results = []
    for threads in (1, 2, 3):
        Program(loss.steps).run(team(threads))
        results.append(loss.value[0])
    assert results == results[:1] * 3
    wide, wide_goals = values.astype("float64"), goals.astype("float64")
    assert abs(loss.value[0] - reference(wide, wide_goals)) < 1e-12 * max(1, loss.value[0])
    wanted = differences(lambda: reference(wide, wide_goals), wide)
    close(plain(gradient, shape[1:]), wanted, max(1e-6, TOLERANCE[precision]))
    right = sum(bool(((v > 0) == (g > 0.5)).all()) for v, g in zip(values, goals)) if kind == "binary" else 0
    assert loss.correct[0] == right
