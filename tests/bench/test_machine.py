"""The machine, its memory, what others do on it, and which peers are there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from archcost.bench import load, peers, resident
from archcost.bench.load import Reading, Watch, reading, share
from archcost.bench.machine import described, processor
from archcost.bench.peers import RUNTIMES, Peer, absent, available, missing, versions
from archcost.bench.resident import Peak

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps /proc")


@LINUX
def test_the_counters_of_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  100 20 30 1000 50 6 7 8 90 9\ncpu0 1 2 3 4\n", encoding="ascii")
    found = reading(file)
    assert found is not None
    assert found.busy / found.whole == (100 + 20 + 30 + 6 + 7 + 8) / (100 + 20 + 30 + 1000 + 50 + 6 + 7 + 8)
    for text in ("", "cpu 1 2 x 4"):
        file.write_text(text, encoding="ascii")
        assert reading(file) is None
    assert reading(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("busy", "known", "expected"), [(3.0, 1.0, 0.5), (3.0, 3.5, 0.0), (9.0, 0.0, 1.0), (1.0, 1.0, 0.0)]
)
def test_the_share_of_others(busy: float, known: float, expected: float) -> None:
    assert share(Reading(10.0, 20.0), Reading(10.0 + busy, 24.0), known) == expected


def test_a_span_that_is_too_short_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share(Reading(1.0, 2.0), Reading(1.0, 2.0), 0.0) is None
    assert Watch().others() is None
    monkeypatch.setattr(load, "SHORTEST", 0.0)
    monkeypatch.setattr(load, "reading", iter([Reading(0.0, 0.0), Reading(0.0, 0.0), Reading(50.0, 100.0)]).__next__)
    watch = Watch()
    watch.start()
    assert watch.others(known=10.0) == pytest.approx(0.4, abs=0.01)


def test_a_machine_is_described_in_two_lines() -> None:
    machine = described(1)
    hardware, software = machine.lines()
    assert machine.processor in hardware
    assert (
        f"1 of {machine.processors} processors used, {machine.target} ({machine.vector_bits}-bit vectors)" in hardware
    )
    assert machine.date in hardware
    assert f"numpy {np.__version__}" in software
    assert "Python 3." in software


def test_the_name_of_the_processor(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Fast 9000 @ 3 GHz\n", encoding="utf-8")
    assert processor(file) == "Fast 9000 @ 3 GHz"
    assert processor(tmp_path / "missing") == processor(tmp_path)


@LINUX
def test_the_peak_is_that_since_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = Peak()
    array = np.ones(64 << 20, np.uint8)  # so large that the allocator maps new pages for it
    assert array[-1] == 1
    del array
    found = peak.above()
    assert found is not None
    assert 60 << 20 <= found < 128 << 20  # the kernel counts some pages late
    monkeypatch.setattr(resident, "resident", lambda _: None)
    assert Peak().above() is None


@LINUX
def test_the_peak_without_the_kernels_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    exact = resident.resident("VmHWM")
    monkeypatch.setattr(resident, "STATUS", tmp_path / "missing")
    found = resident.resident("VmHWM")
    assert exact is not None
    assert found is not None
    assert found > 1 << 20
    monkeypatch.setattr("archcost.bench.resident.sys.platform", "win32")
    assert resident.resident("VmHWM") is None


def test_missing_peers_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name in ("torch", "openvino") else object())
    assert available(RUNTIMES) == ["archcost", "onnxruntime"]
    line = missing([*RUNTIMES, "torchinfo"])
    assert line == (
        "not measured: OpenVINO, torch, torchinfo (openvino, torch not installed); "
        'pip install "archcost[bench]" installs them'
    )
    assert missing(["archcost", "onnxruntime"]) == ""


def test_what_is_installed_is_not_imported() -> None:
    assert absent(Peer("some", ("numpy", "no_such_package"))) == ["no_such_package"]
    assert versions()["numpy"] == np.__version__
    assert "no_such_package" not in versions()
    assert peers.version("no_such_package") == ""
