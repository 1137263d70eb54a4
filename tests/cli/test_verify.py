"""``archcost verify`` on the command line: what it shows, and that it ends with 1 when anything is wrong."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from archcost import ops, reference
from archcost.build import Builder
from archcost.cli import verify as command
from archcost.cli import verify_checks
from archcost.cost import Cost
from archcost.graph import Graph
from archcost.kernels import compiled
from archcost.kernels.operation import Gradient, Operation
from archcost.kernels.step import Step
from archcost.kernels.table import KERNELS
from archcost.reference import Execution, conv, reshape, table, work
from archcost.report import memory
from archcost.report.verify import Check
from archcost.zoo.catalogue import load
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]
Loop = Callable[[work.Work], work.Done]

POOL: type[ops.Op] = ops.MaxPool2d
DENSE: type[ops.Op] = ops.Linear


@pytest.fixture(autouse=True)
def _compiling_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without a cache, the first network that runs says so on stderr."""
    monkeypatch.setattr(compiled, "_announced", True)


@pytest.fixture(name="loops_alone")
def _loops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the engine out, for networks that are too large for a test of how they are reduced."""
    monkeypatch.setattr(verify_checks, "engine_checks", lambda *_: ())
    monkeypatch.setattr(verify_checks, "gradient_check", lambda *_: Check("gradients", "", "", holds=True))


def test_one_network(run: Run) -> None:
    ended = run("verify", "lenet")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("lenet (LeNet-5 as the lecture counts it: plain pooling), input 1x32x32, float64")
    assert lines[-1] == "verified: no difference in 13 operators"
    words = [line.split() for line in lines]
    assert ["executed", "61,706", "416,520", "14,612", "0"] in words
    assert ["computed", "61,706", "416,520", "14,612"] in words
    assert ["peak", "live", "bytes", "75,264", "75,264", "equal"] in words
    starts = [line[:6] for line in words]
    assert ["outputs", "of", "the", "engine", "<=", "1e-09"] in starts
    assert ["operators", "of", "the", "engine", "<=", "1e-12"] in starts
    assert ["gradients", "(2", "images", "of", "1x32x32)", "<="] in starts
    assert [line[-1] for line in words if line[:1] in (["outputs"], ["operators"], ["gradients"])] == ["within"] * 3


def test_several_networks_are_one_line_each(run: Run) -> None:
    ended = run("verify", "lenet", "lenet5_1998", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(ended.out)))
    assert [line["model"] for line in lines] == ["lenet", "lenet5_1998"]
    assert [line["difference"] for line in lines] == ["0", "0"]
    assert int(lines[1]["mult-adds executed"]) > 0


@pytest.mark.usefixtures("loops_alone")
def test_quick_reduces_the_image_and_says_so(run: Run) -> None:
    ended = run("verify", "mobilenet_v3_small", "vgg11", "--quick", "--format", "csv", "--dtype", "float32")
    small, large = csv.DictReader(io.StringIO(ended.out))
    assert ended.code == 0
    assert small["input"] == "3x224x224"
    assert large["input"] == "3x32x32 (own: 3x224x224)"
    assert int(large["params allocated"]) == 132_863_336


def test_an_image_that_was_asked_for_is_not_reduced(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LIMIT", 1_000)
    ended = run("verify", "lenet", "--input-size", "1x32x32", "--num-classes", "3")
    assert ended.code == 0
    assert ended.err == "archcost: lenet: 416.0 k mult-adds take plain loops a while\n".replace("416.0", "415.9")
    assert "input 1x32x32, float64" in ended.out


def test_depth_and_data(run: Run) -> None:
    assert len(run("verify", "lenet", "--depth", "0").out.splitlines()) < len(run("verify", "lenet").out.splitlines())
    data = json.loads(run("verify", "lenet", "--format", "json").out)
    assert (data["schema"], data["holds"], data["figures"]) == ("archcost.verify/1", True, [])
    (model,) = data["models"]
    assert len(model["layers"]) == model["operators"] == 13
    assert model["layers"][0]["mult_adds"] == {"computed": 117_600, "executed": 117_600}
    assert [check["what"] for check in model["checks"]] == [
        "peak live bytes",
        "operator at the peak",
        "outputs of the engine",
        "operators of the engine",
        "gradients (2 images of 1x32x32)",
    ]
    assert all(check["holds"] and check["checked"] for check in model["checks"])
    assert float(model["checks"][2]["executed"]) < 1e-13
    assert 0 < float(model["checks"][4]["executed"]) <= 1e-6
    two = json.loads(run("verify", "lenet", "lenet", "--format", "json").out)
    assert [model["layers"] for model in two["models"]] == [[], []]
    lines = list(csv.DictReader(io.StringIO(run("verify", "lenet", "--format", "csv").out)))
    assert sum(int(line["mult_adds_executed"]) for line in lines) == 416_520


@pytest.mark.parametrize("form", ["table", "json", "md", "html", "latex"])
def test_figures(run: Run, form: str) -> None:
    ended = run("verify", "--figures", "--dtype", "float32", "--format", form)
    assert ended.code == 0
    numbers = ("138357544", "12443648", "16384", "118784", "2160", "432", "240")
    assert all(number in ended.out.replace(",", "") for number in numbers)


@pytest.mark.usefixtures("loops_alone")
def test_all_goes_through_the_catalogue_and_the_figures(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from archcost.zoo import catalogue

    few = {name: catalogue.CATALOGUE[name] for name in ("lenet", "resnet18", "vgg16")}
    monkeypatch.setattr(catalogue, "CATALOGUE", few)
    monkeypatch.setattr(command, "QUICK_LIMIT", 40_000_000)
    ended = run("verify", "--all", "--quick", "--dtype", "float32", "--format", "json")
    data = json.loads(ended.out)
    assert ended.code == 0
    assert [model["name"] for model in data["models"]] == list(few)
    assert data["models"][1]["inputs"] == {"input": [3, 32, 32]}
    assert len(data["figures"]) == 7


def test_graph_files(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "lenet.json"
    path.write_text(load("lenet").to_json(), encoding="utf-8")
    assert run("verify", str(path)).out.splitlines()[-1] == "verified: no difference in 13 operators"


def test_usage(run: Run) -> None:
    failed(run("verify"), "name a model, or give `--all` or `--figures`")
    failed(run("verify", "lenet", "--all"), "name models or give `--all`, not both")
    failed(run("verify", "lennet"), "unknown model 'lennet' (did you mean 'lenet'?)")


def test_a_wrong_formula_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ops.Linear.cost
    monkeypatch.setattr(
        ops.Linear, "cost", lambda self, *inputs, **options: right(self, *inputs, **options) + Cost(self.out_features)
    )
    ended = run("verify", "lenet")
    assert ended.code == 1
    assert "mult-adds -84" in ended.out
    assert ended.out.splitlines()[-1] == "NOT verified: 3 of 13 operators differ, 1 of 9 checks"
    assert run("verify", "lenet", "lenet").code == 1
    assert json.loads(run("verify", "lenet", "--format", "json").out)["holds"] is False


def with_loop(op: type[ops.Op], loop: Loop) -> dict[type[ops.Op], Loop]:
    return {**table.LOOPS, op: loop}


def test_a_loop_that_counts_wrong_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def miscounted(task: work.Work) -> work.Done:
        y, count = conv.convolution(task)
        return y, count._replace(mult_adds=count.mult_adds - 1)

    monkeypatch.setattr(table, "LOOPS", with_loop(ops.Conv2d, miscounted))
    ended = run("verify", "lenet")
    assert ended.code == 1
    assert "mult-adds -1" in ended.out


def test_another_output_shape_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsqueezed(task: work.Work) -> work.Done:
        y, count = reshape.flatten(task)
        return y[:, None], count

    monkeypatch.setattr(table, "LOOPS", with_loop(ops.Flatten, unsqueezed))
    ended = run("verify", "lenet")
    assert ended.code == 1
    assert "shape 1x400, not 400" in ended.out


def test_other_parameters_than_computed_end_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = reference.allocated

    def larger(graph: Graph, dtype: str) -> tuple[dict[str, work.Array], dict[str, work.Array]]:
        parameters, buffers = right(graph, dtype)
        return {**parameters, "fc3.bias": np.zeros(11)}, buffers

    monkeypatch.setattr(reference, "allocated", larger)
    ended = run("verify", "lenet")
    assert ended.code == 1
    assert "params +1" in ended.out


def test_a_wrong_peak_ends_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = memory.peak_activations
    monkeypatch.setattr(memory, "peak_activations", lambda graph: memory.Peak(right(graph).elements - 1, "conv1", ()))
    ended = run("verify", "lenet")
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == "NOT verified: 0 of 13 operators differ, 2 of 9 checks"


def test_the_gradients_are_checked_on_an_image_of_their_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = list[tuple[Graph, int]]()

    def noted(graph: Graph, directions: int) -> Check:
        graphs.append((graph, directions))
        return Check("gradients", 0, 0, holds=True)

    monkeypatch.setattr(verify_checks, "engine_checks", lambda *_: ())
    monkeypatch.setattr(verify_checks, "gradient_check", noted)
    assert run("verify", "mobilenet_v3_small", "--quick").code == 0
    assert run("verify", "mobilenet_v3_small", "--input-size", "3x64x64").code == 0
    (quick, directions), (given, more) = graphs
    assert (quick.shapes["input"], directions) == ((3, 128, 128), 1)
    assert (given.shapes["input"], more) == ((3, 64, 64), 3)


def test_a_wrong_kernel_ends_with_1_and_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = KERNELS[ops.MaxPool2d]
    wrong = KERNELS[ops.AvgPool2d]

    def averaged(operation: Operation) -> list[Step]:
        return wrong.forward(replace(operation, op=ops.AvgPool2d(2)))

    monkeypatch.setitem(KERNELS, POOL, right._replace(forward=averaged))
    ended = run("verify", "lenet")
    assert ended.code == 1
    lines = {tuple(line.split()[:3]): line for line in ended.out.splitlines()}
    assert lines["operators", "of", "the"].endswith(" in pool1, pool2  DIFFERS")
    assert lines["outputs", "of", "the"].endswith("DIFFERS")
    assert "of 9 checks" in ended.out.splitlines()[-1]
    several = run("verify", "lenet", "lenet", "--format", "csv")
    assert several.code == 1
    (line, _) = csv.DictReader(io.StringIO(several.out))
    assert line["difference"].startswith("outputs of the engine ")


def test_a_wrong_gradient_ends_with_1_and_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = KERNELS[ops.Linear]

    def without(gradient: Gradient) -> list[Step]:
        return right.backward(replace(gradient, parameters={}) if gradient.forward.name == "fc2" else gradient)

    monkeypatch.setitem(KERNELS, DENSE, right._replace(backward=without))
    data = json.loads(run("verify", "lenet", "--format", "json").out)
    check = data["models"][0]["checks"][-1]
    assert not data["holds"]
    assert not check["holds"]
    assert {"fc2.weight", "fc2.bias"} == set(check["executed"].partition(" by ")[2].split(", "))


def test_what_the_engine_cannot_run_is_a_difference(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KERNELS, POOL)
    ended = run("verify", "lenet")
    assert ended.code == 1
    assert ended.out.count("MaxPool2d is counted, but cannot be run") == 2
    assert ended.out.splitlines()[-1] == "NOT verified: 0 of 13 operators differ, 2 of 8 checks"


def test_a_check_that_does_not_fit_into_the_memory_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 9000 kB\nMemAvailable:    1024 kB\n", encoding="ascii")
    monkeypatch.setattr(verify_checks, "MEMORY", path)
    ended = run("verify", "lenet")
    assert ended.code == 0
    assert "not checked: 0.00322 GiB needed, 0.000977 GiB free  open" in ended.out
    assert ended.out.splitlines()[-1] == "verified: no difference in 13 operators; 1 check could not be made"
    monkeypatch.setattr(verify_checks, "MEMORY", tmp_path / "none")
    assert run("verify", "lenet").out.splitlines()[-1] == "verified: no difference in 13 operators"


def test_networks_without_classes_or_parameters(run: Run, tmp_path: Path) -> None:
    for layer, check in ((ops.Conv2d(2, 3), "gradients (2 images of 2x5x5)"), (ops.ReLU(), "gradients")):
        net = Builder("map")
        path = tmp_path / "map.json"
        path.write_text(net.build(net(layer, net.input((2, 5, 5)))).to_json(), encoding="utf-8")
        data = json.loads(run("verify", str(path), "--format", "json").out)
        assert data["holds"]
        assert data["models"][0]["checks"][-1]["what"] == check
    assert data["models"][0]["checks"][-1]["executed"] == "no parameters"


def test_a_network_that_is_too_large_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Execution:
        raise MemoryError

    monkeypatch.setattr(reference, "execute", full)
    failed(run("verify", "lenet"), "lenet: its tensors do not fit into the memory (0.47 MiB of weights)")


def test_progress_is_for_a_terminal_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("verify", "lenet", "lenet").err == ""
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(command.told(["lenet", "vgg16"])) == ["lenet", "vgg16"]
    assert terminal.getvalue() == "\r\033[K1 of 2: lenet\r\033[K2 of 2: vgg16\r\033[K"
    assert list(command.told(["lenet"])) == ["lenet"]
    assert terminal.getvalue().count("lenet") == 1
