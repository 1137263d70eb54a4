"""Graphs as values: what they refuse, what they share, and that looking at them changes nothing."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError
from time import process_time
from typing import Any

import pytest

from archcost.build import Builder
from archcost.errors import ArchcostError, GraphError
from archcost.graph import Graph, Node
from archcost.ops import Add, BatchNorm2d, Concat, Conv2d, ConvTranspose2d, Flatten, Input, Linear, ReLU
from archcost.receptive_field import receptive_fields
from archcost.report.memory import peak_activations
from archcost.report.rows import rows_of, total

IMAGE = Node("image", Input((3, 8, 8)))


def chain(*nodes: Node, outputs: tuple[str, ...] = ("last",), **more: Any) -> Graph:
    return Graph((IMAGE, *nodes), outputs, **more)


def two_branches() -> Graph:
    """Two inputs, three outputs, shared convolutions, an unused branch."""
    net = Builder("pair", "shared")
    left, right = net.input((3, 8, 8), "left"), net.input((3, 6, 6), "right")
    with net.scope("tower", "Tower"):
        one = net(Conv2d(4, 3, padding=1), left, name="conv")
        one = net(BatchNorm2d(), one, name="norm")
        two = net(Conv2d(4, 3, padding=1), right, name="conv_again", shares=one._replace(name="tower.conv"))
        two = net(BatchNorm2d(), two, name="norm_again", shares=one)
    net(ReLU(), one, name="unused")
    flat = net(Concat(), net(Flatten(), one), net(Flatten(), two), name="joined")
    return net.build(net(Linear(5), flat, name="head"), one, left)


def test_shapes_are_inferred_for_every_node() -> None:
    graph = two_branches()
    assert dict(graph.shapes) == {
        "left": (3, 8, 8), "right": (3, 6, 6), "tower.conv": (4, 8, 8), "tower.norm": (4, 8, 8),
        "tower.conv_again": (4, 6, 6), "tower.norm_again": (4, 6, 6), "unused": (4, 8, 8),
        "flatten": (256,), "flatten_1": (144,), "joined": (400,), "head": (5,),
    }  # fmt: skip
    assert [node.name for node in graph.inputs] == ["left", "right"]
    assert graph.outputs == ("head", "tower.norm", "left")
    assert len(graph) == len(list(graph)) == 11
    assert graph.input_shapes(graph.node("joined")) == ((256,), (144,))
    assert graph.title == "pair (shared)"
    assert graph.named("other").title == "other"


def test_a_shared_parameter_counts_once() -> None:
    """Convolution 4*3*9 + 4 = 112, its norm 8, dense 400*5 + 5 = 2005; the second tower owns nothing."""
    graph = two_branches()
    rows = {row.name: row for row in rows_of(graph)}
    owned = {name: row.params for name, row in rows.items() if row.params}
    assert owned == {"tower.conv": 112, "tower.norm": 8, "head": 2005}
    assert {name: row.buffers for name, row in rows.items() if row.buffers} == {"tower.norm": 9}
    assert rows["tower.conv_again"].mult_adds == 4 * 6 * 6 * 27  # it works all the same
    assert total(rows.values())["params"] == 2125
    assert "shares tower.conv" in rows["tower.conv_again"].label
    assert set(graph.tensors()) == {
        "tower.conv.weight", "tower.conv.bias", "tower.norm.weight", "tower.norm.bias", "tower.norm.running_mean",
        "tower.norm.running_var", "tower.norm.num_batches_tracked", "head.weight", "head.bias",
    }  # fmt: skip


def test_sharing_by_several_nodes_counts_once() -> None:
    nodes = [Node(f"again{n}", Conv2d(3, 1), ("image",), shares="first") for n in range(5)]
    graph = chain(Node("first", Conv2d(3, 1), ("image",)), *nodes, outputs=("again4",))
    assert total(rows_of(graph))["params"] == 12
    assert total(rows_of(graph))["mult_adds"] == 6 * 64 * 9


@pytest.mark.parametrize(
    ("owner", "node", "message"),
    [
        (Node("a", Conv2d(3, 1), ("image",)), Node("last", Conv2d(3, 1), ("a",), "b"),
         "last: shares 'b', which is no earlier node"),
        (Node("a", Conv2d(3, 1), ("image",)), Node("last", Conv2d(3, 1), ("a",), "last"),
         "last: shares 'last', which is no earlier node"),
        (Node("a", Conv2d(3, 1), ("image",), "last"), Node("last", Conv2d(3, 1), ("a",)),
         "a: shares 'last', which is no earlier node"),
        (Node("a", Conv2d(3, 1), ("image",)), Node("last", Conv2d(3, 3), ("a",), "a"),
         "last: parameters of 'a' have other shapes"),
        (Node("a", Conv2d(4, 1), ("image",)), Node("last", Conv2d(4, 1), ("a",), "a"),
         "last: parameters of 'a' have other shapes"),  # 4 input channels, not 3
        (Node("a", Conv2d(3, 1), ("image",)), Node("last", Conv2d(3, 1, bias=False), ("a",), "a"),
         "last: parameters of 'a' have other shapes"),
        (Node("a", ReLU(), ("image",)), Node("last", ReLU(), ("a",), "a"),
         "last: parameters of 'a' have other shapes, they cannot be shared"),
        (Node("a", Conv2d(3, 1), ("image",)), Node("last", ReLU(), ("a",), "a"), "last: parameters of 'a' have other"),
        (Node("a", ReLU(), ("image",)), Node("last", Conv2d(3, 1), ("a",), "image"), "last: parameters of 'image'"),
    ],
)  # fmt: skip
def test_sharing_that_cannot_be(owner: Node, node: Node, message: str) -> None:
    with pytest.raises(GraphError, match=f"^{message}"):
        chain(owner, node)


def test_sharing_chains_are_refused() -> None:
    """Parameters have one owner: whoever shares names it, not another that shares."""
    first = Node("first", Conv2d(3, 1), ("image",))
    second = Node("second", Conv2d(3, 1), ("image",), "first")
    with pytest.raises(GraphError, match=r"^last: shares 'second', which is no earlier node with own parameters$"):
        chain(first, second, Node("last", Conv2d(3, 1), ("image",), "second"))
    assert chain(first, second, Node("last", Conv2d(3, 1), ("image",), "first"))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([Node("last", ReLU(), ("image",)), Node("last", ReLU(), ("image",))], "last: the name is used twice"),
        ([Node("image", ReLU(), ("image",))], "image: the name is used twice"),
        ([Node("last", ReLU(), ("imgae",))], r"last: input 'imgae' is not a node before it \(did you mean 'image'\?\)"),
        ([Node("last", ReLU(), ("nothing like it",))], "last: input 'nothing like it' is not a node before it$"),
        ([Node("last", ReLU(), ("last",))], "last: input 'last' is not a node before it"),
        ([Node("a", ReLU(), ("last",)), Node("last", ReLU(), ("a",))], "a: input 'last' is not a node before it"),
        ([Node("last", ReLU())], "last: ReLU takes 1 input, not 0"),
        ([Node("last", ReLU(), ("image", "image"))], "last: ReLU takes 1 input, not 2"),
        ([Node("last", Add())], "last: Add takes at least one input, not 0"),
        ([Node("last", Input((3,)), ("image",))], "last: Input takes 0 inputs, not 1"),
        ([Node("", ReLU(), ("image",))], "node name '' must be words joined by dots"),
        ([Node("a..b", ReLU(), ("image",))], "node name 'a..b' must be words joined by dots"),
        ([Node(".a", ReLU(), ("image",))], "node name '.a' must be words joined by dots"),
        ([Node("a.", ReLU(), ("image",))], "node name 'a.' must be words joined by dots"),
        ([Node("last", Conv2d(8, 3, groups=2), ("image",))],
         r"last: `groups` \(=2\) must divide the 3 input channels \(input 3x8x8\)$"),
        ([Node("a", Conv2d(2, 1), ("image",)), Node("last", Add(), ("image", "a"))],
         r"last: inputs 3x8x8 and 2x8x8 do not broadcast: .* \(input 3x8x8, 2x8x8\)$"),
    ],
)  # fmt: skip
def test_nodes_that_do_not_hold_together(nodes: list[Node], message: str) -> None:
    with pytest.raises(GraphError, match=f"^{message}"):
        chain(*nodes)


def test_inputs_and_outputs_are_needed() -> None:
    relu = Node("last", ReLU(), ("image",))
    with pytest.raises(GraphError, match=r"^a graph needs at least one Input$"):
        Graph((), ("last",))
    with pytest.raises(GraphError, match=r"^a graph needs at least one output$"):
        chain(relu, outputs=())
    with pytest.raises(GraphError, match=r"^output 'lst' is not a node \(did you mean 'last'\?\)$"):
        chain(relu, outputs=("last", "lst"))
    with pytest.raises(GraphError, match=r"^no node 'lasst' in network \(did you mean 'last'\?\)$"):
        chain(relu).node("lasst")
    assert chain(outputs=("image",)).outputs == ("image",)


def test_a_tensor_too_large_to_print_its_size_is_an_error_not_a_crash() -> None:
    """Python refuses to print integers of more than 4,300 digits; 2**20000 has 6,021."""
    net = Builder()
    with pytest.raises(ArchcostError):
        net(Conv2d(1, 1), net(Flatten(), net.input((2**40,) * 500)))


def test_nothing_of_a_graph_can_be_changed() -> None:
    graph = two_branches()
    before = repr(graph)
    for name in ("nodes", "outputs", "name", "variant", "scopes", "shapes"):
        with pytest.raises(FrozenInstanceError):
            setattr(graph, name, ())
    with pytest.raises(FrozenInstanceError):
        graph.nodes[0].name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError, match="does not support item assignment"):
        graph.shapes["left"] = (1,)  # type: ignore[index]
    with pytest.raises(TypeError, match="does not support item assignment"):
        graph.scopes["tower"] = "other"  # type: ignore[index]
    assert repr(graph) == before
    nodes, scopes = [IMAGE], {"a": "b"}
    made = Graph(nodes, ["image"], scopes=scopes)  # type: ignore[arg-type]
    nodes.clear()
    scopes.clear()
    assert (len(made), dict(made.scopes)) == (1, {"a": "b"})
    with pytest.raises(TypeError, match="does not support item assignment"):
        made.scopes["a"] = "c"  # type: ignore[index]


def test_equal_descriptions_are_equal_graphs() -> None:
    one, other = two_branches(), two_branches()
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one == Graph(one.nodes, one.outputs, one.name, one.variant, one.scopes)
    relu = Node("last", ReLU(), ("image",))
    graphs = [
        chain(relu), chain(relu, name="n"), chain(relu, variant="v"), chain(relu, scopes={"a": "b"}),
        chain(relu, outputs=("image",)), chain(relu, outputs=("last", "image")),
        chain(Node("last", Flatten(), ("image",))),
        chain(Node("last", ReLU(), ("image",), call="function")), chain(relu, Node("more", ReLU(), ("last",))),
    ]  # fmt: skip
    assert [[a == b for b in graphs].count(True) for a in graphs] == [1] * len(graphs)
    assert len(set(graphs)) == len(graphs)


def test_copies_and_pickles_are_equal_and_work() -> None:
    graph = two_branches()
    graph.node("head")  # what is kept for speed must not get in the way
    for other in (copy.copy(graph), copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert other == graph
        assert hash(other) == hash(graph)
        assert dict(other.shapes) == dict(graph.shapes)
        assert other.to_json() == graph.to_json()
        assert rows_of(other) == rows_of(graph)


def test_analysing_twice_gives_equal_results_and_changes_nothing() -> None:
    graph = two_branches()
    state = (repr(graph), hash(graph), graph.to_json())
    analyses = [
        (rows_of(graph, train=True), peak_activations(graph), receptive_fields(graph), graph.tensors())
        for _ in range(2)
    ]
    assert analyses[0] == analyses[1]
    assert (repr(graph), hash(graph), graph.to_json()) == state
    assert graph == two_branches()


def test_an_output_may_be_listed_twice_and_an_input_read_never() -> None:
    graph = Graph((IMAGE, Node("spare", Input((1,)))), ("image", "image"))
    assert [node.name for node in graph.inputs] == ["image", "spare"]
    assert rows_of(graph) == []


def deep(count: int) -> Graph:
    nodes = [Node("n0", Input((2, 4, 4)))]
    nodes += [Node(f"n{i}", ReLU() if i % 2 else Conv2d(2, 1), (f"n{i - 1}",)) for i in range(1, count)]
    return Graph(tuple(nodes), (nodes[-1].name,))


def wide(count: int) -> Graph:
    """One input read by all, and all of them read by one addition."""
    names = tuple(f"n{i}" for i in range(count - 2))
    nodes = [Node(name, ReLU() if i % 2 else Conv2d(2, 1), ("image",)) for i, name in enumerate(names)]
    return Graph((Node("image", Input((2, 4, 4))), *nodes, Node("sum", Add(), names)), ("sum",))


def seconds(make: Any, count: int) -> float:
    start = process_time()
    graph = make(count)
    sums = total(rows_of(graph))
    taken = process_time() - start
    assert len(graph) == count
    convolutions = sum(isinstance(node.op, Conv2d) for node in graph)
    assert sums["operators"] == count - 1
    assert sums["mult_adds"] == convolutions * 2 * 2 * 16
    assert sums["params"] == convolutions * 6
    return taken


@pytest.mark.parametrize("make", [deep, wide], ids=["chain", "wide"])
def test_a_hundred_thousand_nodes_take_time_linear_in_their_number(make: Any) -> None:
    small = min(seconds(make, 20_000) for _ in range(2))
    large = min(seconds(make, 100_000) for _ in range(2))
    assert large < 10 * small, f"5 times the nodes took {large / small:.1f} times as long"
    assert large < 60


def test_a_transposed_convolution_may_share_the_weights_of_a_convolution_of_equal_shapes() -> None:
    graph = chain(
        Node("down", Conv2d(3, 2, 2, bias=False), ("image",)),
        Node("last", ConvTranspose2d(3, 2, 2, bias=False), ("down",), shares="down"),
    )
    assert graph.shapes["last"] == (3, 8, 8)
    assert total(rows_of(graph))["params"] == 36
