"""The measurements of a run, section by section."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archcost.bench.cases import Case
from archcost.bench.client import PATIENCE, Client, RuntimeFailedError, module_environment
from archcost.bench.peers import FILE_RUNTIMES, OURS, RUNTIMES
from archcost.bench.prepared import prepare
from archcost.bench.results import Comparison
from archcost.bench.rounds import measured
from archcost.bench.timing import Phase
from archcost.busy import Watch

if TYPE_CHECKING:
    from typing_extensions import Self

AGREEMENT = 1e-3
"""Largest difference, over the largest value, with which outputs are the same; Winograd's rounding reaches 1e-4."""

STEPS_COMPARED = 3
"""Steps of training whose losses are compared: the first is before any update."""

BARE = "python -c 'import click, tabulate'"
SUMMARY = "archcost summary resnet50"
PROFILE = "archcost profile lenet"

COUNTER_CODE = {
    "torchinfo": (
        "import torch, torchvision, torchinfo\n"
        "print(torchinfo.summary(torchvision.models.resnet50(), (1, 3, 224, 224), verbose=0))"
    ),
    "fvcore": (
        "import torch, torchvision\n"
        "from fvcore.nn import FlopCountAnalysis, flop_count_table\n"
        "print(flop_count_table(FlopCountAnalysis(torchvision.models.resnet50().eval(), torch.zeros(1, 3, 224, 224))))"
    ),
}
"""The same table as our summary, by others."""


