"""The only exceptions that archcost raises for something a user can cause.

A low level states the fact (argument, value, constraint); the graph adds the node and its input shapes; the command
line prints the one line and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterable


class ArchcostError(Exception):
    """Base of every error that a user can cause; its text is one line."""


class OperatorError(ArchcostError):
    """A hyper-parameter or an input shape that an operator does not allow."""


class GraphError(ArchcostError):
    """A graph that does not hold together: names, order, arity, sharing, outputs."""


class ModelError(ArchcostError):
    """A model that cannot be had: unknown name, unreadable file, wrong option."""


class UsageError(ArchcostError):
    """A request that makes no sense for this model: unknown column, pattern without a match, impossible size."""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest of ``allowed``, or an empty string when nothing is near."""
    from difflib import get_close_matches  # only an error needs it, and a summary must start at once

    near = get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""
