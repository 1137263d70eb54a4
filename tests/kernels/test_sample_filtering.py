"""Winograd's filtering along rows: its matrices, where it is used, and that it computes convolutions and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine import layouts
from archcost.engine.network import Network
from archcost.engine.training import Training
from archcost.graph import Graph
from archcost.kernels import sample_filtering_plan
from archcost.kernels.layers import convolution_layer
from archcost.kernels.sample_filtering_plan import POINTS, RowTile, row_tile
from archcost.kernels.target import current
from archcost.ops import Add, Conv2d, Flatten, Linear, ReLU
from archcost.train.accounting import account
from archcost.zoo.catalogue import load
from tests.engine.test_network import batch

TILES = [RowTile(2, 3), RowTile(4, 3), RowTile(2, 5), RowTile(4, 5)]


@pytest.mark.parametrize("tile", TILES, ids=str)
def test_matrices_give_the_sums_of_a_filter_and_its_gradients(tile: RowTile) -> None:
    rng = np.random.default_rng(3)
    d, g, e = (rng.normal(size=count) for count in (tile.points, tile.taps, tile.outputs))
    transforms = [np.array(matrix) for matrix in (tile.input, tile.filter, tile.output)]
    to_points, of_taps, to_outputs = transforms
    np.testing.assert_allclose(to_outputs @ ((of_taps @ g) * (to_points @ d)), np.correlate(d, g, "valid"), atol=1e-12)
    spread = to_points.T @ ((of_taps @ g) * (to_outputs.T @ e))
    np.testing.assert_allclose(spread, np.convolve(e, g), atol=1e-12)
    gradient = of_taps.T @ ((to_outputs.T @ e) * (to_points @ d))
    np.testing.assert_allclose(gradient, np.correlate(d, e, "valid"), atol=1e-12)
    assert len(POINTS[tile.points]) == tile.points - 1


def chosen(op: Conv2d, shape: tuple[int, int, int]) -> RowTile | None:
    output = op.out_shape(shape)
    return row_tile(convolution_layer(op, shape, output), (output[1], output[2]))


def test_rows_are_filtered_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(Conv2d(16, 5), (6, 14, 14)) == (4, 5)
    assert chosen(Conv2d(16, 3, padding=1), (12, 14, 14)) == (4, 3)
    assert chosen(Conv2d(6, 5), (1, 32, 32)) is None  # transforms cost what they spare
    assert chosen(Conv2d(16, 5, stride=2), (6, 14, 14)) is None
    assert chosen(Conv2d(16, 5, dilation=2), (6, 14, 14)) is None
    assert chosen(Conv2d(16, 1), (6, 14, 14)) is None
    assert chosen(Conv2d(16, 5), (6, 5, 5)) is None  # one output in a row
    assert chosen(Conv2d(16, 5), (6, 40, 40)) is None  # more tiles than are written out
    monkeypatch.setenv("ARCHCOST_WINOGRAD", "off")
    assert chosen(Conv2d(16, 5), (6, 14, 14)) is None


def network() -> Graph:
    """Return a network with padding, groups, no bias, and a map whose gradient two convolutions add to."""
    net = Builder("filtered")
    x = net(ReLU(), net(Conv2d(4, (2, 3), padding=((0, 1), (1, 0)), bias=False), net.input((2, 5, 9))), name="relu")
    y = net(Conv2d(4, 5, padding=2, groups=2), x)
    x = net(Add(), y, net(Conv2d(4, (1, 3), padding=(0, 1)), x))
    return net.build(net(Linear(3), net(Flatten(), x)))


@pytest.mark.parametrize("side", [2, 4])
def test_gradients_are_those_of_the_usual_layout(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    monkeypatch.setattr(sample_filtering_plan, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(sample_filtering_plan, "SIDES", (side,))
    monkeypatch.setattr(layouts, "IDLE_SHARE", -1.0)  # vectors of any width
    graph, images = network(), current().lanes("float64")
    net = Network(graph, precision="float64", threads=1)
    values, labels = batch(graph, images)
    results: list[dict[str, Any]] = []
    for usual in (True, False):
        training = Training(graph, images, net.setting, net.trained, net.gradients.arrays, keep=usual)
        training.lowered.inputs[graph.inputs[0].name][...] = values
        training.labels[:] = labels
        net.gradients.memory[...] = np.nan
        training.program.run(net.team)
        assert training.lowered.layout.samples != usual
        results.append({name: array.copy() for name, array in net.gradients.arrays.items()})
        found = account(training, "sgd")
        assert found.agrees
        assert ("are spared" in found.explanation) != usual
    for name, gradient in results[0].items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(results[1][name], gradient, rtol=1e-9, atol=1e-12 * scale, err_msg=name)


def test_rounding_stays_near_that_of_direct_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32, gradients of LeNet are within a millionth of those in float64, filtered or not."""
    monkeypatch.setattr(layouts, "IDLE_SHARE", -1.0)
    graph, images = load("lenet"), 2 * current().lanes("float32")
    values, labels = batch(graph, images, "float32")
    exact = Network(graph, precision="float64", threads=1).loss_and_gradients(values.astype(np.float64), labels)[1]
    filtered = Network(graph, threads=1).loss_and_gradients(values, labels)[1]
    monkeypatch.setenv("ARCHCOST_WINOGRAD", "off")
    direct = Network(graph, threads=1).loss_and_gradients(values, labels)[1]
    for name, gradient in exact.items():
        scale = np.sqrt((gradient**2).mean())
        for found in (filtered, direct):
            assert np.sqrt(((found[name] - gradient) ** 2).mean()) < 1e-6 * scale, name
    assert not np.array_equal(filtered["conv2.weight"], direct["conv2.weight"])
