"""Strassen's product computes what the direct convolution does, wherever its tiles and units are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.build import Builder, Sequential
from archcost.engine.network import Network
from archcost.engine.timing import profiled
from archcost.errors import UsageError
from archcost.geometry import Pair
from archcost.graph import Graph
from archcost.kernels import layers, strassen_plan
from archcost.kernels.layers import Layer
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.panels import Filters
from archcost.kernels.passes import Window, forward_pass
from archcost.kernels.strassen_plan import Split
from archcost.kernels.strassen_tables import lined, paired, reading_ahead, units
from archcost.kernels.target import current
from archcost.ops import Add, BatchNorm2d, Conv2d, GlobalAvgPool, ReLU, SiLU
from tests.kernels.test_winograd import differences

Forcing = Callable[[Split], None]


def forcing(patch: pytest.MonkeyPatch) -> Forcing:
    """Return what makes every convolution that fits be computed with a given split, in both element types."""

    def chosen(split: Split) -> None:
        def fast(_images: int, setting: layers.Setting, threads: int, **_: Any) -> layers.FastPlan:
            lanes = setting.machine.lanes(setting.precision)

            def plan(layer: Layer, size: Pair) -> Split | None:
                return split if strassen_plan.possible(layer.filters, layer.window, size, lanes) else None

            return plan if threads else layers.direct

        patch.setattr(layers, "fast", fast)

    return chosen


def residual_network(channels: int, size: Pair, stride: int = 1) -> Graph:
    """Return 1x1 convolutions with a folded BatchNorm, a shortcut and activations, one of them read with a border."""
    net = Builder("residual")
    x = net(Conv2d(channels, 1), net.input((3, *size)), name="first")
    y = net(BatchNorm2d(), net(Conv2d(channels, 1, bias=False), x, name="square"), name="norm")
    y = net(ReLU(), net(Add(), y, x, name="add"), name="relu")
    y = net(SiLU(), net(Conv2d(2 * channels, 1, stride=stride), y, name="wide"), name="silu")
    y = net(Conv2d(2 * channels, 3, padding=1, groups=2 * channels), y, name="depthwise")
    return net.build(net(Conv2d(channels, 1), y, name="narrow"))


@settings(max_examples=10)
@given(
    pixels=st.integers(1, 60),
    groups=st.integers(1, 3),
    images=st.integers(1, 3),
    size=st.sampled_from([(1, 2), (7, 7), (6, 9), (10, 4), (3, 8)]),
    channels=st.sampled_from([32, 96]),
    stride=st.integers(1, 2),
)
def test_any_split_in_float64(pixels: int, groups: int, images: int, size: Pair, channels: int, stride: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        forcing(patch)(Split(pixels, groups, 2))
        difference, own = differences(residual_network(channels, size, stride), images, "float64")
        program, _ = own.inference_steps(images)
    assert "square" in {step.name for step in program.steps if step.method == "Strassen"}
    assert difference < 1e-13


@pytest.mark.parametrize("target", ["avx512", "avx2", "neon", "portable"])
def test_float32_stays_close_with_vectors_of_any_width(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("ARCHCOST_TARGET", target)
    forcing(monkeypatch)(Split(20, 2, 2))
    difference, own = differences(residual_network(64, (6, 10)), 2, "float32")
    assert 0 < difference < 1e-6
    program, _ = own.inference_steps(2)
    counts = {step.name: step.mult_adds for step in program.steps if step.method == "Strassen"}
    assert counts == {
        name: 2 * 60 * products * 7 // 8 for name, products in (("square", 64**2), ("wide", 8192), ("narrow", 8192))
    }


def test_an_image_has_no_part_in_the_result_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    forcing(monkeypatch)(Split(9, 1, 2))
    net = Network(residual_network(32, (6, 6)), threads=2)
    values = np.random.default_rng(0).standard_normal((3, 3, 6, 6)).astype("float32")
    usual = np.array(net(values))
    values[1] = np.inf
    with np.errstate(invalid="ignore"):
        broken = np.asarray(net(values))
    np.testing.assert_array_equal(broken[[0, 2]], usual[[0, 2]])
    assert not np.isfinite(broken[1]).any()


def test_results_are_the_same_bits_for_any_thread_count(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = residual_network(64, (10, 6))
    values = np.random.default_rng(1).standard_normal((2, 3, 10, 6)).astype("float32")
    found = []
    for threads in (1, 2, 3):
        forcing(monkeypatch)(Split(9, 2, threads))
        found.append(Network(graph, threads=threads)(values))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@given(
    images=st.integers(1, 3),
    size=st.tuples(st.integers(1, 12), st.integers(2, 40)),
    border=st.booleans(),
    longest=st.integers(1, 14),
)
def test_each_output_is_in_a_tile(images: int, size: Pair, border: bool, longest: int) -> None:
    halo = ((1, 1), (1, 1)) if border else NO_HALO
    source, target = (Blocked.make(images, (16, *size), sides, 16, "float32") for sides in (NO_HALO, halo))
    whole = forward_pass(Window((1, 1)), source, target, None).field
    field = lined(whole)
    steps = field.source.pixel_step, field.target.pixel_step
    found = [
        tuple(pair.offsets[side] + second * pair.down[side] + pixel * steps[side] for side in (0, 1))
        for pair in paired(field, longest)
        for second in (0, 1)
        for pixel in range(pair.pixels)
    ]
    assert all(pair.pixels <= longest for pair in paired(field, longest))
    operands = whole.source, whole.target
    wanted = [
        tuple(image * one.image_step + row * one.row_step + column * one.pixel_step for one in operands)
        for image in range(images)
        for row in range(size[0])
        for column in range(size[1])
    ]
    assert set(found) == set(wanted)
    rows = images * size[0] if border else images
    assert len(found) - len(wanted) <= (rows if size[0] * size[1] % 2 else 0)


@given(
    pixels=st.lists(st.integers(1, 30), min_size=1, max_size=40),
    panels=st.integers(1, 20),
    most=st.integers(1, 99),
    groups=st.integers(1, 4),
)
def test_units_go_through_all_tiles_and_panels_once(pixels: list[int], panels: int, most: int, groups: int) -> None:
    found = units(pixels, panels, Split(most, groups, 2))
    done = [
        (tile, panel)
        for first, count, start, end in found
        for tile in range(first, first + count)
        for panel in range(start, end)
    ]
    assert sorted(done) == [(tile, panel) for tile in range(len(pixels)) for panel in range(panels)]
    assert all(sum(pixels[first : first + count]) <= most + 2 * max(pixels) for first, count, *_ in found)


@pytest.mark.parametrize(
    ("tiles", "vector", "wanted"), [(1, 64, (1, 256)), (3, 64, (2, 128)), (9, 64, (4, 64)), (9, 16, (1, 64))]
)
def test_the_next_panel_is_read_ahead_evenly(tiles: int, vector: int, wanted: tuple[int, int]) -> None:
    assert reading_ahead(tiles, vector) == wanted


def test_what_is_planned() -> None:
    def plan(inputs: int, outputs: int, size: Pair, images: int = 1, **window: Any) -> Split | None:
        chosen = Window(**{"kernel": (1, 1), **window})
        filters = Filters(outputs, inputs, chosen.kernel)
        return strassen_plan.planned(filters, chosen, size, images, current(), 4, 2)

    assert plan(512, 512, (14, 14)) is not None
    assert plan(128, 512, (28, 28), 8, stride=(2, 2)) is not None
    assert plan(64, 256, (56, 56)) is None  # few channels
    assert plan(512, 512, (7, 7), 8) is not None
    assert plan(832, 192, (28, 28)) is None  # few outputs for each input that is added up
    assert plan(512, 192, (14, 14)) is None  # little work
    assert plan(2048, 2048, (8, 8)) is None  # the weights come from memory for few pixels
    assert plan(512, 512, (14, 14), padding=((1, 1), (1, 1))) is None
    assert plan(512, 512, (14, 14), kernel=(3, 3)) is None
    assert not strassen_plan.possible(Filters(512, 512, (1, 1), groups=2), Window((1, 1)), (14, 14), 16)
    assert not strassen_plan.possible(Filters(520, 512, (1, 1)), Window((1, 1)), (14, 14), 16)
    deep, shallow = plan(2048, 512, (14, 14)), plan(128, 512, (28, 28))
    assert deep is not None
    assert shallow is not None
    assert 1 < deep.pixels_of_unit < shallow.pixels_of_unit


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = Sequential([Conv2d(256, 1), Conv2d(128, 1), GlobalAvgPool()], (128, 30, 30))
    values = np.random.default_rng(0).standard_normal((1, 128, 30, 30)).astype("float32")
    results = []
    for value in ("on", "off"):
        monkeypatch.setenv("ARCHCOST_STRASSEN", value)
        net = Network(graph, threads=2)
        results.append(np.array(net(values)))
        program, _ = net.inference_steps(1)
        methods = [step.method for step in program.steps if step.method]
        assert methods == ["Strassen"] * (2 if value == "on" else 0)
        assert [one.method for one in profiled(net, 1, 1).layers if one.method] == methods
        assert program.mult_adds == (7 if value == "on" else 8) * 2 * 900 * 128 * 256 // 8
    assert 0 < np.abs(results[0] - results[1]).max() < 1e-5 * np.abs(results[1]).max()
    monkeypatch.setenv("ARCHCOST_STRASSEN", "maybe")
    with pytest.raises(UsageError, match=r"ARCHCOST_STRASSEN \(='maybe'\) must be on or off"):
        Network(graph)(values)
