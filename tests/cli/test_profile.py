"""``archcost profile`` on the command line: tables, data and errors. Never speeds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archcost.build import Builder
from archcost.engine import timing
from archcost.kernels import compiled
from archcost.kernels.profile_machine import Roofline
from archcost.ops import BatchNorm2d, Conv2d, Flatten, Linear, ReLU
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]

LAYER = {"name", "seconds", "spread", "flops", "bytes", "method", "also"}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the machine's bounds as given, which need a second; and say nothing about compiling without a cache."""
    monkeypatch.setattr(compiled, "_announced", True)
    monkeypatch.setattr(timing, "measured", lambda *_: Roofline(1, "float32", 50.0, 10.0, 5.0, 8.0))


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> str:
    """Return the file of a small network with a scope."""
    net = Builder("small")
    x = net.input((3, 6, 6))
    with net.scope("block"):
        x = net(Conv2d(4, 3, bias=False), x, name="conv")
        x = net(BatchNorm2d(), x, name="bn")
        x = net(ReLU(), x, name="relu")
    x = net(Linear(5), net(Flatten(), x, name="flatten"), name="fc")
    path = tmp_path / "small.json"
    path.write_text(net.build(x).to_json(), encoding="utf-8")
    return str(path)


def profiled(run: Run, model: str, *arguments: str) -> str:
    ended = run("profile", model, "--runs", "2", "--threads", "1", *arguments)
    assert ended.code == 0, ended.err
    return ended.out


def lines_of(run: Run, model: str, *arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(profiled(run, model, "--format", "csv", *arguments))))


