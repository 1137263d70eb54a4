"""Results as a file and as tables, from made-up times."""

from __future__ import annotations

from pathlib import Path

import pytest

from archcost.bench import tables
from archcost.bench.cases import Case
from archcost.bench.machine import Machine
from archcost.bench.measuring import BARE, PROFILE, SUMMARY
from archcost.bench.results import Comparison, Results
from archcost.bench.rounds import Times
from archcost.errors import UsageError

MACHINE = Machine(
    "Fast 9000", 2, 4, "avx512", 512, 8 * 2**30, "Linux 1", "3.12", "0.1", {"numpy": "2", "torch": "3"}, "2030-01-31"
)


def comparison(busy: float = 0.0) -> Comparison:
    """Return times of which archcost's is half of ONNX Runtime's, and OpenVINO's the slowest."""
    times = {
        "archcost": Times((0.010, 0.012, 0.011), 9, 0.0),
        "onnxruntime": Times((0.020, 0.020, 0.022), 9, busy),
        "openvino": Times((0.030, 0.030, 0.030), 9, 0.0),
        "torch": Times((0.1, 0.1, 0.1), 9, 0.0),
        "torch-last": Times((0.04, 0.04, 0.044), 9, 0.0),
    }
    return Comparison("inference", Case("resnet50", 8), times, {"onnxruntime": 1e-6, "openvino": 2e-6})


def results(*comparisons: Comparison) -> Results:
    return Results(MACHINE, 3, 0.5, ["not measured: fvcore"], list(comparisons))


def full() -> Results:
    training = Comparison("training", Case("resnet18", 128, 32, 10, "momentum"), comparison().times)
    training.refused["torch"] = "it gave up"
    commands = {BARE: Times((0.1,), 1, None), SUMMARY: Times((0.05,), 1, None), PROFILE: Times((1.0,), 1, 0.5)}
    memory = Comparison("memory", Case("lenet", 1), peaks={"archcost": 3 << 20, "torch": 5 << 20})
    memory.firsts = {"archcost": 0.25, "torch": 0.5}
    return results(comparison(), training, Comparison("startup", None, commands), memory)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    full().write(path)
    assert Results.read(path) == full()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("nonsense", "it is no result of `archcost bench --json`"),
        ("[]", "it is no result of `archcost bench --json`"),
        ('{"schema": "archcost.bench/1"}', "it is no result of `archcost bench --json`"),
        ('{"schema": "archcost.profile/1"}', "its schema is 'archcost.profile/1', not 'archcost.bench/1'"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "bench.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=r"^cannot read '") as caught:
        Results.read(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_of_inference() -> None:
    table = tables.inference(results(comparison()))
    assert table is not None
    (row,) = table.rows
    line = dict(zip(table.headers, row))
    assert line["network"] == "resnet50"
    assert line["batch"] == 8
    assert line["archcost ms"] == 11.0
    assert line["torch ms"] == 100
    assert line["/ ONNX Runtime"] == line["/ faster of the two"] == "0.50 (0.50 to 0.60)"
    assert line["/ OpenVINO"] == "0.37 (0.33 to 0.40)"
    assert line["/ torch"] == "0.11 (0.10 to 0.12)"
    assert line["/ torch's better layout"] == line["/ torch, channels last"] == "0.25 (0.25 to 0.30)"
    assert line["differ by"] == "2e-06"
    assert tables.MARK not in table.notes
    assert "BatchNorm folded into convolutions" in table.notes


def test_a_disturbed_line_is_marked() -> None:
    table = tables.inference(results(comparison(busy=0.2)))
    assert table is not None
    assert table.rows[0][0] == "resnet50*"
    assert tables.BUSY_NOTE in table.notes


def test_archcost_alone_has_no_ratios() -> None:
    alone = Comparison("inference", Case("lenet", 1), {"archcost": Times((0.1, 0.2, 0.4), 9, None)})
    table = tables.inference(results(alone))
    assert table is not None
    assert table.headers == ("network", "batch", "archcost ms")
    assert table.rows == (("lenet", 1, 200),)
    assert "ratio" not in table.notes


def test_the_whole_report() -> None:
    text = tables.rendered(full(), "md")
    assert text.startswith("Fast 9000, 2 of 4 processors used, avx512 (512-bit vectors), 8 GiB; 2030-01-31\n")
    assert "archcost 0.1, Linux 1, Python 3.12, numpy 2, torch 3" in text
    assert "\nnot measured: fvcore\n" in text
    headings = [line for line in text.splitlines() if line.startswith("### ")]
    assert [line.split()[1] for line in headings] == ["Inference", "Training", "Start-up", "Memory"]
    assert "resnet18 32x32, torch: not measured, it gave up" in text
    assert f"| {BARE} " in text
    assert "0.50 (0.50 to 0.50)" in text
    assert f"{PROFILE}*" in text
    assert "| lenet     | inference |       1 |              3 |" in text
    assert "|               0.25 |" in text
    assert tables.rendered(full(), "csv").count("\n\n") == 3
    assert "Fast 9000" in tables.rendered(full(), "table")


def test_a_platform_that_tells_no_peak() -> None:
    table = tables.memory(results(Comparison("memory", Case("lenet", 1), peaks={"archcost": None})))
    assert table is not None
    assert "memory is not measured" in table.notes


def test_the_short_tables() -> None:
    inference, training, startup, memory = tables.short(full())
    assert inference.headers == (
        "inference", "batch", "archcost ms", "/ faster of ONNX Runtime and OpenVINO", "/ torch's better layout",
    )  # fmt: skip
    assert inference.rows == (("resnet50", 8, 11.0, "0.50 (0.50 to 0.60)", "0.25 (0.25 to 0.30)"),)
    assert training.rows[0][0] == "resnet18 32x32"
    assert startup.headers[0] == "whole process"
    assert memory.headers == ("network", "what", "batch", "archcost MiB", "torch MiB")
    assert memory.rows == (("lenet", "inference", 1, 3, 5),)
    assert tables.short(results()) == []


def test_nothing_measured_is_no_table() -> None:
    empty = results()
    assert [tables.inference(empty), tables.training(empty), tables.startup(empty), tables.memory(empty)] == [None] * 4
