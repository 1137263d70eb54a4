"""Files that are no graph: each is refused in one line that names the place, and nothing else is ever raised."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.build import Builder
from archcost.errors import ArchcostError, GraphError
from archcost.graph import Graph
from archcost.receptive_field import receptive_fields
from archcost.report.memory import peak_activations
from archcost.report.rows import rows_of
from archcost.serialize import SCHEMA, from_json
from tests.samples import Sample, each_sample
from tests.strategies import graphs


def valid() -> dict[str, Any]:
    """Return a file that reads: image -> conv -> relu -> sum with the image's three channels -> pool -> dense."""
    return {
        "schema": SCHEMA,
        "name": "tiny",
        "variant": "",
        "nodes": [
            {"name": "image", "op": "Input", "shape": [3, 8, 8], "inputs": []},
            {"name": "conv", "op": "Conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1, "inputs": ["image"]},
            {"name": "relu", "op": "ReLU", "inputs": ["conv"], "call": "function"},
            {"name": "norm", "op": "BatchNorm2d", "eps": 0.001, "affine": True, "inputs": ["relu"]},
            {"name": "sum", "op": "Add", "inputs": ["norm", "image"]},
            {"name": "again", "op": "Conv2d", "out_channels": 3, "kernel_size": [3, 3], "inputs": ["sum"],
             "shares": "conv"},
            {"name": "pool", "op": "GlobalAvgPool", "keep_axes": False, "inputs": ["again"]},
            {"name": "head", "op": "Linear", "out_features": 10, "inputs": ["pool"]},
        ],
        "outputs": ["head"],
        "scopes": {"body": "Body"},
    }  # fmt: skip


def test_the_file_that_the_broken_ones_are_made_of_reads() -> None:
    graph = from_json(json.dumps(valid()))
    assert (len(graph), graph.shapes["head"]) == (8, (10,))
    minimal = {"schema": SCHEMA, "nodes": valid()["nodes"][:1], "outputs": ["image"]}
    assert from_json(json.dumps(minimal)).title == "network"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: "),
        ("{", "not JSON: "),
        ("nonsense", "not JSON: "),
        ("{'schema': 1}", "not JSON: "),
        ('{"schema": "' + SCHEMA + '"} trailing', "not JSON: Extra data"),
        ("\ufeff{}", "not JSON: .*BOM"),
        ("[" * 100_000, "not JSON: |nested"),
        ('{"schema": ' * 100_000, "not JSON: |nested"),
        ("1" * 5000, "not JSON: "),
        ("[]", r"`schema` \(='list'\) must be 'archcost.graph/1'"),
        ("null", r"`schema` \(='NoneType'\) must be 'archcost.graph/1'"),
        ('"archcost.graph/1"', r"`schema` \(='str'\) must be 'archcost.graph/1'"),
        ("{}", r"`schema` \(=None\) must be 'archcost.graph/1'"),
        ('{"schema": 1}', r"`schema` \(=1\) must be 'archcost.graph/1'"),
        ('{"schema": "archcost.graph/2"}', r"`schema` \(='archcost.graph/2'\) must be 'archcost.graph/1'"),
        ('{"schema": "archcost.graph/1"}', "`nodes` must be a list"),
        ('{"schema": "archcost.graph/1", "nodes": []}', "`outputs` must be a list"),
        ('{"schema": "archcost.graph/1", "nodes": [], "outputs": []}', "a graph needs at least one Input"),
    ],
    ids=lambda text: str(text)[:40],
)
def test_a_text_that_is_no_graph_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(GraphError, match=f"^{message}"):
        from_json(text)


