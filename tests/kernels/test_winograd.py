"""Winograd's filtering computes what the direct convolution does, wherever its tiles and units are cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.build import Builder, Sequential
from archcost.engine.network import Network
from archcost.engine.timing import profiled
from archcost.engine.training import Training
from archcost.errors import UsageError
from archcost.geometry import Pair
from archcost.graph import Graph
from archcost.kernels import layers, winograd_plan
from archcost.kernels.layers import Layer
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window
from archcost.kernels.target import current
from archcost.kernels.winograd_plan import Cut
from archcost.kernels.winograd_transforms import FILTER, INPUT, OUTPUT
from archcost.ops import Add, BatchNorm2d, Conv2d, GlobalAvgPool, Linear, MaxPool2d, ReLU, SiLU

Forcing = Callable[[Cut], None]


def forcing(patch: pytest.MonkeyPatch) -> Forcing:
    """Return what makes every convolution that fits be computed with a given cut, in both element types."""

    def chosen(cut: Cut) -> None:
        def plan(layer: Layer, _size: Pair) -> Cut | None:
            return cut if not layer.spreads and winograd_plan.fits(layer.filters, layer.window) else None

        patch.setattr(layers, "fast", lambda _images, _setting, threads, **_: plan if threads else layers.direct)

    return chosen


@pytest.fixture
def force(monkeypatch: pytest.MonkeyPatch) -> Forcing:
    return forcing(monkeypatch)


@pytest.mark.parametrize("outputs", [2, 4])
def test_the_matrices_filter_one_tile(outputs: int) -> None:
    generator = np.random.default_rng(0)
    image, kernel = generator.standard_normal((outputs + 2, outputs + 2)), generator.standard_normal((3, 3))
    into, weights, out = np.array(INPUT[outputs]), np.array(FILTER[outputs]), np.array(OUTPUT[outputs])
    found = out @ (weights @ kernel @ weights.T * (into @ image @ into.T)) @ out.T
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3))
    np.testing.assert_allclose(found, (windows * kernel).sum(axis=(2, 3)), rtol=1e-12, atol=1e-12)


def residual_network(channels: int, size: tuple[int, int], padding: int) -> Graph:
    """Return convolutions with a folded BatchNorm, a shortcut, activations and a reader of other borders."""
    net = Builder("residual")
    x = net(Conv2d(channels, 1), net.input((3, *size)), name="first")
    y = net(BatchNorm2d(), net(Conv2d(channels, 3, padding=padding, bias=False), x, name="conv1"), name="norm")
    if padding == 1:
        y = net(Add(), y, x, name="add")
    y = net(MaxPool2d(3, 2, padding=1), net(ReLU(), y, name="relu"), name="pool")
    y = net(SiLU(), net(Conv2d(channels + 7, 3, padding=1), y, name="conv2"), name="silu")
    return net.build(y)


def differences(graph: Graph, images: int, precision: Any) -> tuple[float, Network]:
    """Return how far a forced network is from the direct one in float64, relative to the largest output."""
    values = np.random.default_rng(1).standard_normal((images, *graph.shapes[graph.inputs[0].name]))
    own = Network(graph, precision=precision, threads=2)
    for name, buffer in own.buffers.items():
        if buffer.dtype.kind == "f":
            buffer[...] = 1.5 if "var" in name else 0.25
    exact = Network(graph, precision="float64", threads=2)
    exact.setting = replace(exact.setting, threads=0)
    for name, buffer in own.buffers.items():
        exact.buffers[name][...] = buffer
    for name, parameter in own.parameters.items():
        exact.parameters[name][...] = parameter
    wanted = np.asarray(exact(values))
    found = np.asarray(own(values.astype(precision)))
    return float(np.abs(found - wanted).max() / np.abs(wanted).max()), own


@settings(max_examples=6)
@given(
    outputs=st.sampled_from([2, 4]),
    tiles=st.integers(1, 9),
    groups=st.integers(1, 3),
    images=st.integers(1, 2),
    size=st.tuples(st.integers(4, 11), st.integers(4, 11)),
    padding=st.integers(0, 2),
    channels=st.sampled_from([5, 16, 37]),
)
def test_any_cut_in_float64(
    outputs: int, tiles: int, groups: int, images: int, size: tuple[int, int], padding: int, channels: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        forcing(patch)(Cut(outputs, tiles, groups, 2))
        difference, _ = differences(residual_network(channels, size, padding), images, "float64")
    assert difference < 1e-12


@pytest.mark.parametrize(("outputs", "tolerance"), [(2, 3e-6), (4, 1e-4)])
def test_float32_stays_close(force: Forcing, outputs: int, tolerance: float) -> None:
    force(Cut(outputs, 6, 2, 2))
    difference, own = differences(residual_network(37, (11, 9), 1), 2, "float32")
    assert 0 < difference < tolerance
    program, _ = own.inference_steps(2)
    tiles = 2 * -(-11 // outputs) * -(-9 // outputs), 2 * -(-6 // outputs) * -(-5 // outputs)
    products = (outputs + 2) ** 2 * (tiles[0] * 37 * 37 + tiles[1] * 37 * 44)
    assert program.mult_adds == products + 2 * 11 * 9 * 3 * 37


@pytest.mark.parametrize(("outputs", "precision", "tolerance"), [(2, "float64", 1e-12), (4, "float32", 1e-4)])
def test_groups_of_whole_vectors_are_convolutions_of_their_own(
    monkeypatch: pytest.MonkeyPatch, outputs: int, precision: Any, tolerance: float
) -> None:
    def plan(layer: Layer, _size: Pair) -> Cut | None:
        lanes = current().lanes(precision)
        return Cut(outputs, 4, 2, 2) if winograd_plan.possible(layer.filters, layer.window, lanes) else None

    monkeypatch.setattr(layers, "fast", lambda *_, **__: plan)
    net = Builder("groups")
    x = net(Conv2d(32, 1), net.input((3, 9, 11)), name="first")
    y = net(Conv2d(32, 3, padding=1, groups=2, bias=False), x, name="conv")
    y = net(ReLU(), net(Add(), net(BatchNorm2d(), y, name="norm"), x, name="add"), name="relu")
    y = net(Conv2d(64, 3, groups=2), y, name="wider")
    difference, own = differences(net.build(y), 2, precision)
    assert difference < tolerance
    program, _ = own.inference_steps(2)
    methods = [step.name for step in program.steps if step.method == f"Winograd F({outputs}x{outputs}, 3x3)"]
    assert methods == ["conv"] * 2 + ["wider"] * 2
    tiles = 2 * -(-9 // outputs) * -(-11 // outputs), 2 * -(-7 // outputs) * -(-9 // outputs)
    products = (outputs + 2) ** 2 * (tiles[0] * 2 * 16 * 16 + tiles[1] * 2 * 16 * 32)
    assert program.mult_adds == products + 2 * 9 * 11 * 3 * 32


def test_listed_connections_and_parts_of_vectors_are_computed_directly() -> None:
    window = Window((3, 3), padding=((1, 1), (1, 1)))
    filters = Filters(64, 64, (3, 3), groups=2)
    assert winograd_plan.possible(filters, window, 16)
    assert not winograd_plan.possible(replace(filters, groups=8), window, 16)
    connections = tuple((0, 1, output) for output in range(2, 64))
    assert not winograd_plan.possible(Filters(62, 64, (3, 3), connections=connections), window, 16)


def test_results_are_the_same_bits_for_any_thread_count(force: Forcing) -> None:
    graph = residual_network(37, (11, 9), 1)
    values = np.random.default_rng(1).standard_normal((2, 3, 11, 9)).astype("float32")
    found = []
    for threads in (1, 2, 3):
        force(Cut(4, 3, 2, threads))
        found.append(Network(graph, threads=threads)(values))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def plan_of(inputs: int, outputs: int, size: Pair, images: int = 1, **window: Any) -> Cut | None:
    chosen = Window(**{"kernel": (3, 3), "padding": ((1, 1), (1, 1)), **window})
    return winograd_plan.planned(Filters(outputs, inputs, chosen.kernel), chosen, size, images, current(), 4, 2)


def test_what_is_planned() -> None:
    large = plan_of(64, 64, (56, 56))
    assert large is not None
    assert large.outputs == 4
    assert plan_of(256, 256, (28, 28), 8) is not None
    assert plan_of(64, 64, (56, 56), stride=(2, 2)) is None
    assert plan_of(64, 64, (56, 56), kernel=(5, 5)) is None
    assert plan_of(64, 64, (56, 56), dilation=(2, 2)) is None
    assert plan_of(3, 64, (224, 224)) is None  # fewer channels than lanes
    assert plan_of(512, 512, (1, 1)) is None  # its weights alone take longer


@pytest.mark.parametrize("size", [4, 7, 14, 28, 56])
@pytest.mark.parametrize("channels", [16, 64, 256, 512])
def test_the_number_of_threads_does_not_choose_what_is_computed(channels: int, size: int) -> None:
    window, filters = Window((3, 3), padding=((1, 1), (1, 1))), Filters(channels, channels, (3, 3))
    for images in (1, 2, 8):
        cuts = [
            winograd_plan.planned(filters, window, (size, size), images, current(), 4, threads)
            for threads in (1, 2, 3, 8, 64)
        ]
        assert len({cut and cut.outputs for cut in cuts}) == 1
        assert all(cut is None or cut.threads == threads for cut, threads in zip(cuts, (1, 2, 3, 8, 64)))


@pytest.mark.parametrize("size", [14, 28, 56])
def test_the_best_cuts_begin_with_the_planned_one(size: int) -> None:
    window, filters = Window((3, 3), padding=((1, 1), (1, 1))), Filters(128, 128, (3, 3))
    for threads in (1, 2, 8):
        found = winograd_plan.planned(filters, window, (size, size), 1, current(), 4, threads)
        assert found is not None
        cuts = winograd_plan.best_cuts(filters, (size, size), 1, found.outputs, current(), 4, threads, 3)
        assert cuts[0] == found
        assert len(set(cuts)) == len(cuts) <= 3
        assert {(cut.outputs, cut.threads) for cut in cuts} == {(found.outputs, threads)}


def test_the_border_reaches_to_the_last_tile() -> None:
    window = Window((3, 3), padding=((1, 1), (0, 0)))
    assert winograd_plan.halo(window, (14, 8), 4) == ((1, 3), (0, 0))
    assert winograd_plan.halo(window, (7, 7), 2) == ((1, 2), (0, 1))


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Sequential([Conv2d(64, 3, padding=1), Conv2d(64, 3, padding=1), GlobalAvgPool()], (64, 24, 24))
    values = np.ones((1, 64, 24, 24), np.float32)
    executed = []
    for value in ("on", "off"):
        monkeypatch.setenv("ARCHCOST_WINOGRAD", value)
        net = Network(graph, threads=2)
        net(values)
        program, _ = net.inference_steps(1)
        executed.append(program.mult_adds)
        methods = [step.method for step in program.steps if step.method]
        assert methods == ["Winograd F(4x4, 3x3)"] * (2 if value == "on" else 0)
        assert [one.method for one in profiled(net, 1, 1).layers if one.method] == methods
    assert executed == [2 * 36 * 36 * 64 * 64, 2 * 9 * 24 * 24 * 64 * 64]
    monkeypatch.setenv("ARCHCOST_WINOGRAD", "maybe")
    with pytest.raises(UsageError, match=r"ARCHCOST_WINOGRAD \(='maybe'\) must be on or off"):
        Network(graph)(values)


def gradients(net: Network, images: Any, labels: Any, threads: int) -> dict[str, Any]:
    """Return loss and gradients of a training step, planned for ``threads`` threads (0: the direct way)."""
    net.setting = replace(net.setting, threads=threads)
    training = Training(net.graph, len(images), net.setting, net.trained, net.gradients.arrays)
    training.lowered.inputs[net.graph.inputs[0].name][...] = images
    training.labels[:] = labels
    training.program.run(net.team)
    assert ("Winograd" in {step.method.partition(" ")[0] for step in training.backward}) == bool(threads)
    return {"loss": training.loss.value.copy(), **{name: array.copy() for name, array in net.gradients.arrays.items()}}


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-3)])
@pytest.mark.parametrize(("outputs", "padding"), [(2, 0), (4, 1), (4, 2)])
def test_training_steps_give_the_gradients_of_the_direct_way(
    force: Forcing, outputs: int, padding: int, precision: Any, tolerance: float
) -> None:
    """The way back is a convolution with turned kernels, added to what another reader has left."""
    force(Cut(outputs, 5, 2, 2))
    net = Builder("training")
    x = net(Conv2d(21, 3, padding=1), net.input((3, 9, 11)), name="first")
    y = net(BatchNorm2d(), net(Conv2d(21, 3, padding=padding, bias=False), x, name="conv1"), name="norm")
    z = net(Conv2d(37, 3, padding=1), net(SiLU(), y, name="silu"), name="conv2")
    w = net(MaxPool2d(2), net(Conv2d(37, 3, padding=1), x, name="conv3"), name="pool")
    pooled = [net(GlobalAvgPool(), value, name=f"pool{number}") for number, value in enumerate((z, w))]
    graph = net.build(net(Linear(4), net(Add(), *pooled, name="add"), name="head"))
    own = Network(graph, precision=precision, threads=2)
    generator = np.random.default_rng(2)
    images, labels = generator.standard_normal((3, 3, 9, 11)).astype(precision), generator.integers(0, 4, 3)
    exact, found = (gradients(own, images, labels, threads) for threads in (0, 2))
    for name, wanted in exact.items():
        assert np.abs(found[name] - wanted).max() <= tolerance * max(1e-3, np.abs(wanted).max()), name
