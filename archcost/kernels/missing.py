"""Kernels that a machine lacks, compiled by two processes: this one and a helper (``kernels.helper``).

What a network needs is known only when it has been lowered. So it is lowered twice where kernels are missing: first to
note which, then, when they are compiled, for use. Both processes take from one queue, so that nobody need know what
takes how long: the helper takes micro-kernels from its front, for which it needs little of Numba, this process step
functions from its end.

Nothing depends on the helper: what it leaves undone is compiled where it is needed, as in a process without one.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from archcost.kernels.compiled import Kernel, announce, compile_kernel, folder, is_kept, noting
from archcost.kernels.helper import Helper, can_help

FEW = 2
"""Kernels that are compiled before a helper has started."""

PATIENCE = 60.0
"""Seconds that a helper may take for its last kernel; the slowest takes one on an idle machine."""

Built = TypeVar("Built")

_lock = threading.Lock()
_helper: Helper | None = None


def complete(build: Callable[[], Built], threads: int) -> Built:
    """Return what ``build`` makes, with all kernels that it needs.

    Args:
        build: asks for kernels and runs none of them; it is called once more if some are missing.
        threads: that may be used; with one, this process compiles alone.
    """
    place = _shared_folder(threads)
    if place is not None:
        with noting() as missing:
            made = build()
        if not missing:
            return made
        del made
        compile_all(missing.values(), threads)
    return build()


def compile_all(kernels: Iterable[Kernel], threads: int) -> None:
    """Compile those of the kernels that are missing, if there are more than a few and two processes may do it.

    Args:
        kernels: in the order in which they are needed.
        threads: that may be used.
    """
    place = _shared_folder(threads)
    if place is None:
        return
    with _lock:
        missing = [kernel for kernel in kernels if not is_kept(kernel, place)]
        if len(missing) > FEW:
            announce()
            _share(missing, place)


def _shared_folder(threads: int) -> Path | None:
    """Return the folder in which two processes meet; None if this one is to compile alone."""
    place = folder()
    if threads < 2 or os.environ.get("ARCHCOST_THREADS") == "1" or place is None or not can_help():
        return None
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return place.absolute() if os.access(place, os.W_OK) else None


def _share(missing: Iterable[Kernel], place: Path) -> None:
    """Compile the kernels into the folder, together with the helper."""
    waiting = deque(sorted(missing, key=lambda kernel: kernel.kind != "tile"))
    helper = _started(place)
    feeding = threading.Thread(target=_feed, args=(helper, waiting), name="archcost-compiling", daemon=True)
    feeding.start()
    try:
        while kernel := _taken(waiting.pop):
            compile_kernel(kernel, place)
            if not is_kept(kernel, place):  # the disk is full
                break
    finally:
        waiting.clear()
        feeding.join(PATIENCE)
        if feeding.is_alive():
            helper.end()


def _feed(helper: Helper, waiting: deque[Kernel]) -> None:
    """Hand kernels to the helper, one after the other, as long as it compiles them."""
    while kernel := _taken(waiting.popleft):
        if not helper.compiled(kernel):
            helper.end()
            waiting.append(kernel)
            return


def _taken(take: Callable[[], Kernel]) -> Kernel | None:
    """Return what ``take`` takes from the queue; None if nothing is left."""
    try:
        return take()
    except IndexError:
        return None


def _started(place: Path) -> Helper:
    """Return the helper of this process, which may have started long ago."""
    global _helper  # noqa: PLW0603  (one in a process)
    if _helper is None or not _helper.is_ready(place):
        if _helper is not None:
            _helper.end()
        _helper = Helper(place)
    return _helper
