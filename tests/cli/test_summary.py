"""``archcost summary``."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from archcost.report.columns import COLUMNS
from tests.cli.test_main import failed
from tests.conftest import Ended, catalogue_graph

Run = Callable[..., Ended]


def total_line(text: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith("total  ")).split()


def test_resnet50(run: Run) -> None:
    ended = run("summary", "resnet50")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("resnet50 (v1.5, stride in the 3x3, shortcut B), input 3x224x224, float32\n")
    assert total_line(ended.out)[1:3] == ["25,557,032", "4,089,184,256"]
    assert "2,408,448 elements" in ended.out
    assert "multiply-accumulates of convolution and dense layers" in ended.out


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("resnt50", ("unknown model 'resnt50' (did you mean 'resnet50'?)",)),
        ("qqqqqqqq", ("unknown model 'qqqqqqqq'",)),
        ("", ("unknown model ''",)),
        ("missing.json", ("cannot read 'missing.json': No such file or directory",)),
        ("missing.py:net", ("cannot read 'missing.py': no such file",)),
        ("net.onnx", ("cannot read", "net.onnx", "No such file")),
    ],
)
def test_unknown_model(run: Run, model: str, words: tuple[str, ...]) -> None:
    failed(run("summary", model), *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch-size", "0"), ("`batch_size` (=0) must be an integer of at least 1",)),
        (("--top", "0"), ("--top",)),
        (("--columns", "params,flop"), ("unknown column 'flop' (did you mean 'flops'?)",)),
        (("--columns", "params,params"), ("a column is named twice in params,params",)),
        (("--sort", "operator"), ("cannot sort by 'operator'",)),
        (("--only", "lstm"), ("no row matches 'lstm'", "--depth -1")),
        (("--dtype", "float17"), ("unknown dtype 'float17'",)),
        (("--train", "--optimizer", "lion"), ("unknown optimizer 'lion'; known are sgd",)),
        (("--train", "--dtype", "int8"), ("dtype 'int8' cannot be trained in",)),
        (("--freeze", "fc9"), ("pattern 'fc9' matches no layer with parameters (did you mean 'fc",)),
        (("--convention", "nonsense"), ("nonsense",)),
    ],
)
def test_wrong_requests(run: Run, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    failed(run("summary", "lenet", *arguments), *words)


def test_columns_help_lists_them(run: Run) -> None:
    ended = run("summary", "lenet", "--columns", "help")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == list(COLUMNS)


def test_convention_help_lists_them(run: Run) -> None:
    ended = run("summary", "lenet", "--convention", "help")
    assert ended.code == 0
    assert {"torchvision", "fvcore", "thop", "torchinfo"} <= {line.split()[0] for line in ended.out.splitlines()}


def test_columns_are_shown_in_the_order_asked_for(run: Run) -> None:
    out = run("summary", "lenet", "--columns", " activations, params ,kind").out
    assert re.split(r" {2,}", out.splitlines()[2].strip()) == ["layer", "activations", "params", "kind"]


def test_sorted_and_cut(run: Run) -> None:
    out = run("summary", "lenet", "--sort", "params", "--top", "2", "--columns", "params").out
    assert [line.split()[-1] for line in out.splitlines()[4:8]] == ["48,120", "10,164", "3,422", "61,706"]


def test_only_takes_lists_and_repetitions(run: Run) -> None:
    together = run("summary", "lenet", "--only", "fc1,fc2")
    apart = run("summary", "lenet", "--only", "fc1", "--only", "fc2")
    assert together == apart
    assert together.code == 0
    assert "(11 operators not shown)" in together.out


@pytest.mark.parametrize(("depth", "rows"), [("0", 1), ("1", 11), ("2", 15), ("-1", 69), ("99", 69)])
def test_depth(run: Run, depth: str, rows: int) -> None:
    lines = csv.DictReader(io.StringIO(run("summary", "resnet18", "--depth", depth, "--format", "csv").out))
    params = [int(line["params"]) for line in lines]
    assert (len(params), sum(params)) == (rows, 11_689_512)


def test_training_with_a_frozen_trunk(run: Run) -> None:
    freeze = ("--freeze", "conv1", "--freeze", "bn1", "--freeze", "layer*")
    out = run("summary", "resnet18", "--train", "--optimizer", "adamw", "--batch-size", "16", *freeze).out
    assert "513,000 trainable, 11,176,512 frozen" in out
    assert "gradients to inputs   0 mult-adds, 0 FLOPs" in out
    assert "gradients to weights  512,000 (512.0 k) mult-adds" in out
    assert "adamw update" in out
    assert "training memory, batch of 16 images" in out
    # the classifier keeps its 512 inputs of each image; 16 x 512 x 4 bytes = 1/32 MiB
    assert re.search(r"saved activations +0\.03 MiB", out)


def test_batch(run: Run) -> None:
    data = json.loads(run("summary", "lenet", "-b", "10", "--format", "json").out)
    assert data["totals"]["mult_adds"] == 416_520
    assert data["batch"] == {
        "size": 10,
        "mult_adds": 4_165_200,
        "flops": 8_459_020,
        "activations": 146_120,
        "input_bytes": 40_960,
        "peak_activation_bytes": 376_320,
    }


def test_convention_is_a_column_beside_ours(run: Run) -> None:
    ended = run("summary", "resnet50", "--convention", "fvcore", "--depth", "1")
    assert (ended.code, ended.err) == (0, "")
    assert total_line(ended.out)[-2:] == ["4,089,184,256", "4,111,512,576"]
    assert "as fvcore" in ended.out
    data = json.loads(run("summary", "resnet50", "--convention", "fvcore", "--format", "json").out)
    assert data["totals"]["counted"] == sum(layer["counted"] for layer in data["layers"]) == 4_111_512_576


def test_graph_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(catalogue_graph("resnet18").to_json(), encoding="utf-8")
    assert run("summary", str(path)) == run("summary", "resnet18")


def test_graph_of_giant_size_is_reported_or_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    """Counts beyond what a float holds: thirty axes of 2**40."""
    node = {"name": "x", "op": "Input", "shape": [2**40] * 30}
    work = {"name": "y", "op": "ReLU", "inputs": ["x"]}
    path = tmp_path / "huge.json"
    path.write_text(
        json.dumps({"schema": "archcost.graph/1", "name": "huge", "nodes": [node, work], "outputs": ["y"]}),
        encoding="utf-8",
    )
    ended = run("summary", str(path))
    if ended.code:
        failed(ended, "huge.json")
    else:
        assert f"{2**1200:,}" in ended.out


def test_hostile_names_are_shown_in_every_format(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "evil.json"
    nodes = [{"name": "x", "op": "Input", "shape": [3]}, {"name": "a|<b>_%&\nq", "op": "ReLU", "inputs": ["x"]}]
    path.write_text(
        json.dumps({"schema": "archcost.graph/1", "name": "e\nvil\ud800", "nodes": nodes, "outputs": ["a|<b>_%&\nq"]}),
        encoding="utf-8",
    )
    for form in ("table", "json", "csv", "md", "latex", "html"):
        ended = run("summary", str(path), "--format", form)
        if ended.code:
            failed(ended, "evil.json")
        else:
            assert ended.err == ""
            assert "<b>" not in ended.out or form != "html"
