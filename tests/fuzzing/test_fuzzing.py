"""A small, fixed part of the fuzzer's cases, and that the fuzzer would notice."""

from __future__ import annotations

import importlib.util
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from archcost.errors import UsageError
from tests.fuzzing import running
from tests.fuzzing.mutations import mutated
from tests.fuzzing.running import READERS, Report, fuzz, run_case
from tests.fuzzing.seeds import SEEDS

NEEDED = {"onnx": "onnx", "safetensors": "safetensors", "image": "PIL"}
"""Kind of file -> the package without which it cannot be read."""


def skip_without(kind: str) -> None:
    package = NEEDED.get(kind)
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{kind} files need {package}")


@pytest.mark.parametrize("kind", SEEDS)
def test_damaged_files_are_read_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    skip_without(kind)
    report = fuzz(200, tmp_path, seed=1, kinds=(kind,))
    assert report.failures == []
    assert report.cases == 200
    assert report.outcomes[kind, "refused"] > 0


@pytest.mark.parametrize("kind", SEEDS)
def test_damages_follow_from_seed_and_number(kind: str) -> None:
    skip_without(kind)
    files = SEEDS[kind][1]()
    assert files == SEEDS[kind][1]()
    one, two = ([mutated(kind, files, np.random.default_rng((0, case))) for case in range(20)] for _ in range(2))
    assert one == two
    assert len(set(one) - set(files)) > 15


@pytest.mark.parametrize(
    ("problem", "noticed"),
    [
        (ValueError("deep inside"), "ValueError: deep inside"),
        (UsageError("two\nlines"), "its error is no line"),
        (UsageError("x" * 5000), "its error is no line"),
        (UsageError("a bell \a"), "its error is no line"),
        (UserWarning("odd"), "UserWarning: odd"),
    ],
)
def test_other_ends_are_failures(problem: Exception, noticed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: Path) -> None:
        raise problem

    report = Report()
    monkeypatch.setitem(READERS, "json", read)
    run_case("json", Path("none"), report, "case 7")
    assert len(report.failures) == 1
    assert report.failures[0].startswith("case 7: ")
    assert noticed in report.failures[0]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timer")
def test_a_file_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "TIME_LIMIT", 0.05)
    monkeypatch.setitem(READERS, "json", lambda _: time.sleep(5))
    report = Report()
    run_case("json", Path("none"), report, "case 7")
    assert "took longer than 0.05 s" in report.failures[0]
    assert report.slowest[0] < 4


def test_time_that_is_up_ends_it(tmp_path: Path) -> None:
    assert fuzz(10**6, tmp_path, kinds=("idx",), seconds=0.0).cases == 0


def test_a_whole_file_that_is_refused_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEEDS, "json", (".json", lambda: [b"{}"]))
    assert fuzz(0, tmp_path, kinds=("json",)).failures == ["whole json 0 is refused: []"]