Place = tuple[Any, ...]
NODE: Place = ("nodes", 1)
HEAD: Place = ("nodes", 7)
BROKEN: list[tuple[Place, Any, str]] = [
    (("nodes",), {}, "`nodes` must be a list"),
    (("nodes",), None, "`nodes` must be a list"),
    (("outputs",), "head", "`outputs` must be a list"),
    (("outputs",), [], "a graph needs at least one output"),
    (("outputs",), ["haed"], r"output 'haed' is not a node \(did you mean 'head'\?\)"),
    (("outputs",), [7], "`outputs` and `scopes` must hold names"),
    (("outputs",), [["head"]], "`outputs` and `scopes` must hold names"),
    (("scopes",), [], "`scopes` must be a"),
    (("scopes",), {"body": 1}, "`outputs` and `scopes` must hold names"),
    (("name",), 5, "`name` must be a string"),
    (("variant",), None, "`variant` must be a string"),
    (NODE, [], "node 1: must be an object with `name` and `op`"),
    (NODE, None, "node 1: must be an object with `name` and `op`"),
    ((*NODE, "name"), 3, "node 1: must be an object with `name` and `op`"),
    ((*NODE, "name"), ["conv"], "node 1: must be an object with `name` and `op`"),
    ((*NODE, "name"), "", "node name '' must be words joined by dots"),
    ((*NODE, "name"), "a..b", "node name 'a..b' must be words joined by dots"),
    ((*NODE, "name"), "image", "image: the name is used twice"),
    ((*NODE, "op"), None, "node 1: must be an object with `name` and `op`"),
    ((*NODE, "op"), "Conv2D", r"conv: unknown operator 'Conv2D' \(did you mean 'Conv2d'\?\)"),
    ((*NODE, "op"), "__class__", "conv: unknown operator '__class__'"),
    ((*NODE, "op"), "Window", "conv: unknown operator 'Window'"),
    ((*NODE, "op"), "Activation", "conv: unknown operator 'Activation'"),
    ((*NODE, "inputs"), "image", "conv: `inputs` must be a list of node names"),
    ((*NODE, "inputs"), [1], "conv: `inputs` must be a list of node names"),
    ((*NODE, "inputs"), [None], "conv: `inputs` must be a list of node names"),
    ((*NODE, "inputs"), [], "conv: Conv2d takes 1 input, not 0"),
    ((*NODE, "inputs"), ["imagee"], r"conv: input 'imagee' is not a node before it \(did you mean 'image'\?\)"),
    ((*NODE, "inputs"), ["conv"], "conv: input 'conv' is not a node before it"),
    ((*NODE, "inputs"), ["head"], "conv: input 'head' is not a node before it"),
    ((*NODE, "shares"), 1, "conv: `shares` must be a node name"),
    ((*NODE, "shares"), "again", "conv: shares 'again', which is no earlier node"),
    ((*NODE, "call"), "magic", r"conv: `call` \(='magic'\) must be one of module"),
    ((*NODE, "call"), ["module"], r"conv: `call` \(=\['module'\]\) must be one of module"),
    ((*NODE, "kernal_size"), 3, r"conv: Conv2d has no `kernal_size` \(did you mean 'kernel_size'\?\)"),
    ((*NODE, "__class__"), 3, "conv: Conv2d has no `__class__`"),
    ((*NODE, "out_channels"), True, r"conv: `out_channels` \(=True\) must be an integer"),
    ((*NODE, "out_channels"), 8.0, r"conv: `out_channels` \(=8.0\) must be an integer"),
    ((*NODE, "out_channels"), "8", r"conv: `out_channels` \(='8'\) must be an integer"),
    ((*NODE, "out_channels"), None, r"conv: `out_channels` \(=None\) must be an integer"),
    ((*NODE, "out_channels"), float("nan"), "(conv|not JSON).*(?i:nan)"),
    ((*NODE, "out_channels"), 10**4000, "conv: `out_channels` .* must be at least 1 and at most"),
    ((*NODE, "out_channels"), -3, r"conv: `out_channels` \(=-3\) must be at least 1"),
    ((*NODE, "kernel_size"), [3, True], r"conv: `kernel_size` \(=True\) must be an integer"),
    ((*NODE, "kernel_size"), [3, 3, 3], "conv: `kernel_size` .* must be an integer or a pair"),
    ((*NODE, "kernel_size"), {"h": 3}, "conv: `kernel_size` .* must be an integer"),
    ((*NODE, "kernel_size"), 99, r"conv: kernel 99 is larger than the input size 8 plus padding 1\+1 \(input 3x8x8\)"),
    ((*NODE, "padding"), "full", r"conv: `padding` \(='full'\) must be 'same', 'valid'"),
    ((*NODE, "padding"), [[1, 1], 1], "conv: `padding` .* must be"),
    ((*NODE, "groups"), 2, r"conv: `groups` \(=2\) must divide `out_channels` \(=3\)"),
    ((*NODE, "bias"), 1, r"conv: `bias` \(=1\) must be a bool"),
    ((*NODE, "bias"), "no", r"conv: `bias` \(='no'\) must be a bool"),
    (("nodes", 0, "shape"), [], "image: `shape` must have at least one axis"),
    (("nodes", 0, "shape"), [3, 0, 8], r"image: `shape` \(=0\) must be at least 1"),
    (("nodes", 0, "shape"), [3, 8, "8"], r"image: `shape` \(='8'\) must be an integer"),
    (("nodes", 0, "shape"), 3, "image: .*3"),
    (("nodes", 0, "inputs"), ["head"], "image: input 'head' is not a node before it"),
    (("nodes", 3, "eps"), True, r"norm: `eps` \(=True\) must be a float"),
    (("nodes", 3, "eps"), "small", r"norm: `eps` \(='small'\) must be a float"),
    (("nodes", 3, "eps"), float("nan"), "(norm|not JSON).*(?i:nan)"),
    (("nodes", 3, "eps"), float("inf"), "(norm|not JSON).*(?i:inf)"),
    (("nodes", 3, "affine"), 1, r"norm: `affine` \(=1\) must be a bool"),
    (("nodes", 4, "inputs"), ["norm", "pool"], "sum: input 'pool' is not a node before it"),
    (("nodes", 4, "inputs"), [], "sum: Add takes at least one input, not 0"),
    (("nodes", 4, "shape"), [3], "sum: Add has no `shape`"),
    (("nodes", 5, "kernel_size"), 1, "again: parameters of 'conv' have other shapes"),
    (("nodes", 6, "inputs"), ["head"], "pool: input 'head' is not a node before it"),
    ((*HEAD, "name"), "conv", "conv: the name is used twice"),
    ((*HEAD, "inputs"), ["pool", "pool"], "head: Linear takes 1 input, not 2"),
    (HEAD, {"name": "head", "op": "Linear", "inputs": ["pool"]}, "head: .*out_features"),
    (HEAD, {"name": "head", "op": "Softmax", "axis": "x", "inputs": ["pool"]}, "head: `axis`"),
    (HEAD, {"name": "head", "op": "Softmax", "axis": 1, "inputs": ["pool"]}, "head: `axis`"),
    (HEAD, {"name": "head", "op": "Softmax", "axis": [0], "inputs": ["pool"]}, "head: `axis`"),
    (HEAD, {"name": "head", "op": "Dropout", "rate": 1, "inputs": ["pool"]}, r"head: `rate` \(=1\) must be a number"),
    (HEAD, {"name": "head", "op": "Reshape", "shape": 3, "inputs": ["pool"]}, "head: .*3"),
    (HEAD, {"name": "head", "op": "Pad", "pads": [[1]], "inputs": ["pool"]}, "head: .*pads"),
    (HEAD, {"name": "head", "op": "Pad", "pads": [[1, 1]], "mode": [], "inputs": ["pool"]}, r"head: `mode` \(=\[\]\)"),
    (HEAD, {"name": "head", "op": "ConstantScale", "factor": 10**400, "inputs": ["pool"]}, "head: `factor`"),
    (HEAD, {"name": "head", "op": "LayerNorm", "axis": 0.0, "inputs": ["pool"]}, r"head: `axis` \(=0.0\)"),
    (HEAD, {"name": "head", "op": "LocalResponseNorm", "inputs": ["pool"]}, "head: LocalResponseNorm needs an input"),
    (HEAD, {"name": "head", "op": "PartialConv2d", "connections": 1, "kernel_size": 1}, "head: .*1"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value", "message"), BROKEN, ids=[f"{p}={str(v)[:50]}" for p, v, _ in BROKEN])
def test_a_broken_file_is_refused_with_its_place(place: Place, value: Any, message: str) -> None:
    data = valid()
    target: Any = data
    for key in place[:-1]:
        target = target[key]
    assert target == data or target is not data
    target[place[-1]] = value
    with pytest.raises(GraphError, match=f"^{message}") as caught:
        from_json(json.dumps(data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["name", "op"])
def test_a_node_needs_a_name_and_an_operator(key: str) -> None:
    data = valid()
    del data["nodes"][1][key]
    with pytest.raises(GraphError, match=r"^node 1: must be an object with `name` and `op`$"):
        from_json(json.dumps(data))


def test_an_unknown_key_of_the_file_is_refused_as_one_of_a_node_is() -> None:
    with pytest.raises(GraphError, match=r"`scope`.*did you mean 'scopes'"):
        from_json(json.dumps({**valid(), "scope": {}}))


@pytest.mark.parametrize("place", ["kernel_size", "padding", "inputs", "shares", "call", "surprise", "name"])
def test_nesting_of_any_depth_is_an_error_not_a_crash(place: str) -> None:
    """Near the interpreter's limit a value can be read but no longer printed."""
    head, tail = json.dumps({**valid(), "nodes": []}).split('"nodes": []')
    for depth in (*range(1, 1100), 10_000, 100_000):
        nested = "[" * depth + "]" * depth
        node = f'{{"name": "conv", "op": "Conv2d", "out_channels": 3, "kernel_size": 3, "{place}": {nested}}}'
        with pytest.raises(ArchcostError):
            from_json(f'{head}"nodes": [{node}]{tail}')


scalars = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.sampled_from(
    ["", "conv", "image", "same", "Softmax", "LayerNorm", "Flatten", 2**40, -1, 10**400]
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)


def places(value: Any, path: Place = ()) -> list[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def assert_graph_or_refusal(content: object) -> None:
    """What reads must be a graph in full: it can be analysed, and it reads back equal once it is written."""
    text = json.dumps(content)
    try:
        graph = from_json(text)
    except ArchcostError:
        with pytest.raises(ArchcostError, match=r"\A[^\n]+\Z"):
            from_json(text)
        return
    assert len(rows_of(graph, train=True)) <= len(graph)
    assert set(receptive_fields(graph)) <= set(graph.shapes)
    assert peak_activations(graph).elements > 0
    assert from_json(graph.to_json()) == graph
    assert hash(from_json(graph.to_json())) == hash(graph)


@given(graphs(), st.data())
@settings(max_examples=200)
def test_a_file_with_one_value_replaced_reads_or_is_refused(graph: Graph, data: st.DataObject) -> None:
    content = json.loads(graph.to_json())
    place = data.draw(st.sampled_from(places(content)[1:]))
    target = content
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = data.draw(values)
    assert_graph_or_refusal(content)


HOSTILE: list[Any] = [
    None, True, False, -(10**9), -2, -1, 0, 1, 2, 7, 2**40, 2**40 + 1, 10**400, 0.0, -0.5, 1.0, 1e308, math.nan,
    math.inf, "", "x", "0", "same", "reflect", [], [0], [-1], [1], [True], [1.0], [None], ["a"], [2**40] * 3,
    [1] * 40, [2, 1], [1, 1, 1], [0, 2, 1], [[1]], [[]], [[1, 1], [1, 1]], [[1, 1], 1], [[0, 1], [1]], [[[1]]], {},
    {"a": 1}, [{}],
]  # fmt: skip


@each_sample
def test_any_value_for_any_hyper_parameter_reads_or_is_refused(sample: Sample) -> None:
    net = Builder()
    inputs = [net.input(shape, f"in{index}") for index, shape in enumerate(sample.inputs)]
    text = net.build(net(sample.op, *inputs, name="it"), net.input((1,), "spare")).to_json()
    for field in fields(sample.op):
        for value in HOSTILE:
            content = json.loads(text)
            node = next(node for node in content["nodes"] if node["name"] == "it")
            assert field.name in node
            node[field.name] = value
            assert_graph_or_refusal(content)
