"""The one rule for seeds."""

from __future__ import annotations

from archcost.errors import UsageError


def check_seed(seed: int) -> None:
    """Check that a seed can start the generator of random numbers.

    Raises:
        UsageError: if it is negative or does not fit into 63 bits.
    """
    if not 0 <= seed < 2**63:
        raise UsageError(f"`seed` (={seed}) must lie between 0 and 2^63 - 1")
