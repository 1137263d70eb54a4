"""The machine, its memory, and which peers are there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from archcost.bench import peers, resident
from archcost.bench.machine import described
from archcost.bench.peers import RUNTIMES, Peer, absent, available, missing, versions
from archcost.bench.resident import Peak

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps /proc")


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


@LINUX
def test_the_peak_is_that_since_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = Peak()
    array = np.ones(64 << 20, np.uint8)  # too large for memory that other tests have left in the heap
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
