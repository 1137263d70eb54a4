"""The name of the processor."""

from __future__ import annotations

from pathlib import Path

from archcost.processor import processor


def test_the_name_of_the_processor(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Fast 9000 @ 3 GHz\n", encoding="utf-8")
    assert processor(file) == "Fast 9000 @ 3 GHz"
    assert processor(tmp_path / "missing") == processor(tmp_path)
