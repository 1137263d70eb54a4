"""Which activations are recomputed: simulated step by step, and compared with all other choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings

from archcost.build import Builder
from archcost.cost import Cost
from archcost.geometry import product
from archcost.graph import Graph
from archcost.liveness import holders
from archcost.ops import Add, BatchNorm2d, Concat, Conv2d, MaxPool2d, Op, ReLU, Resize, SiLU, Split
from archcost.recomputation import Recomputation, recomputation
from archcost.segments import Segment, Step, recomputed_costs
from tests.conftest import catalogue_graph
from tests.report.generated import graphs, plain_network


def trained_of(graph: Graph) -> frozenset[str]:
    return frozenset(node.name for node in graph if graph.params(node))


def chosen(graph: Graph) -> Recomputation:
    return recomputation(graph, trained_of(graph), graph.outputs[:1])


def chain(*layers: Op, maps: int = 6) -> Graph:
    """Return the layers in a row, on maps of 8 x 8."""
    net = Builder("chain")
    x = net.input((maps, 8, 8))
    for index, layer in enumerate(layers):
        x = net(layer, x, name=f"l{index}")
    return net.build(x)


def residual_chain() -> Graph:
    net = Builder("residual")
    x = net(Conv2d(4, 3, padding=1), net.input((2, 6, 6)), name="stem")
    for index in range(4):
        y = net(BatchNorm2d(), net(Conv2d(4, 3, padding=1), x, name=f"conv{index}"), name=f"norm{index}")
        x = net(ReLU(), net(Add(), y, x, name=f"add{index}"), name=f"relu{index}")
    return net.build(x)


def with_skips() -> Graph:
    """Return a U: three maps on the way down are joined on the way up."""
    net = Builder("u")
    x = net.input((2, 16, 16))
    skips = []
    for index in range(3):
        x = net(SiLU(), net(BatchNorm2d(), net(Conv2d(4, 3, padding=1), x)))
        skips.append(x)
        x = net(MaxPool2d(2), x, name=f"down{index}")
    for skip in reversed(skips):
        x = net(Concat(), net(Resize((2 * x.shape[1], 2 * x.shape[2])), x), skip)
        x = net(SiLU(), net(BatchNorm2d(), net(Conv2d(4, 3, padding=1), x)))
    return net.build(net(Conv2d(2, 1), x, name="head"))


def most_alive(graph: Graph, segments: Sequence[Segment]) -> int:
    """Walk through a training step; return the most elements alive, and check that everything is there when read.

    What is alive is found the other way round than by spans: a tensor is, after a moment, if the next one that touches
    it reads it.
    """
    trained, holder = trained_of(graph), holders(graph)
    depends = {node.name: False for node in graph}
    for node in graph:
        depends[node.name] = node.name in trained or any(depends[name] for name in node.inputs)
    used = {graph.outputs[0]}
    for node in reversed(graph.nodes):
        used.update(node.inputs if node.name in used else ())
    moments: list[tuple[set[tuple[str, str]], set[tuple[str, str]]]] = []  # what is read, and what is written

    def value(names: Iterable[str]) -> set[tuple[str, str]]:
        return {("value", holder[name]) for name in names}

    moments += [(value(node.inputs), value([node.name])) for node in graph]
    last = graph.outputs[0]
    gradients = {("gradient", holder[last])} if depends[last] else set[tuple[str, str]]()
    moments.append((value([last]) if depends[last] else set(), gradients))
    for segment in reversed(segments):
        moments += [(value(graph.node(name).inputs), value([name])) for name in segment.again]
        for name in reversed(segment.nodes):
            node = graph.node(name)
            if name not in used or not depends[name]:
                continue
            saved = node.op.saved(to_input=any(depends[one] for one in node.inputs), trainable=name in trained)
            reads = value(node.inputs) if saved & {"input", "indices"} else set()
            reads |= value([name]) if saved & {"output", "indices"} else set()
            touched = {("gradient", holder[one]) for one in (name, *node.inputs) if depends[one]}
            moments.append((reads | (touched & gradients) | {("gradient", holder[name])}, touched))
            gradients = gradients | touched
    alive: set[tuple[str, str]] = set()
    most = 0
    stored = {node.name for node in graph if not node.inputs and not node.op.makes_tensor}
    for reads, writes in reversed(moments):
        now = alive | reads | writes
        most = max(most, sum(product(graph.shapes[name]) for _, name in now if name not in stored))
        alive = (alive - writes) | reads
    assert not alive, "something is read that nothing has written"
    return most


@settings(max_examples=60)
@given(graphs())
def test_everything_is_there_when_it_is_read(graph: Graph) -> None:
    found = chosen(graph)
    names = [name for segment in found.segments for name in segment.nodes]
    assert names == [node.name for node in graph]
    assert most_alive(graph, found.segments) == found.elements <= found.plain_elements
    whole = [Segment(tuple(names), (), ())]
    assert most_alive(graph, whole) == found.plain_elements
    check_values(graph, found.segments)


def check_values(graph: Graph, segments: Sequence[Segment]) -> None:
    """Keep after the forward pass only what the segments say, and check that the rest can be made of it."""
    holder, trained = holders(graph), trained_of(graph)
    depends = Step(graph, trained, graph.outputs[:1]).depends
    kept = {holder[name] for segment in segments for name in segment.kept}
    for segment in segments[:-1]:
        there = set(kept)
        for name in segment.again:
            assert {holder[one] for one in graph.node(name).inputs} <= there, name
            there.add(holder[name])
        for name in Step(graph, trained, graph.outputs[:1]).back:
            node = graph.node(name)
            if name in segment.nodes:
                saved = node.op.saved(to_input=any(depends[one] for one in node.inputs), trainable=name in trained)
                if saved & {"input", "indices"}:
                    assert {holder[one] for one in node.inputs} <= there, name


GRAPHS = {
    "layers in a row": lambda: chain(*(Conv2d(6, 1) if index % 3 else BatchNorm2d() for index in range(9))),
    "norm and activation": lambda: chain(*[Conv2d(6, 3, padding=1), BatchNorm2d(), ReLU()] * 4),
    "residual": residual_chain,
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_no_other_cuts_need_much_less(graph: Callable[[], Graph]) -> None:
    net = graph()
    step = Step(net, trained_of(net), net.outputs)
    best = min(step.measured(cuts) for count in range(5) for cuts in combinations(step.cut, count))
    found = chosen(net)
    assert best.elements <= found.elements <= 1.2 * best.elements < found.plain_elements


def test_memory_grows_as_the_square_root_of_the_depth() -> None:
    peaks = [chosen(chain(*[Conv2d(6, 1), SiLU()] * depth)) for depth in (16, 64)]
    assert peaks[1].plain_elements / peaks[0].plain_elements > 3.5
    assert peaks[1].elements / peaks[0].elements < 2.2


def test_skips_are_kept_and_nothing_is_lost() -> None:
    graph = with_skips()
    found = chosen(graph)
    assert found.elements < 0.8 * found.plain_elements
    assert most_alive(graph, found.segments) == found.elements
    check_values(graph, found.segments)


@pytest.mark.parametrize(
    ("name", "share"),
    [("vgg11", 0.9), ("resnet18", 0.5), ("mobilenet_v2", 0.31), ("googlenet", 0.4), ("shufflenet_v2_x1_0", 0.3)],
)
def test_networks_of_the_catalogue_need_less(name: str, share: float) -> None:
    graph = catalogue_graph(name)
    found = chosen(graph)
    assert found.elements < share * found.plain_elements
    work = sum((cost for cost in recomputed_costs(graph, trained_of(graph), found.again).values()), Cost())
    everything = sum((node.op.cost(*graph.input_shapes(node), training=True) for node in graph), Cost())
    assert work.mult_adds < everything.mult_adds
    assert work.flops < everything.flops


def test_the_last_segment_is_not_computed_twice() -> None:
    found = chosen(residual_chain())
    assert len(found.segments) > 1
    assert found.segments[-1].again == found.segments[-1].kept == ()


def test_nothing_is_recomputed_where_nothing_is_trained() -> None:
    graph = plain_network()
    found = recomputation(graph, frozenset(), graph.outputs)
    assert (len(found.segments), found.again) == (1, frozenset())
    assert found.elements == found.plain_elements


def test_statistics_of_a_batch_are_not_computed_again() -> None:
    graph = plain_network()
    names = ["features.conv", "features.norm", "head.drop"]
    found = recomputed_costs(graph, trained_of(graph), names)
    # The convolution has 6,912 mult-adds; of the 8 operations of the norm's 256 elements, 4 make the statistics.
    assert found == {"features.conv": Cost(6912), "features.norm": Cost(0, 4 * 256), "head.drop": Cost(0, 64)}
    frozen = recomputed_costs(graph, frozenset(), names)
    assert frozen["features.norm"] == Cost(0, 2 * 256)


def test_the_parts_of_a_split_live_apart() -> None:
    net = Builder("split")
    x = net.input((4, 2, 2))
    left = net(Split((2, 2), 0), x, name="left")
    graph = net.build(net(ReLU(), left, name="relu"))
    assert holders(graph) == {"input": "input", "left": "left", "relu": "left"}
