"""``archcost bench`` on the command line: archcost alone on the smallest network, and what is refused. Never speeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from archcost.bench.results import Results
from tests.cli.test_main import failed
from tests.conftest import Ended

Run = Callable[..., Ended]

TINY = ("--models", "lenet", "-b", "1", "--against", "none", "--rounds", "2", "--seconds", "0", "--threads", "1")


def test_archcost_alone_is_measured_kept_and_not_measured_again(run: Run, tmp_path: Path) -> None:
    kept, report = tmp_path / "bench.json", tmp_path / "bench.md"
    ended = run("bench", "inference", *TINY, "--json", str(kept), "-o", str(report))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "archcost: 1 of 1: inference: lenet, batch of 1\n"
    (one,) = Results.read(kept).comparisons
    assert list(one.times) == ["archcost"]
    assert len(one.times["archcost"].rounds) == 2
    assert one.times["archcost"].calls == 6
    assert all(seconds > 0 for seconds in one.times["archcost"].rounds)
    assert (one.refused, one.differences) == ({}, {})
    text = report.read_text(encoding="utf-8")
    assert "### Inference" in text
    assert "1 threads, float32; median of 2 rounds" in text

    again = run("bench", "inference", *TINY, "--json", str(kept), "--resume", "--format", "json")
    assert (again.code, again.err) == (0, "")
    data = json.loads(again.out)
    assert data["schema"] == "archcost.bench/1"
    assert data["comparisons"][0]["times"]["archcost"]["rounds"] == list(one.times["archcost"].rounds)
    failed(
        run("bench", "inference", *TINY[:-1], "2", "--json", str(kept), "--resume"),
        "`--resume`: the results are of 1 threads, not 2",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("inferense",), "unknown section 'inferense' (did you mean 'inference'?); known are inference, training"),
        (("--models", "lennet"), "`--models`: no network is called 'lennet' (did you mean 'lenet'?)"),
        (("--against", "onnx"), "unknown runtime 'onnx'"),
        (("--rounds", "0"), "Invalid value for '--rounds': 0 is not in the range x>=1"),
        (("--resume",), "`--resume` needs `--json FILE`"),
        (("--format", "latex"), "'latex' is not one of"),
        (("-o", "bench.html"), "cannot write 'bench.html': the report is md, table, csv, json"),
        (("--threads", "5000"), "`threads` (=5000) must be a number of threads"),
    ],
)
def test_bad_options_are_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    failed(run("bench", *arguments), message)


def test_the_help_has_examples(run: Run) -> None:
    ended = run("bench", "--help")
    assert ended.code == 0
    assert "archcost bench --quick" in ended.out
