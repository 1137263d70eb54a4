"""Graphs as JSON, versioned: ``archcost.graph/1``. Reading back what was written gives an equal graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args

from archcost.errors import ArchcostError, GraphError, did_you_mean
from archcost.geometry import shown
from archcost.graph import Call, Graph, Node
from archcost.ops import OPERATORS, Op

SCHEMA = "archcost.graph/1"

_KEYS = ("schema", "name", "variant", "nodes", "outputs", "scopes")

_PLAIN_TYPES: dict[str, tuple[type, ...]] = {"float": (int, float), "bool": (bool,), "str": (str,)}
"""Field annotations that an operator does not validate itself, and what JSON may hold for them."""


def to_json(graph: Graph) -> str:
    """Return ``graph`` as JSON text: one line a node, every hyper-parameter written out."""
    head = {"schema": SCHEMA, "name": graph.name, "variant": graph.variant}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    nodes = ",\n".join(f"    {json.dumps(_node_to_dict(node))}" for node in graph.nodes)
    lines.append(f'  "nodes": [\n{nodes}\n  ],')
    lines.append(f'  "outputs": {json.dumps(graph.outputs)},')
    lines.append(f'  "scopes": {json.dumps(dict(graph.scopes))}')
    return "\n".join(["{", *lines, "}"]) + "\n"


def _node_to_dict(node: Node) -> dict[str, object]:
    arguments = {field.name: getattr(node.op, field.name) for field in fields(node.op) if field.init}
    data: dict[str, object] = {"name": node.name, "op": type(node.op).__name__, **arguments, "inputs": node.inputs}
    if node.shares is not None:
        data["shares"] = node.shares
    if node.call != "module":
        data["call"] = node.call
    return data


def from_json(text: str) -> Graph:
    """Return the graph that ``text`` describes.

    Raises:
        GraphError: if the text is no JSON, of another schema, names an unknown operator or hyper-parameter, or if the
            graph does not hold together.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"not JSON: {error}") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise GraphError(f"`schema` (={shown(found)}) must be {SCHEMA!r}")
    for key in data:
        if key not in _KEYS:
            raise GraphError(f"a graph file has no `{shown(key)[1:-1]}`{did_you_mean(key, _KEYS)}")
    try:
        return _graph(data)
    except RecursionError:
        raise GraphError("a value is nested too deeply") from None


def _graph(data: dict[str, Any]) -> Graph:
    nodes = _typed(data, "nodes", list)
    outputs = _typed(data, "outputs", list)
    scopes = _typed(data, "scopes", dict) if "scopes" in data else {}
    if not all(isinstance(word, str) for word in (*outputs, *scopes, *scopes.values())):
        raise GraphError("`outputs` and `scopes` must hold names")
    return Graph(
        tuple(_node_from_dict(index, node) for index, node in enumerate(nodes)),
        tuple(outputs),
        _typed(data, "name", str) if "name" in data else "network",
        _typed(data, "variant", str) if "variant" in data else "",
        scopes,
    )


def _typed(data: Mapping[str, Any], key: str, kind: type) -> Any:
    if not isinstance(data.get(key), kind):
        raise GraphError(f"`{key}` must be a {'string' if kind is str else kind.__name__}")
    return data[key]


def _node_from_dict(index: int, data: object) -> Node:
    if not isinstance(data, dict) or not isinstance(data.get("name"), str) or not isinstance(data.get("op"), str):
        raise GraphError(f"node {index}: must be an object with `name` and `op`")
    arguments = dict(data)
    name, kind = arguments.pop("name"), arguments.pop("op")
    inputs, shares = arguments.pop("inputs", []), arguments.pop("shares", None)
    call: Call = arguments.pop("call", "module")
    if not isinstance(inputs, list) or not all(isinstance(word, str) for word in inputs):
        raise GraphError(f"{name}: `inputs` must be a list of node names")
    if shares is not None and not isinstance(shares, str):
        raise GraphError(f"{name}: `shares` must be a node name")
    if call not in get_args(Call):
        raise GraphError(f"{name}: `call` (={call!r}) must be one of {', '.join(get_args(Call))}")
    if kind not in OPERATORS:
        raise GraphError(f"{name}: unknown operator {kind!r}{did_you_mean(kind, OPERATORS)}")
    return Node(name, _operator(name, OPERATORS[kind], arguments), tuple(inputs), shares, call)


def _operator(node: str, operator: type[Op], arguments: dict[str, Any]) -> Op:
    known = {field.name: field for field in fields(operator) if field.init}
    for key, value in arguments.items():
        if key not in known:
            raise GraphError(f"{node}: {operator.__name__} has no `{shown(key)[1:-1]}`{did_you_mean(key, known)}")
        allowed = _PLAIN_TYPES.get(str(known[key].type))
        if allowed and (not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed)):
            raise GraphError(f"{node}: `{key}` (={shown(value)}) must be a {known[key].type}")
    try:
        return operator(**arguments)
    except ArchcostError as error:
        raise GraphError(f"{node}: {error}") from None
    except (TypeError, ValueError) as error:
        raise GraphError(f"{node}: {operator.__name__} cannot be made of {arguments}: {error}") from None
