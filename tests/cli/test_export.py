"""``archcost export``: files of every kind, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archcost import Graph
from archcost.interop.state import State
from archcost.interop.weights import write_weights
from archcost.zoo.catalogue import load
from tests.conftest import Ended

Run = Callable[..., Ended]


def test_json_is_the_graph(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "small.json"
    assert run("export", "lenet", str(file), "--num-classes", "7") == (0, "", "")
    assert Graph.from_json(file.read_text()) == load("lenet", num_classes=7)


def test_dot_is_a_picture(run: Run, tmp_path: Path) -> None:
    assert run("export", "lenet", str(tmp_path / "a.DOT")).code == 0
    assert (tmp_path / "a.DOT").read_text().startswith('digraph "lenet" {')


def test_onnx_has_the_weights_of_a_file_or_first_values(run: Run, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="writing ONNX needs the onnx package")
    graph = load("lenet")
    arrays = State(graph, seed=4).arrays
    write_weights(tmp_path / "w.npz", arrays)
    file = str(tmp_path / "a.onnx")
    options = {"weights": ("--weights", str(tmp_path / "w.npz")), "seed": ("--seed", "4", "--opset", "17")}
    for opset, chosen in ((20, options["weights"]), (17, options["seed"])):
        assert run("export", "lenet", file, *chosen) == (0, "", "")
        model = onnx.load(file)
        onnx.checker.check_model(model, full_check=True)
        assert model.opset_import[0].version == opset
        found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


def test_a_way_out_and_back_in_keeps_names_costs_and_weights(run: Run, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="writing ONNX needs the onnx package")
    first, second = str(tmp_path / "a.onnx"), str(tmp_path / "b.onnx")
    for model, file in (("mobilenet_v2", first), (first, second)):
        size = ("--input-size", "3x32x32", "--option", "width=0.35") if model == "mobilenet_v2" else ()
        assert run("export", model, file, *size) == (0, "", "")
    one, two = onnx.load(first).graph, onnx.load(second).graph
    values = [{tensor.name: tensor.raw_data for tensor in graph.initializer} for graph in (one, two)]
    assert values[0] == values[1]
    columns = [run("summary", file, "--format", "csv", "--columns", "params,mult_adds,flops,activations").out
               for file in (first, second)]  # fmt: skip
    wanted = run("summary", "mobilenet_v2", "--option", "width=0.35", "--input-size", "3x32x32", "--format", "csv",
                 "--columns", "params,mult_adds,flops,activations").out  # fmt: skip
    assert columns == [wanted, wanted]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lenet", "a.txt"), r"cannot write '.*a\.txt': the file must end in \.onnx, \.json, \.dot"),
        (("lenet", "a"), "the file must end in"),
        (("lenet", "a.json", "--weights", "w.npz"), "`--weights`, `--partial` and `--opset` are for .onnx"),
        (("lenet", "a.dot", "--opset", "17"), "are for .onnx"),
        (("lenet", "a.onnx", "--weights", "none.npz"), r"cannot read 'none\.npz': No such file"),
        (("lenet", "a.onnx", "--weights", "model.pth"), "in PyTorch, convert it: import torch"),
        (("lenett", "a.onnx"), "unknown model 'lenett'"),
        (("lenet", "a.onnx", "--seed", "-1"), r"`seed` \(=-1\) must be an integer from 0"),
        (("lenet", "no/such/folder/a.json"), "cannot write .*: No such file"),
    ],
)
def test_what_is_refused(
    run: Run, arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("export", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert re.search(message, ended.err), ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="writing ONNX needs the onnx package")
    ended = run("export", "lenet", str(tmp_path / "a.onnx"), "--opset", "7")
    assert ended.code == 2
    assert "`--opset` (=7) must be from 13 to" in ended.err
    assert list(tmp_path.iterdir()) == []
