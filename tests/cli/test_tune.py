"""``archcost tune`` on the command line: what it prints and its errors. Times are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from archcost.build import Builder
from archcost.cli.tune import way_text
from archcost.engine import trial, tuned, tuning
from archcost.engine.program import Program
from archcost.kernels.winograd_plan import Cut
from archcost.ops import Conv2d
from tests.cli.test_main import failed
from tests.conftest import Ended
from tests.engine.built import compile_nothing
from tests.engine.test_tuning import LARGE, SMALL, Fake, Times

Run = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)
    monkeypatch.setattr(Program, "run", lambda *_: None)
    monkeypatch.setattr(tuned, "folder", lambda: tmp_path)
    monkeypatch.setattr(tuning, "PAUSE", 0.0)
    monkeypatch.setattr(trial, "SWEPT_BYTES", 1 << 20)
    monkeypatch.setenv("ARCHCOST_TUNING", "on")


def prepare(monkeypatch: pytest.MonkeyPatch, times: Times, share: float = 0.0) -> None:
    """Let ``tune`` see made-up times and other programs."""
    monkeypatch.setattr(tuning, "tune", partial(tuning.tune, stopwatch=times, watch=Fake(share)))


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> str:
    """Return the file of a network whose convolution has several ways."""
    net = Builder("small")
    path = tmp_path / "small.json"
    graph = net.build(net(Conv2d(32, 3, padding=1), net.input((32, 16, 16)), name="conv"))
    path.write_text(graph.to_json(), encoding="utf-8")
    return str(path)


def fastest(run: Run, model: str) -> str:
    """Return a method that is not the default one."""
    data = json.loads(run("tune", model, "--threads", "2", "--format", "json").out)
    return SMALL if data["layers"][0]["default"] == "direct" or "4x4" in data["layers"][0]["default"] else LARGE


def test_a_stored_tuning_and_one_that_is_not(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = tuning.tune
    prepare(monkeypatch, Times("none"))
    ended = run("tune", model, "--threads", "2")
    assert "no way is faster than the default by a clear margin: the defaults stay" in ended.out
    method = fastest(run, model)
    for whole, verdict in ((None, "\nstored: later runs"), (4.0, "\nnot stored: as a whole")):
        monkeypatch.setattr(tuning, "tune", original)
        prepare(monkeypatch, Times(method, whole))
        ended = run("tune", model, "--threads", "2")
        assert ended.code == 0, ended.err
        assert verdict in ended.out
        assert "small, batch of 1, 2 threads" in ended.out
        (row,) = (line for line in ended.out.splitlines() if line.startswith("conv "))
        assert row.split()[-3:] == ["2000000.0", "1000000.0", "0.50"]
        data = json.loads(run("tune", model, "--threads", "2", "--format", "json").out)
        assert (data["schema"], data["stored"], data["threads"]) == ("archcost.tune/1", whole is None, 2)
    assert run("tune", model, "--threads", "2", "--format", "csv").out.count("\n") >= 2


def test_a_busy_machine_is_one_line_and_2(run: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(monkeypatch, Times(LARGE), share=0.4)
    failed(run("tune", model, "--threads", "2"), "other programs took 40.0% or more", "in 3 measurements")


def test_a_network_with_nothing_to_tune(run: Run) -> None:
    ended = run("tune", "lenet", "--threads", "2")
    assert ended.code == 0, ended.err
    assert "nothing to tune" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet", "--precision", "float64"], "nothing to tune in float64"),
        (["resnt18"], "did you mean"),
        (["lenet", "-b", "0"], "0 is not in the range"),
        (["lenet", "--threads", "0"], "0 is not in the range"),
    ],
)
def test_errors(run: Run, arguments: list[str], message: str) -> None:
    failed(run("tune", *arguments), message)


def test_a_way_in_words() -> None:
    assert way_text(None) == "direct"
    assert way_text(Cut(4, 1, 2, 2)) == "F(4x4), 1 tile x 1/2"
