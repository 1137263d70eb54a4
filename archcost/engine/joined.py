"""Concatenation in place: what is put together is written into the whole by those who compute it.

The blocks of channels of a tensor follow each other in memory, so that an input of a concatenation that begins at a
whole block can be a part of its output. Where features are concatenated again and again (DenseNet), all of them are
parts of the last tensor, and the earlier ones its beginnings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from archcost.engine.memory import Key, Need
from archcost.graph import Graph, Node
from archcost.ops import Concat, Input

Parts = dict[Key, tuple[Key, int]]
"""Part -> the tensor that it lies in, and its first block there."""


def with_parts(
    graph: Graph, holder: Mapping[str, str], needs: Mapping[Key, Need], kinds: tuple[str, str], lanes: int
) -> dict[Key, Need]:
    """Return the needs, with parts of concatenations inside their wholes.

    Args:
        graph: the network.
        holder: node -> the node whose tensor it uses.
        needs: the tensors that a program needs.
        kinds: of a value, and of a value for one image where the batch's are collected too: what is computed first.
        lanes: channels of a block.
    """
    parts: Parts = {}
    for node in reversed(graph.nodes):
        if isinstance(node.op, Concat):
            _place(graph, node, holder, needs, kinds, lanes, parts)
    result = dict(needs)
    roots = {part: _root(part, parts) for part in parts}
    for part, (root, _) in roots.items():
        one, whole = result[part], result[root]
        halo = tuple(tuple(max(pair) for pair in zip(*sides)) for sides in zip(one.halo, whole.halo))
        (top, bottom), (left, right) = halo
        result[root] = replace(
            whole,
            halo=((top, bottom), (left, right)),
            first=min(one.first, whole.first),
            last=max(one.last, whole.last),
        )
    for part, (root, block) in roots.items():
        result[part] = replace(result[part], halo=result[root].halo, inside=(root, block))
    return result


def _root(part: Key, parts: Parts) -> tuple[Key, int]:
    """Return the tensor that a part lies in at last, and its first block there."""
    whole, block = parts[part]
    while whole in parts:
        whole, more = parts[whole]
        block += more
    return whole, block


def _place(
    graph: Graph,
    node: Node,
    holder: Mapping[str, str],
    needs: Mapping[Key, Need],
    kinds: tuple[str, str],
    lanes: int,
    parts: Parts,
) -> None:
    """Place the inputs of one concatenation in it, or it in what its inputs lie in."""
    value, alone = kinds
    whole = (alone if (alone, node.name) in needs else value), node.name
    if whole not in needs or len(graph.shapes[node.name]) != 3 or node.op != Concat(0):
        return
    if needs[whole].shape != graph.shapes[node.name]:
        return
    keys = [(value, holder[name]) for name in node.inputs]
    alike = [_is_alike(graph, key, name, needs, whole, alone) for key, name in zip(keys, node.inputs)]
    if all(alike) and whole not in parts and _follows(keys, needs, parts, lanes):
        parts[whole] = parts[keys[0]]
        return
    block = 0
    for key, name, fits in zip(keys, node.inputs, alike):
        channels = graph.shapes[name][0]
        if channels % lanes and name != node.inputs[-1]:
            break  # its last block, and all that come, hold channels of two inputs
        if fits and key not in parts and keys.count(key) == 1:
            parts[key] = whole, block
        block += channels // lanes


def _is_alike(graph: Graph, key: Key, name: str, needs: Mapping[Key, Need], whole: Key, alone: str) -> bool:
    """Tell whether an input of a concatenation is a tensor of its own, of as many images, and computed."""
    return (
        key in needs
        and (alone, key[1]) not in needs
        and not needs[key].by_image
        and needs[key].shape == graph.shapes[name]
        and needs[key].images == (1 if needs[whole].by_image else needs[whole].images)
        and needs[key].lanes == needs[whole].lanes
        and not isinstance(graph.node(key[1]).op, Input)
    )


def _follows(keys: Collection[Key], needs: Mapping[Key, Need], parts: Parts, lanes: int) -> bool:
    """Tell whether tensors lie one behind the other in one and the same tensor."""
    if any(key not in parts for key in keys):
        return False
    places = [parts[key] for key in keys]
    block = places[0][1]
    for key, place in zip(keys, places):
        if place != (places[0][0], block):
            return False
        block += -(-needs[key].shape[0] // lanes)
    return all(needs[key].shape[0] % lanes == 0 for key in list(keys)[:-1])
