"""A runtime's process, its requests, and the numbers that are compared before anything is timed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archcost.bench.cases import Case
from archcost.bench.client import Client, RuntimeFailedError
from archcost.bench.measuring import AGREEMENT, Measuring, difference
from archcost.bench.prepared import Weights, graph_of, inputs, prepare
from archcost.bench.results import Comparison
from archcost.bench.worker import Worker
from archcost.engine.network import Network
from archcost.kernels import compiled

LENET = Case("lenet", 2, inputs=2)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say nothing about compiling without a cache."""
    monkeypatch.setattr(compiled, "_announced", True)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of a case."""
    folder = tmp_path_factory.mktemp("case")
    prepare(LENET, folder, onnx=False)
    return folder


def test_a_worker_computes_what_the_network_computes(folder: Path, tmp_path: Path) -> None:
    worker = Worker("archcost")
    assert worker.answer({"do": "import"}) == {}
    opened = worker.answer({"do": "open", "case": LENET.as_dict(), "folder": str(folder), "threads": 1})
    assert opened["ready"] > 0
    assert opened["first"] > 0
    assert opened["loss"] is None
    file = tmp_path / "outputs.npy"
    worker.answer({"do": "results", "count": 1, "file": str(file)})
    network = Network(graph_of(LENET), threads=1)
    weights = Weights(folder)
    assert set(weights) == {*network.parameters, *network.buffers}
    for name in network.parameters:
        network.parameters[name][...] = weights[name]
    np.testing.assert_array_equal(np.load(file), network(inputs(folder)[0][0]))
    weights.close()
    assert worker.answer({"do": "phase", "seconds": 0.0})["calls"] == 3
    assert set(worker.answer({"do": "peak"})) == {"bytes"}
    worker.answer({"do": "close"})
    assert worker._run is None


def test_preparing_twice_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    prepare(LENET, tmp_path, onnx=False)
    for first, second in zip(inputs(folder), inputs(tmp_path)):
        np.testing.assert_array_equal(first, second)
    one, other = Weights(folder), Weights(tmp_path)
    assert len(one) == len(other) == 10
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    assert inputs(folder)[0].shape == (2, 2, 1, 32, 32)
    assert inputs(folder)[1].max() < 10
    assert one["conv1.bias"].any()  # so that a bias that is lost would show
    one.close()
    other.close()


def test_a_runtime_that_is_not_there_is_one_line() -> None:
    with Client("no_such_runtime") as client:
        with pytest.raises(RuntimeFailedError, match=r"^ModuleNotFoundError: No module named 'no_such_run") as caught:
            client.ask("import")
        assert caught.value.runtime == "no_such_runtime"
        client._process.kill()
        client._process.wait()
        with pytest.raises(RuntimeFailedError, match=r"^its process ended \(-?\d+\): it said nothing$"):
            client.ask("import")


def test_outputs_that_differ_are_not_timed() -> None:
    ours = np.array([[1.0, -4.0]], np.float32)
    near = ours + np.float32(4 * AGREEMENT / 2)
    far = ours + np.float32(4 * AGREEMENT * 2)
    result = Comparison("inference", Case("lenet", 1))
    measuring = Measuring(["archcost"], 1, 1, 0.0)
    ready = measuring._agreeing({"archcost": ours, "near": near, "far": far, "none": far * np.nan}, result)
    assert ready == ["archcost", "near"]
    assert result.differences["near"] == pytest.approx(AGREEMENT / 2, rel=1e-3)
    assert result.refused == {
        "far": "its results differ by 2e-03 of the largest",
        "none": "its results differ by inf of the largest",
    }


def test_differences() -> None:
    ours = np.array([2.0, -8.0])
    assert difference(ours, np.array([3.0, -8.0])) == 0.125
    assert difference(ours, ours) == 0
    assert difference(ours, ours[:1]) == np.inf
    assert difference(ours, np.array([np.nan, 1.0])) == np.inf
    assert difference(np.zeros(2), np.array([0.0, 0.5])) == 0.5
