"""What other programs do on the machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from archcost import busy
from archcost.busy import Reading, Watch, reading, share

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
    monkeypatch.setattr(busy, "SHORTEST", 0.0)
    monkeypatch.setattr(busy, "reading", iter([Reading(0.0, 0.0), Reading(0.0, 0.0), Reading(50.0, 100.0)]).__next__)
    watch = Watch()
    watch.start()
    assert watch.others(known=10.0) == pytest.approx(0.4, abs=0.01)
