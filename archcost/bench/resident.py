"""Peak resident memory of this process, above what it was when it had imported its runtime."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Watches the largest resident memory from now on.

    On Linux the kernel's high-water mark is set back first, so that what the imports took for a moment does not hide
    what comes later; ``ru_maxrss`` would not do, as it begins with what the parent process had. On other Unix systems
    it is ``ru_maxrss``; Windows has neither.
    """

    def __init__(self) -> None:
        with suppress(OSError):  # where it cannot be set back, what the imports took hides as much of what comes later
            RESET.write_text("5", encoding="ascii")
        self._before = resident("VmRSS")

    def above(self) -> int | None:
        """Return the bytes by which the peak since then exceeds the memory of then; None if it cannot be known."""
        peak = resident("VmHWM")
        return None if peak is None or self._before is None else max(0, peak - self._before)


def resident(field: str) -> int | None:
    """Return ``VmRSS`` (now) or ``VmHWM`` (the highest so far) in bytes."""
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return _of_resource()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


def _of_resource() -> int | None:
    """Return the peak so far where only ``getrusage`` knows it."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
