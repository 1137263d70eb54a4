"""``archcost verify`` on the command line: what it shows, and that it ends with 1 when anything is wrong."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archcost import ops, reference
from archcost.cli import verify as command
from archcost.cost import Cost
from archcost.graph import Graph
from archcost.reference import Execution, conv, reshape, table, work
from archcost.report import memory
from archcost.zoo.catalogue import load
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]
Loop = Callable[[work.Work], work.Done]


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


def test_several_networks_are_one_line_each(run: Run) -> None:
    ended = run("verify", "lenet", "lenet5_1998", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(ended.out)))
    assert [line["model"] for line in lines] == ["lenet", "lenet5_1998"]
    assert [line["difference"] for line in lines] == ["0", "0"]
    assert int(lines[1]["mult-adds executed"]) > 0


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
    assert [check["what"] for check in model["checks"]][:2] == ["peak live bytes", "operator at the peak"]
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
    assert ended.out.splitlines()[-1] == "NOT verified: 3 of 13 operators differ, 1 of 6 checks"
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
    assert ended.out.splitlines()[-1] == "NOT verified: 0 of 13 operators differ, 2 of 6 checks"


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
