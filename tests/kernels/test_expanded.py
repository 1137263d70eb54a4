"""A convolution and the depthwise one behind it in bands compute what they compute one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.build import Builder
from archcost.engine.network import Network
from archcost.engine.timing import profiled
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.kernels import expanded
from archcost.kernels.passes import Window
from archcost.ops import Add, BatchNorm2d, Conv2d, GlobalAvgPool, ReLU6, SiLU


def pair(channels: int, size: tuple[int, int], kernel: int, stride: int, padding: int, dilation: int = 1) -> Graph:
    """Return a stem, and expansion, filters and reduction behind it."""
    net = Builder("pair")
    x = net(Conv2d(5, 3, padding=1), net.input((3, *size)), name="stem")
    y = net(SiLU(), net(BatchNorm2d(), net(Conv2d(channels, 1, bias=False), x, name="wide"), name="norm"), name="act")
    filters = Conv2d(channels, kernel, stride=stride, padding=padding, dilation=dilation, groups=channels)
    y = net(ReLU6(), net(filters, y, name="depthwise"), name="act2")
    return net.build(net(GlobalAvgPool(), net(Conv2d(7, 1), y, name="narrow"), name="mean"))


def outputs(graph: Graph, images: int, precision: Any, threads: int = 2) -> tuple[Any, list[str]]:
    """Return what a network gives for a batch of noise, and the nodes that have steps."""
    network = Network(graph, precision=precision, threads=threads)
    shape = graph.shapes[graph.inputs[0].name]
    values = np.random.default_rng(3).standard_normal((images, *shape)).astype(precision)
    found = network(values)
    return found, [name for name, _ in network.inference_steps(images)[1]]


@settings(max_examples=8)
@given(
    channels=st.sampled_from([3, 16, 40]),
    size=st.tuples(st.integers(3, 17), st.integers(3, 17)),
    kernel=st.sampled_from([3, 5]),
    stride=st.integers(1, 2),
    padding=st.integers(1, 3),
    images=st.integers(1, 2),
    bands=st.integers(1, 3),
)
def test_bands_give_the_same_numbers(
    channels: int, size: tuple[int, int], kernel: int, stride: int, padding: int, images: int, bands: int
) -> None:
    graph = pair(channels, size, kernel, stride, max(padding, kernel // 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expanded, "planned_bands", lambda *known: expanded.bands_of(known[0], known[1], known[2], bands))
        together, names = outputs(graph, images, "float64")
        patch.setenv("ARCHCOST_FUSED_PAIRS", "off")
        apart, more = outputs(graph, images, "float64")
    assert set(more) - set(names) == {"depthwise"}
    np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("target", ["avx512", "avx2", "portable"])
def test_every_kind_of_machine_and_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("ARCHCOST_TARGET", target)
    graph = pair(40, (13, 9), 3, 1, 1, dilation=2)
    found = [outputs(graph, 2, "float32", threads)[0] for threads in (1, 2, 3)]
    monkeypatch.setenv("ARCHCOST_FUSED_PAIRS", "off")
    np.testing.assert_allclose(found[0], outputs(graph, 2, "float32")[0], rtol=1e-5, atol=1e-6)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(3, 1, 1, 1), (5, 2, 2, 1), (3, 2, 0, 3), (3, 1, 4, 1)]
)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_bands_cover_all_rows(kernel: int, stride: int, padding: int, dilation: int, count: int) -> None:
    rows = 19
    window = Window((kernel, kernel), (stride, stride), ((padding, padding), (padding, padding)), (dilation, dilation))
    outputs_of = (rows + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1
    bands = expanded.bands_of(window, rows, outputs_of, count)
    assert [row for band in bands for row in range(band.first, band.first + band.outputs)] == list(range(outputs_of))
    for band in bands:
        read = [
            row * stride - padding + tap * dilation
            for row in range(band.first, band.first + band.outputs)
            for tap in (0, kernel - 1)
        ]
        assert band.rows == len([row for row in range(min(read), max(read) + 1) if 0 <= row < rows])


@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_every_thread_gets_a_band_and_one_alone_computes_no_row_twice(threads: int) -> None:
    window = Window((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    bands = expanded.planned_bands(window, 112, 112, [2], 1, threads)
    assert len(bands) >= threads
    assert sum(band.rows for band in bands) == 112 + 2 * (len(bands) - 1)
    assert threads > 1 or len(bands) == 1


def test_who_else_reads_the_map_between_keeps_it() -> None:
    net = Builder("shared")
    x = net(Conv2d(16, 1), net.input((16, 6, 6)), name="wide")
    y = net(Conv2d(16, 3, padding=1, groups=16), x, name="depthwise")
    _, names = outputs(net.build(net(Add(), x, y, name="sum")), 1, "float32")
    assert "depthwise" in names


def test_the_profile_counts_both(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = pair(16, (8, 8), 3, 1, 1)
    found = {layer.name: layer for layer in profiled(Network(graph), 1, 1).layers}
    assert found["wide"].also == "depthwise"
    monkeypatch.setenv("ARCHCOST_FUSED_PAIRS", "off")
    apart = {layer.name: layer for layer in profiled(Network(graph), 1, 1).layers}
    assert found["wide"].flops == apart["wide"].flops + apart["depthwise"].flops


def test_the_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHCOST_FUSED_PAIRS", "yes")
    with pytest.raises(UsageError, match=r"ARCHCOST_FUSED_PAIRS \(='yes'\) must be on or off"):
        Network(pair(16, (8, 8), 3, 1, 1))(np.zeros((1, 3, 8, 8), "float32"))
