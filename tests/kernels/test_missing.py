"""Missing kernels are compiled by two processes, and by one where the other fails or must not be."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from archcost.kernels import compiled, compiling, helper, missing
from archcost.kernels.compiled import NOWHERE, Kernel
from archcost.kernels.helper import Helper
from tests.engine.built import built, small
from tests.kernels.test_compiled import ANNOUNCEMENT, files, process

CHEAP = [Kernel("tile", "maximum", "zero_kernel", (target, "float32")) for target in ("avx512", "avx2", "portable")]
CHEAP += [Kernel("tile", "plain", "plain_kernel", ("portable", "float32", "read", "copy", count)) for count in (1, 2)]


class Compiled:
    """What this process has compiled.

    Args:
        until: the first kernel is compiled when this has been set.
    """

    def __init__(self, until: threading.Event | None = None) -> None:
        self.kernels: list[Kernel] = []
        self._until = until

    def __call__(self, kernel: Kernel, place: Path) -> bytes:
        if self._until:
            assert self._until.wait(60)
        self.kernels.append(kernel)
        return compiled.compile_kernel(kernel, place)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the empty folder of a machine of two processors."""
    monkeypatch.delenv("ARCHCOST_THREADS", raising=False)
    for module in (compiled, missing):
        monkeypatch.setattr(module, "folder", lambda: tmp_path / "kernels")
    monkeypatch.setattr(compiled, "_loaded", {})
    monkeypatch.setattr(missing, "_helper", None)
    monkeypatch.setattr(missing, "can_help", lambda: True)
    yield tmp_path / "kernels"
    if missing._helper is not None:
        missing._helper.end()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """Return what this process compiles."""
    counted = Compiled()
    monkeypatch.setattr(missing, "compile_kernel", counted)
    return counted


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every start of a helper fail the test."""
    monkeypatch.setattr(missing, "Helper", lambda _place: pytest.fail("a helper was started"))


def addresses() -> list[int]:
    """Return the addresses of the cheap kernels."""
    return [compiled.address(kernel.kind, kernel.module, kernel.factory, *kernel.arguments) for kernel in CHEAP]


def kept(place: Path) -> set[str]:
    return {path.stem for path in place.iterdir()}


def test_two_processes_share_the_work(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()
    by_helper: list[tuple[Kernel, bool]] = []

    def ask(self: Helper, kernel: Kernel) -> bool:
        done = real(self, kernel)
        by_helper.append((kernel, done))
        started.set()
        return done

    real = Helper.compiled
    monkeypatch.setattr(Helper, "compiled", ask)
    counted = Compiled(until=started)
    monkeypatch.setattr(missing, "compile_kernel", counted)
    missing.compile_all(CHEAP, 2)
    assert all(done for _, done in by_helper)
    assert counted.kernels
    assert sorted([*counted.kernels, *(kernel for kernel, _ in by_helper)]) == sorted(CHEAP)
    assert kept(place) == {kernel.symbol for kernel in CHEAP}
    monkeypatch.setattr(compiling, "object_code", lambda *_: pytest.fail("compiled again"))
    assert len(set(addresses())) == len(CHEAP)


def test_a_network_is_built_again_when_its_kernels_are_there(place: Path) -> None:
    seen = []

    def build() -> list[int]:
        seen.append(addresses())
        return seen[-1]

    result = missing.complete(build, 2)
    assert seen[0] == [NOWHERE] * len(CHEAP)
    assert seen[1:] == [result]
    assert len({*result, NOWHERE}) == len(CHEAP) + 1
    assert kept(place) == {kernel.symbol for kernel in CHEAP}
    assert missing.complete(build, 2) == result
    assert len(seen) == 3


@pytest.mark.parametrize(
    "command",
    ["raise SystemExit(3)", "print('failed', flush=True); input()", "import time; time.sleep(600)"],
    ids=["ends", "fails", "hangs"],
)
def test_what_a_helper_leaves_undone_is_compiled_here(
    place: Path, own: Compiled, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(helper, "COMMAND", command)
    monkeypatch.setattr(missing, "PATIENCE", 0.1)
    result = missing.complete(addresses, 2)
    assert len({*result, NOWHERE}) == len(CHEAP) + 1
    assert kept(place) == {kernel.symbol for kernel in CHEAP}
    assert len(own.kernels) >= len(CHEAP) - 1  # the helper held one of them
    assert missing._helper is not None
    assert not missing._helper.is_ready(place)


def test_a_helper_that_cannot_be_started_is_not_needed(
    place: Path, own: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    assert NOWHERE not in missing.complete(addresses, 2)
    assert len(own.kernels) >= len(CHEAP) - 1


@pytest.mark.usefixtures("alone")
def test_a_folder_that_cannot_be_written_is_no_place_to_meet(place: Path, own: Compiled) -> None:
    place.write_text("in the way", encoding="utf-8")
    assert NOWHERE not in missing.complete(addresses, 2)
    assert own.kernels == []  # each is compiled where it is asked for


@pytest.mark.usefixtures("place")
def test_a_full_disk_ends_the_sharing(own: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "Helper", lambda _place: Idle())
    monkeypatch.setattr(compiled, "_write", lambda _path, _code: None)
    assert NOWHERE not in missing.complete(addresses, 2)
    assert len(own.kernels) == 1


class Idle:
    """A helper that does nothing."""

    def compiled(self, _kernel: Kernel) -> bool:
        return False

    def end(self) -> None:
        pass


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("variable", [None, "1"], ids=["argument", "environment"])
def test_one_thread_means_one_process(place: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    if variable:
        monkeypatch.setenv("ARCHCOST_THREADS", variable)
    assert NOWHERE not in missing.complete(addresses, 2 if variable else 1)
    assert kept(place) == {kernel.symbol for kernel in CHEAP}


@pytest.mark.usefixtures("alone")
def test_a_few_kernels_are_not_worth_a_helper(place: Path, own: Compiled) -> None:
    missing.compile_all(CHEAP[: missing.FEW], 2)
    assert not own.kernels
    assert kept(place) == set()


def test_a_helper_ends_with_the_process_that_started_it(place: Path) -> None:
    place.mkdir()
    one = Helper(place)
    assert one.is_ready(place)
    assert not one.is_ready(place / "other")
    running = one._process
    assert running is not None
    assert running.stdin is not None
    running.stdin.close()
    assert running.wait(60) == 0
    one.end()


def test_two_processes_give_one_message(tmp_path: Path) -> None:
    script = f"""
from archcost.kernels import compiled, missing
missing.can_help = lambda: True
kernels = [compiled.Kernel(*one) for one in {[tuple(kernel) for kernel in CHEAP]!r}]
missing.compile_all(kernels, 2)
"""
    first = process(tmp_path, script)
    assert first.startswith(ANNOUNCEMENT)
    assert first.count("\n") == 1
    assert len(files(tmp_path)) == len(CHEAP)
    assert process(tmp_path, script) == ""


@pytest.mark.usefixtures("place")
def test_every_kernel_of_a_network_can_be_told_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "object_code", lambda *_: pytest.fail("compiled while noting"))
    with compiled.noting() as noted:
        for name in ("alexnet", "efficientnet_b0", "googlenet"):
            built(small(name), 2, threads=2)
    assert len(noted) > 100
    for symbol, kernel in noted.items():
        again = Kernel(*ast.literal_eval(repr(tuple(kernel))))
        assert again == kernel
        assert again.symbol == symbol
