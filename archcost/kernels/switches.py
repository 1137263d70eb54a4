"""Environment variables that switch a fast way off."""

from __future__ import annotations

import os

from archcost.errors import UsageError


def switched_on(name: str) -> bool:
    """Return whether an environment variable leaves what it stands for on, which it is by default.

    Raises:
        UsageError: if the variable is neither "on" nor "off".
    """
    value = os.environ.get(name, "on")
    if value not in ("on", "off"):
        raise UsageError(f"{name} (={value!r}) must be on or off")
    return value == "on"
