"""The processor's name, which measurements are kept under and described with."""

from __future__ import annotations

import platform
from pathlib import Path


def processor(information: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, as exactly as the platform knows it."""
    name = platform.processor() or platform.machine()
    try:
        lines = information.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return name
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
