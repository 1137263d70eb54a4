"""What of some weights goes into a network, by name and shape, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine.network import Network
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.interop.weights import load_into, read_weights, state_of, write_weights
from archcost.ops import BatchNorm2d, Conv2d, Flatten, GlobalAvgPool, Linear, Scale

if TYPE_CHECKING:
    from numpy.typing import NDArray


def small(classes: int = 3, *, gate: bool = False) -> Graph:
    """Return a network with every kind of stored tensor: weights, statistics, a bare scale."""
    net = Builder("small")
    x = net.input((3, 4, 4))
    x = net(Conv2d(4, 3, padding=1, bias=False), x, name="conv")
    x = net(BatchNorm2d(), x, name="bn")
    x = net(Scale(), x, name="layer_scale")
    x = net(GlobalAvgPool(), x, name="pool")
    if gate:
        x = net(Conv2d(4, 1), x, name="gate")
        return net.build(net(Linear(classes), net(Flatten(), x, name="flatten"), name="fc"))
    x = net(Flatten(), x, name="flatten")
    x = net(Linear(4), x, name="gate")
    return net.build(net(Linear(classes), x, name="fc"))


def state(seed: int = 1) -> dict[str, NDArray[Any]]:
    """Return what the framework would store for ``small()``."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> NDArray[Any]:
        return generator.standard_normal(shape).astype(np.float32)

    return {
        "conv.weight": normal(4, 3, 3, 3),
        "bn.weight": normal(4),
        "bn.bias": normal(4),
        "bn.running_mean": normal(4),
        "bn.running_var": normal(4) ** 2 + 1,
        "bn.num_batches_tracked": np.array(12, np.int64),
        "layer_scale": normal(4, 1, 1),
        "gate.weight": normal(4, 4),
        "gate.bias": normal(4),
        "fc.weight": normal(3, 4),
        "fc.bias": normal(3),
    }


def predicted(arrays: dict[str, NDArray[Any]], images: NDArray[Any]) -> NDArray[Any]:
    """Return the outputs of ``small()`` with these weights, in float64, by the formulas of its layers."""
    values = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = sum(
        np.einsum("ncij,oc->noij", padded[:, :, y : y + 4, x : x + 4], values["conv.weight"][:, :, y, x])
        for y in range(3)
        for x in range(3)
    )

    def channel(name: str) -> NDArray[Any]:
        return values[name].reshape(1, -1, 1, 1)

    maps = (maps - channel("bn.running_mean")) / np.sqrt(channel("bn.running_var") + 1e-5)
    maps = (maps * channel("bn.weight") + channel("bn.bias")) * channel("layer_scale")
    features = maps.mean((2, 3)) @ values["gate.weight"].T + values["gate.bias"]
    result: NDArray[Any] = features @ values["fc.weight"].T + values["fc.bias"]
    return result


