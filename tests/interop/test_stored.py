"""Element types and zeros of a file of weights, by the layers of a graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archcost import Sequential
from archcost.errors import UsageError
from archcost.interop.stored import stored_weights
from archcost.interop.weights import write_weights
from archcost.ops import BatchNorm2d, Conv2d, Scale
from archcost.report.stored import Stored

GRAPH = Sequential({"conv": Conv2d(2, 1, bias=True), "bn": BatchNorm2d(), "gamma": Scale()}, (3, 2, 2), "tiny")


def arrays() -> dict[str, np.typing.NDArray[np.generic]]:
    return {
        "conv.weight": np.array([[1, 0, 2], [0, 0, 3]], np.float16).reshape(2, 3, 1, 1),
        "conv.bias": np.array([0, 1], np.float32),
        "bn.weight": np.ones(2),
        "bn.bias": np.zeros(2),
        "bn.running_mean": np.zeros(2),
        "bn.running_var": np.ones(2),
        "gamma": np.array([5, 0], np.int8),
    }


def test_parameters_are_counted_by_layer_and_buffers_are_not(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.npz", arrays())
    assert stored_weights(GRAPH, tmp_path / "w.npz") == {
        "conv": Stored(("float16", "float32"), 8, 4),
        "bn": Stored(("float64",), 4, 2),
        "gamma": Stored(("int8",), 2, 1),
    }


def test_safetensors_say_the_same(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason="weights in .safetensors need that package")
    write_weights(tmp_path / "w.npz", arrays())
    write_weights(tmp_path / "w.safetensors", arrays())
    assert stored_weights(GRAPH, tmp_path / "w.safetensors") == stored_weights(GRAPH, tmp_path / "w.npz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"conv.bias": None}, r"w\.npz does not fit tiny: 1 missing \(conv\.bias\) \(`--partial` leaves out"),
        ({"other": np.ones(1)}, r"1 unexpected \(other\)"),
        ({"bn.bias": np.ones(3)}, r"1 of another shape \(bn\.bias is 3, not 2\)"),
    ],
)
def test_what_does_not_fit_is_named_or_left_out(
    changed: dict[str, np.typing.NDArray[np.generic] | None], message: str, tmp_path: Path
) -> None:
    given = {name: array for name, array in {**arrays(), **changed}.items() if array is not None}
    write_weights(tmp_path / "w.npz", given)
    with pytest.raises(UsageError, match=message):
        stored_weights(GRAPH, tmp_path / "w.npz")
    assert stored_weights(GRAPH, tmp_path / "w.npz", partial=True)["gamma"] == Stored(("int8",), 2, 1)


def test_nothing_that_fits_is_an_error_even_so(tmp_path: Path) -> None:
    write_weights(tmp_path / "w.npz", {"other": np.ones(1)})
    with pytest.raises(UsageError, match=r"nothing in .* has the name and shape of a parameter of tiny"):
        stored_weights(GRAPH, tmp_path / "w.npz", partial=True)
