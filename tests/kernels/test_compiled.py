"""The cache of machine code: later processes read it, and none of them depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import archcost
from archcost.kernels.units import argument

SCRIPT = """
import numpy as np
from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.accumulate import accumulated
total, part = np.arange(5.0), np.ones(5)
Program([accumulated(total, part, "float64")]).run(team(1))
assert total.tolist() == [1, 2, 3, 4, 5], total
"""
ANNOUNCEMENT = "archcost: compiling kernels for this machine"


def process(cache: Path, script: str = SCRIPT, **more: str) -> str:
    """Run the script in a new process; return what it says on stderr."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ARCHCOST_")}
    environment |= {"ARCHCOST_CACHE": str(cache), "PYTHONPATH": str(Path(archcost.__file__).parent.parent), **more}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def files(folder: Path) -> dict[Path, int]:
    """Return all files below a folder with the time when they were written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "not" / "there"
    assert process(cache).startswith(ANNOUNCEMENT)
    written = files(cache)
    assert {path.suffix for path in written} == {".object"}
    assert process(cache) == ""
    assert files(cache) == written


def test_a_cache_that_cannot_be_written_is_survived(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("in the way", encoding="utf-8")
    for _ in range(2):
        assert process(place, TMPDIR=str(tmp_path), TEMP=str(tmp_path)).startswith(ANNOUNCEMENT)
    assert place.read_text(encoding="utf-8") == "in the way"


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    process(tmp_path)
    paths = sorted(files(tmp_path))
    whole = [path.read_bytes() for path in paths]
    # Ended too early, one byte changed, empty: LLVM would end the process over the first two.
    half, changed = whole[0][: len(whole[0]) // 2], whole[1][:-1] + bytes([whole[1][-1] ^ 1])
    for path, content in zip(paths, (half, changed, b"")):
        path.write_bytes(content)
    assert process(tmp_path).startswith(ANNOUNCEMENT)
    assert [len(path.read_bytes()) for path in sorted(files(tmp_path))] == [len(content) for content in whole]
    assert process(tmp_path) == ""


def test_a_step_function_called_from_python_is_an_error() -> None:
    for _ in range(2):
        with pytest.raises(TypeError):
            argument(0, 0)


def test_a_process_that_finds_its_kernels_compiles_nothing(tmp_path: Path) -> None:
    process(tmp_path)
    watching = """
import sys
assert "archcost.kernels.compiling" not in sys.modules
from numba.core.runtime import rtsys
assert not rtsys._init, "Numba has compiled something"
"""
    assert process(tmp_path, script=SCRIPT + watching) == ""