class Measuring:
    """Runtimes that stay open over many cases.

    Args:
        runtimes: names of ``peers.RUNTIMES``; archcost first.
        threads: how many compute, in each of them.
        rounds: phases of each.
        seconds: length of a phase.
    """

    def __init__(self, runtimes: Sequence[str], threads: int, rounds: int, seconds: float) -> None:
        self._runtimes, self._threads, self._rounds, self._seconds = runtimes, threads, rounds, seconds
        self._clients: dict[str, Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for client in self._clients.values():
            client.end(PATIENCE if kind is None else 0.0)

    def speed(self, case: Case) -> Comparison:
        """Return the times of inference or of training steps, of those runtimes that compute what archcost computes."""
        result = Comparison("training" if case.optimizer else "inference", case)
        names = [name for name in self._runtimes if not case.optimizer or name not in FILE_RUNTIMES]
        with tempfile.TemporaryDirectory(prefix="archcost-bench-") as text:
            folder = Path(text)
            prepare(case, folder, onnx=any(name in FILE_RUNTIMES for name in names))
            opened = {name: self._opened(name, case, folder, result) for name in names}
            ready = self._agreeing({name: found for name, found in opened.items() if found is not None}, result)
            while OURS in ready and not result.times:
                runs = {name: partial(self._clients[name].phase, self._seconds) for name in ready}
                try:
                    result.times = measured(runs, self._rounds)
                except RuntimeFailedError as error:
                    result.refused[error.runtime] = str(error)
                    ready.remove(error.runtime)
            for name in names:
                self._close(name)
        return result

    def _opened(self, name: str, case: Case, folder: Path, result: Comparison) -> Any:
        """Open a case in a runtime, and return what it computes (``_computed``); None if it cannot."""
        try:
            if name not in self._clients:
                self._clients[name] = Client(name)
                self._clients[name].ask("import")
            return self._computed(name, case, folder)
        except RuntimeFailedError as error:
            result.refused[name] = str(error)
            return None

    def _computed(self, name: str, case: Case, folder: Path) -> Any:
        """Open a case in a runtime, and return what it computes: outputs, or the losses of some steps."""
        client = self._clients[name]
        loss = client.open(case, folder, self._threads)["loss"]
        if case.optimizer:
            return np.array([loss, *client.ask("results", count=STEPS_COMPARED - 1)["losses"]])
        file = folder / f"{name}.npy"
        client.ask("results", count=1, file=str(file))
        return np.load(file, allow_pickle=False)

    def _agreeing(self, results: Mapping[str, Any], result: Comparison) -> list[str]:
        """Return the runtimes whose results are archcost's; note how far away all of them are."""
        ready = []
        for name, values in results.items():
            if name != OURS and OURS in results:
                apart = difference(results[OURS], values)
                result.differences[name] = apart
                if not apart <= AGREEMENT:
                    result.refused[name] = f"its results differ by {apart:.0e} of the largest"
                    continue
            ready.append(name)
        return ready

    def _close(self, name: str) -> None:
        """Let a runtime drop its network; one whose process has ended gets a new one for the next case."""
        try:
            if name in self._clients:
                self._clients[name].ask("close")
        except RuntimeFailedError:
            self._clients.pop(name).end()


def difference(ours: Any, theirs: Any) -> float:
    """Return the largest difference of two arrays over the largest value of the first; infinite without meaning."""
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("inf")
    largest = float(np.abs(ours).max())
    apart = float(np.abs(ours.astype(np.float64) - theirs).max())
    return apart / largest if largest else apart


def memory(case: Case, runtimes: Sequence[str], threads: int) -> Comparison:
    """Return peak memory, and the time to the first result, of each runtime in a process that does nothing else.

    archcost runs twice, and the second counts: what the first compiles is kept for all later processes.
    """
    result = Comparison("memory", case)
    names = [name for name in runtimes if not case.optimizer or name not in FILE_RUNTIMES]
    with tempfile.TemporaryDirectory(prefix="archcost-bench-") as text:
        folder = Path(text)
        prepare(case, folder, onnx=any(name in FILE_RUNTIMES for name in names))
        for name in [OURS, *names] if OURS in names else names:
            _remember(name, case, folder, threads, result)
    return result


def _remember(name: str, case: Case, folder: Path, threads: int, result: Comparison) -> None:
    """Note the memory and the time to the first result of one runtime."""
    try:
        with Client(name) as client:
            client.ask("import")
            opened = client.open(case, folder, threads)
            client.ask("results", count=2, file="" if case.optimizer else str(folder / "outputs.npy"))
            result.peaks[name] = client.ask("peak")["bytes"]
            result.firsts[name] = opened["ready"] + opened["first"]
    except RuntimeFailedError as error:
        result.refused[name] = str(error)


def startup(counters: Sequence[str], rounds: int) -> Comparison:
    """Return the time of whole processes: archcost's commands, and others that print the same table.

    The first start of each is not counted: after it archcost's kernels are compiled, and all files are in memory.
    """
    archcost = [sys.executable, "-m", "archcost"]
    commands = {
        BARE: [sys.executable, "-c", "import click, tabulate"],
        SUMMARY: [*archcost, "summary", "resnet50"],
        PROFILE: [*archcost, "profile", "lenet"],
        **{name: [sys.executable, "-c", COUNTER_CODE[name]] for name in counters},
    }
    result = Comparison("startup")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="archcost-bench-"))
        runs: dict[str, Callable[[], Phase]] = {}
        for name, command in commands.items():
            first = _process(command, folder)
            if first is None:
                result.refused[name] = "it cannot run here"
            else:
                runs[name] = partial(_timed_process, command, folder)
        result.times = measured(runs, rounds, pause=0.0, watch=Watch())
    return result


def _timed_process(command: Sequence[str], folder: str) -> Phase:
    found = _process(command, folder)
    if found is None:
        raise RuntimeFailedError(" ".join(command[1:]), "it ended with an error")
    return found


def _process(command: Sequence[str], folder: str) -> Phase | None:
    """Run a command as a whole process; None if it fails."""
    environment = {**module_environment(), "PYTHONWARNINGS": "ignore"}
    before, start = os.times(), time.perf_counter()
    done = subprocess.run(  # noqa: S603  (commands of this file)
        command, capture_output=True, check=False, cwd=folder, env=environment
    )
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        return None
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Phase(wall, 1, used, wall)


def title(name: str) -> str:
    """Return what tables call a runtime or a command."""
    return RUNTIMES[name].title if name in RUNTIMES else name