IMAGES = np.random.default_rng(2).standard_normal((2, 3, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_network_computes_with_what_was_loaded(tmp_path: Path, suffix: str) -> None:
    net = Network(small())
    before = np.asarray(net(IMAGES))  # packs the first weights
    write_weights(tmp_path / f"w{suffix}", state())
    report = load_into(net, read_weights(tmp_path / f"w{suffix}"))
    assert report.complete
    assert set(report.loaded) == {*net.parameters, *net.buffers}
    assert report.lines() == ["loaded 11 tensors"]
    found = np.asarray(net(IMAGES))
    np.testing.assert_allclose(found, predicted(state(), IMAGES), rtol=2e-5, atol=2e-5)
    assert np.abs(found - before).max() > 0.1


def test_the_state_of_a_network_loads_into_another() -> None:
    one, other = Network(small(), seed=1), Network(small(), seed=2)
    load_into(one, state())
    found = state_of(one)
    assert set(found) == set(state())
    for name, array in state().items():
        np.testing.assert_array_equal(found[name].reshape(array.shape), array)
    load_into(other, found)
    np.testing.assert_array_equal(np.asarray(one(IMAGES)), np.asarray(other(IMAGES)))
    found["fc.bias"] += 1
    np.testing.assert_array_equal(one.parameters["fc.bias"], state()["fc.bias"])


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_become_those_of_the_network(precision: Any, dtype: str) -> None:
    arrays = {name: array if array.dtype == np.int64 else array.astype(dtype) for name, array in state().items()}
    net = Network(small(), precision=precision)
    report = load_into(net, arrays)
    assert report.converted == ({} if dtype == precision else {dtype: 10})
    assert report.lines()[1:] == ([] if dtype == precision else [f"10 of {dtype} converted to {precision}"])
    for name in ("conv.weight", "fc.bias"):
        assert net.parameters[name].dtype == precision
        np.testing.assert_array_equal(net.parameters[name], arrays[name].astype(precision))
    assert int(net.buffers["bn.num_batches_tracked"]) == 12


def test_weights_fit_both_ways_of_writing_a_gate() -> None:
    dense, convolution = Network(small()), Network(small(gate=True))
    load_into(dense, state())
    report = load_into(convolution, state())
    assert report.complete
    assert convolution.parameters["gate.weight"].shape == (4, 4, 1, 1)
    load_into(dense, dict(state_of(convolution)))
    np.testing.assert_allclose(np.asarray(dense(IMAGES)), np.asarray(convolution(IMAGES)), rtol=1e-5, atol=1e-6)


def changed(**changes: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    """Return the state with tensors replaced, added or (None) removed; ``__`` stands for a dot."""
    arrays = state()
    for name, array in changes.items():
        if array is None:
            del arrays[name.replace("__", ".")]
        else:
            arrays[name.replace("__", ".")] = array
    return arrays


REFUSED: list[tuple[dict[str, NDArray[Any]], str]] = [
    (
        changed(fc__bias=None),
        r"^the weights cannot be loaded into small: 1 missing \(fc\.bias\) \(`partial` loads what fits\)$",
    ),
    (changed(aux__weight=np.zeros(2)), r"1 unexpected \(aux\.weight\) \(`partial`"),
    (changed(fc__weight=np.zeros((10, 4))), r"1 of another shape \(fc\.weight is 10x4, not 3x4\) \(`partial`"),
    (changed(fc__weight=np.zeros((4, 3))), r"1 of another shape \(fc\.weight is 4x3, not 3x4\) \(`partial`"),
    (
        {f"module.{name}": array for name, array in state().items()},
        r"10 missing \(conv\.weight, .*, .*, \.\.\.\); 11 unexpected \(module\.conv\.weight, .*, .*, \.\.\.\) ",
    ),
    (changed(fc__bias=np.array([1e39, 0, 0])), "fc.bias in the weights has values that float32 cannot hold"),
    (changed(fc__bias=np.array(["a", "b", "c"])), "fc.bias in the weights has elements of type <U1, not float32"),
    (changed(bn__num_batches_tracked=np.array(1.5)), "num_batches_tracked in the weights has elements of type float64"),
    ({}, "cannot be loaded into small: 10 missing"),
]


@pytest.mark.parametrize(("arrays", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_weights_that_do_not_fit_change_nothing(arrays: dict[str, NDArray[Any]], message: str) -> None:
    net = Network(small())
    before = state_of(net)
    with pytest.raises(UsageError, match=message) as caught:
        load_into(net, arrays)
    assert "\n" not in str(caught.value)
    for name, array in state_of(net).items():
        np.testing.assert_array_equal(array, before[name])


def test_partial_loads_what_fits_and_reports_the_rest() -> None:
    net = Network(small())
    before = state_of(net)
    report = load_into(
        net, changed(gate__bias=None, aux=np.zeros(2), fc__weight=np.zeros((9, 4)), fc__bias=np.zeros(9)), partial=True
    )
    assert (report.missing, report.unexpected) == (("gate.bias",), ("aux",))
    assert [str(one) for one in report.wrong_shape] == ["fc.weight is 9x4, not 3x4", "fc.bias is 9, not 3"]
    assert not report.complete
    assert report.lines(1) == [
        "loaded 8 tensors",
        "1 missing (gate.bias)",
        "1 unexpected (aux)",
        "2 of another shape (fc.weight is 9x4, not 3x4, ...)",
    ]
    now = state_of(net)
    np.testing.assert_array_equal(now["conv.weight"], state()["conv.weight"])
    for name in ("gate.bias", "fc.weight", "fc.bias"):
        np.testing.assert_array_equal(now[name], before[name])


def test_partial_that_loads_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"^nothing in w\.npz has the name and shape of a tensor of small$"):
        load_into(Network(small()), {"other": np.zeros(3)}, partial=True, source="w.npz")


def test_what_is_ignored_is_neither_written_nor_missed() -> None:
    net = Network(small())
    before = state_of(net)
    arrays = changed(fc__weight=np.zeros((9, 4)), fc__bias=None, aux__fc__bias=np.zeros(4))
    report = load_into(net, arrays, ignore=["fc", "aux", "*.running_*"])
    assert report.complete
    assert set(report.ignored) == {
        "fc.weight",
        "fc.bias",
        "aux.fc.bias",
        "bn.running_mean",
        "bn.running_var",
    }
    assert report.lines(1)[1].startswith("5 left out (")
    now = state_of(net)
    for name in ("fc.weight", "fc.bias", "bn.running_var"):
        np.testing.assert_array_equal(now[name], before[name])
    np.testing.assert_array_equal(now["gate.weight"], arrays["gate.weight"])


def test_a_counter_of_batches_may_be_missing() -> None:
    net = Network(small())
    assert load_into(net, changed(bn__num_batches_tracked=None)).complete
    assert int(net.buffers["bn.num_batches_tracked"]) == 0