def data_of(run: Run, model: str, *arguments: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(profiled(run, model, "--format", "json", *arguments))
    return data


def test_the_table_of_inference(run: Run, model: str) -> None:
    lines = profiled(run, model, "-b", "2").splitlines()
    assert lines[0] == "small, batch of 2, float32"
    assert [line.split()[0] for line in lines[4:8]] == ["input", "block.conv", "fc", "sum"]
    assert any(line.startswith("one pass as a whole: ") and line.endswith(" images/s") for line in lines)
    assert any("50 GFLOP/s in registers, 10.0 GB/s read, 8.0 GB/s copied; ridge at 5.0" in line for line in lines)


def test_the_layers_add_up_to_the_sum(run: Run, model: str) -> None:
    for arguments in ((), ("--train",)):
        lines = lines_of(run, model, *arguments)
        *layers, whole = lines
        assert whole["layer"] == "sum of the layers"
        for column in [name for name in whole if name.endswith(" us")]:
            assert sum(float(line[column] or 0) for line in layers) == pytest.approx(float(whole[column]), abs=0.5)
        assert sum(float(line["%"].rstrip("%")) for line in layers) == pytest.approx(100, abs=0.5)
        assert float(whole["%"].rstrip("%")) == 100


def test_the_table_of_training(run: Run, model: str) -> None:
    lines = profiled(run, model, "-b", "3", "--train", "--depth", "-1").splitlines()
    assert lines[0] == "small, training step, batch of 3, float32"
    assert lines[2].split()[:5] == ["layer", "forward", "us", "backward", "us"]
    names = ["input", "block.conv", "block.bn", "fc", "(loss)", "sum"]
    assert [line.split()[0] for line in lines[4:10]] == names
    assert any(line.startswith("one training step as a whole: ") for line in lines)
    assert "no optimizer" in lines[-3]


def test_forward_and_backward_stand_side_by_side(run: Run, model: str) -> None:
    lines = {line["layer"]: line for line in lines_of(run, model, "--train", "--depth", "-1")}
    for name in ("block.conv", "block.bn", "fc"):
        forward, backward, both = (float(lines[name][f"{way} us"]) for way in ("forward", "backward", "time"))
        assert forward > 0
        assert backward > 0
        assert both == pytest.approx(forward + backward, abs=0.2)
    for name in ("input", "(loss)"):
        assert lines[name]["backward us"] == ""


def test_depth_folds_scopes(run: Run, model: str) -> None:
    assert [line["layer"] for line in lines_of(run, model, "--train", "--depth", "1")] == [
        "input", "block", "fc", "(loss)", "sum of the layers",
    ]  # fmt: skip


def test_data_of_inference(run: Run, model: str) -> None:
    data = data_of(run, model, "-b", "2")
    assert set(data) == {"schema", "model", "batch_size", "total_seconds", "machine", "layers"}
    assert data["schema"] == "archcost.profile/1"
    assert data["model"] == {"name": "small", "variant": ""}
    assert data["batch_size"] == 2
    assert data["total_seconds"] > 0
    assert data["machine"] == {
        "threads": 1, "precision": "float32", "peak": 50, "read": 10, "write": 5, "copy": 8, "ridge": 5,
    }  # fmt: skip
    assert all(set(layer) == LAYER for layer in data["layers"])
    (conv,) = [layer for layer in data["layers"] if layer["name"] == "block.conv"]
    assert conv["flops"] == 2 * 2 * (4 * 4 * 4) * 27


def test_data_of_training(run: Run, model: str) -> None:
    data = data_of(run, model, "--train", "--precision", "float64")
    assert set(data) == {
        "schema", "model", "batch_size", "total_seconds", "machine", "forward", "loss", "backward",
    }  # fmt: skip
    assert data["schema"] == "archcost.profile-training/1"
    assert [layer["name"] for layer in data["forward"]] == ["input", "block.conv", "block.bn", "fc"]
    assert [layer["name"] for layer in data["backward"]] == ["fc", "block.bn", "block.conv"]
    assert all(set(layer) == LAYER for layer in (*data["forward"], data["loss"], *data["backward"]))
    assert data["backward"][0]["bytes"] == 8 * (5 + 64 + 64 + 2 * (5 * 64 + 5))


def test_a_file_is_written(run: Run, model: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    assert profiled(run, model, "--train", "-o", str(path)) == ""
    assert json.loads(path.read_text(encoding="utf-8"))["schema"] == "archcost.profile-training/1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-b", "0"), "Invalid value for '--batch-size' / '-b': 0 is not in the range x>=1"),
        (("-b", "many"), "Invalid value for '--batch-size' / '-b': 'many' is not a valid integer"),
        (("--runs", "0"), "Invalid value for '--runs': 0 is not in the range x>=1"),
        (("--threads", "0"), "Invalid value for '--threads': 0 is not in the range x>=1"),
        (("--threads", "5000"), "`threads` (=5000) must be a number of threads, at least 1"),
        (("--precision", "float16"), "'float16' is not one of 'float32', 'float64'"),
    ],
)
def test_bad_options_are_one_line(run: Run, model: str, arguments: tuple[str, ...], message: str) -> None:
    failed(run("profile", model, *arguments), message)


@pytest.mark.parametrize("arguments", [(), ("--train",)])
def test_a_batch_that_is_too_large_is_one_line(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(timing, "profiled_training" if arguments else "profiled", full)
    failed(run("profile", model, "-b", "7", *arguments), "small: a batch of 7 images does not fit into the memory")


def test_what_cannot_be_profiled_is_one_line(run: Run, tmp_path: Path) -> None:
    failed(run("profile", "lennet"), "unknown model 'lennet' (did you mean 'lenet'?)")
    net = Builder("map")
    path = tmp_path / "map.json"
    path.write_text(net.build(net(Conv2d(2, 3), net.input((3, 6, 6)))).to_json(), encoding="utf-8")
    failed(run("profile", str(path), "--train"), "the loss needs an output of (classes,), not 2x4x4")


def test_fast_ways_are_named(run: Run, tmp_path: Path) -> None:
    net = Builder("fast")
    x = net(Conv2d(64, 3, padding=1), net.input((64, 24, 24)), name="conv")
    path = tmp_path / "fast.json"
    path.write_text(net.build(x).to_json(), encoding="utf-8")
    out = profiled(run, str(path))
    assert "by Winograd F(4x4, 3x3), with fewer products than are counted" in out
    assert "(ARCHCOST_WINOGRAD=off for none): conv\n" in out
