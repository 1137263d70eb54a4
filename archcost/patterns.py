"""Layers by pattern: which of them ``--freeze`` keeps from being trained."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from archcost.errors import UsageError, did_you_mean
from archcost.graph import Graph


def frozen_nodes(graph: Graph, patterns: Iterable[str]) -> frozenset[str]:
    """Return the nodes with parameters that ``patterns`` freeze.

    A pattern is a scope (``layer1`` freezes everything below it) or a node's name, with ``*``, ``?``, ``[1-3]``.
    A node that shares its parameters is frozen with their owner.

    Raises:
        UsageError: if a pattern matches no node with parameters.
    """
    owners = [node for node in graph if node.shares is None and graph.params(node)]
    frozen: set[str] = set()
    for pattern in patterns:
        matched = [node.name for node in owners if matches(node.name, pattern)]
        if not matched:
            scopes = {node.name.rsplit(".", depth)[0] for node in owners for depth in (0, 1, 2)}
            raise UsageError(f"pattern {pattern!r} matches no layer with parameters{did_you_mean(pattern, scopes)}")
        frozen.update(matched)
    frozen.update(node.name for node in graph if node.shares in frozen)
    return frozenset(frozen)


def matches(name: str, pattern: str) -> bool:
    """Return whether ``pattern`` names the node ``name`` or a scope that it lies in."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
