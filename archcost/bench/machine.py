"""The machine that measurements were made on, described for whoever reads them."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import archcost
from archcost.bench.peers import versions
from archcost.processor import processor


@dataclass(frozen=True)
class Machine:
    """A machine and what runs on it.

    Attributes:
        processor: its name.
        threads: how many compute, in every runtime.
        processors: how many this process may use.
        target: widest vectors that archcost uses here (``avx512``).
        vector_bits: their width.
        memory: bytes of physical memory; None where the platform does not say.
        system: operating system.
        python: version.
        archcost: version.
        versions: package -> version.
        date: of the measurement, in UTC (2030-01-31).
    """

    processor: str
    threads: int
    processors: int
    target: str
    vector_bits: int
    memory: int | None
    system: str
    python: str
    archcost: str
    versions: dict[str, str]
    date: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return it as text, a line for the hardware and one for the software."""
        memory = "" if self.memory is None else f", {self.memory / 2**30:.0f} GiB"
        hardware = (
            f"{self.processor}, {self.threads} of {self.processors} processors used, {self.target} "
            f"({self.vector_bits}-bit vectors){memory}; {self.date}"
        )
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return [hardware, f"archcost {self.archcost}, {self.system}, Python {self.python}, {packages}"]


def described(threads: int) -> Machine:
    """Return the machine that this process runs on.

    Args:
        threads: how many compute in a measurement.
    """
    from archcost.engine.team import thread_count
    from archcost.kernels.target import current

    target = current()
    return Machine(
        processor(),
        threads,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or thread_count(1),
        target.name,
        8 * target.vector_bytes,
        physical_memory(),
        platform.system(),
        platform.python_version(),
        archcost.__version__,
        versions(),
        datetime.now(timezone.utc).date().isoformat(),
    )


def physical_memory() -> int | None:
    """Return the bytes of physical memory, where the platform says so."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
