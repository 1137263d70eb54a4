"""Reading damaged files as the commands do, in this process, under limits of time and memory."""

from __future__ import annotations

import signal
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from archcost import open_model, summarize
from archcost.errors import ArchcostError
from archcost.interop.images import image_input
from archcost.interop.model import open_weights
from archcost.interop.state import State
from archcost.interop.weights import load_into, read_weights
from archcost.serialize import from_json
from archcost.train.idx import read_idx
from archcost.zoo.preprocessing import PLAIN
from tests.fuzzing.mutations import mutated
from tests.fuzzing.seeds import SEEDS, plain

TIME_LIMIT = 10.0
"""Seconds that one file may take."""

MEMORY_LIMIT = 2 * 2**30
"""Bytes of address space that reading may take on top of what the process has."""

LONGEST_LINE = 1000
"""Characters of an error."""


class TooSlowError(BaseException):
    """A file took longer than the limit. Nothing that reads files catches it."""


def read_onnx_file(path: Path) -> None:
    """Count a model, and read its weights."""
    graph = open_model(str(path), allow_unknown=bool(path.stat().st_size % 2))
    summarize(graph).to_json()
    open_weights(str(path))


def read_graph_file(path: Path) -> None:
    """Count a graph, and write it again."""
    graph = open_model(str(path))
    summarize(graph, train=True).to_json()
    if from_json(graph.to_json()) != graph:
        raise AssertionError("the graph changes when it is written and read")


def read_weights_file(path: Path) -> None:
    """Load weights into a network."""
    load_into(State(plain()), read_weights(path), partial=bool(path.stat().st_size % 2))


READERS: dict[str, Callable[[Path], object]] = {
    "onnx": read_onnx_file,
    "json": read_graph_file,
    "npz": read_weights_file,
    "safetensors": read_weights_file,
    "idx": lambda path: read_idx(path, 3),
    "image": lambda path: image_input(path, PLAIN, crops=bool(path.stat().st_size % 2)),
}
"""Kind -> what reads it: an answer or an ArchcostError."""


@dataclass
class Report:
    """What became of the cases.

    Attributes:
        outcomes: (kind, "read" or "refused") -> cases.
        failures: one text for each case that ended in another way.
        slowest: seconds of the slowest case, and which it was.
        out_of_memory: refusals that are about memory.
    """

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    out_of_memory: int = 0

    @property
    def cases(self) -> int:
        return sum(self.outcomes.values())


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooSlowError after ``seconds``, where there is a timer and this is the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def little_memory(limit: int) -> Iterator[None]:
    """Let allocations fail beyond ``limit`` bytes on top of what the process has, where the system can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def run_case(kind: str, path: Path, report: Report, label: str) -> None:
    """Read one file and note how that ended."""
    start = time.perf_counter()
    failure = ""
    try:
        with limited(TIME_LIMIT), warnings.catch_warnings():
            warnings.simplefilter("error")
            READERS[kind](path)
        outcome = "read"
    except ArchcostError as error:
        outcome, text = "refused", str(error)
        report.out_of_memory += "memory" in text
        if "\n" in text or not 0 < len(text) <= LONGEST_LINE or not text.isprintable():
            failure = f"its error is no line: {text[:2000]!r}"
    except TooSlowError:
        outcome, failure = "failed", f"took longer than {TIME_LIMIT} s\n{traceback.format_exc()}"
    except BaseException:  # noqa: BLE001  (that is what is looked for)
        outcome, failure = "failed", traceback.format_exc()
    seconds = time.perf_counter() - start
    report.slowest = max(report.slowest, (seconds, label))
    report.outcomes[kind, outcome] += 1
    if failure:
        report.failures.append(f"{label}: {failure}")


def fuzz(
    cases: int, folder: Path, *, seed: int = 0, kinds: tuple[str, ...] = tuple(SEEDS), seconds: float = float("inf"),
    keep: Path | None = None,
) -> Report:  # fmt: skip
    """Read ``cases`` damaged files, the kinds in turn; the same seed and number give the same file.

    Args:
        cases: how many.
        folder: where the files are written, one after the other.
        seed: of all damages.
        kinds: which kinds of files.
        seconds: stop after this time.
        keep: folder for the files that fail.
    """
    files = {kind: SEEDS[kind][1]() for kind in kinds}
    report = Report()
    for kind in kinds:  # whole files first: they must be read, and readers import what they need
        for number, data in enumerate(files[kind]):
            path = folder / f"whole{SEEDS[kind][0]}"
            path.write_bytes(data)
            whole = Report()
            run_case(kind, path, whole, f"{kind} {number}")
            if whole.outcomes[kind, "read"] != 1 and kind != "safetensors":
                report.failures.append(f"whole {kind} {number} is refused: {whole.failures}")
    start = time.monotonic()
    with little_memory(MEMORY_LIMIT):
        for case in range(cases):
            if time.monotonic() - start > seconds:
                break
            kind = kinds[case % len(kinds)]
            random = np.random.default_rng((seed, case))
            path = folder / f"damaged{SEEDS[kind][0]}"
            path.write_bytes(mutated(kind, files[kind], random))
            before = len(report.failures)
            run_case(kind, path, report, f"{kind}, seed {seed}, case {case}")
            if len(report.failures) > before and keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{kind}_{seed}_{case}{SEEDS[kind][0]}").write_bytes(path.read_bytes())
    return report


def peak_memory() -> int:
    """Return the most bytes that this process has had in memory; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
