"""One row per operator; what the rows add up to at every depth."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given

from archcost.build import Builder
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, Conv2d, Input, Sigmoid
from archcost.patterns import frozen_nodes
from archcost.report.rows import ADDITIVE, Row, fold, rows_of, total
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import catalogue_graph
from tests.report.generated import graphs, plain_network

DEPTHS = (-1, 0, 1, 2, 3, 4, 5, 6)


def elements(shapes: Iterable[tuple[int, ...]]) -> int:
    """Count scalars one axis at a time."""
    result = 0
    for shape in shapes:
        size = 1
        for axis in shape:
            size *= axis
        result += size
    return result


def sums_by_hand(rows: Iterable[Row]) -> dict[str, int]:
    result = dict.fromkeys(ADDITIVE, 0)
    for row in rows:
        for column in ADDITIVE:
            result[column] += vars(row)[column]
    return result


def first_scope(graph: Graph) -> str:
    """The first part of the name of the first layer with parameters: something that can always be frozen."""
    return next(node.name.split(".")[0] for node in graph if graph.params(node)) if graph.tensors() else ""


@pytest.mark.parametrize("name", CATALOGUE)
def test_rows_add_up_at_every_depth(name: str) -> None:
    graph = catalogue_graph(name)
    scope = first_scope(graph)
    frozen = frozen_nodes(graph, [scope] if scope else [])
    rows = rows_of(graph, frozen, range(len(graph)), train=True)
    expected = sums_by_hand(rows)
    operators = sum(not isinstance(node.op, Input) for node in graph)
    assert len(rows) == operators == expected["operators"]
    for depth in DEPTHS:
        folded = fold(graph, rows, depth)
        assert sums_by_hand(folded) == expected, f"depth {depth}"
        assert total(folded) == expected, f"depth {depth}"
        if depth > 0:
            assert all(len(row.name.split(".")) <= depth for row in folded)
    assert len(fold(graph, rows, 0)) == 1


@pytest.mark.parametrize("name", CATALOGUE)
def test_totals_are_those_of_the_stored_tensors(name: str) -> None:
    graph = catalogue_graph(name)
    sums = total(rows_of(graph))
    assert sums["params"] + sums["buffers"] == elements(graph.tensors().values())
    assert sums["params"] == sums["params_trainable"] > 0 or not graph.tensors()


@pytest.mark.parametrize("name", CATALOGUE)
def test_columns_of_training_are_empty_without_training(name: str) -> None:
    sums = total(rows_of(catalogue_graph(name)))
    others = ("train_flops", "counted", "weights", "zeros")
    empty = {column for column in ADDITIVE if "gradient" in column or column in others}
    assert {column for column in empty if sums[column]} == set()


@given(graphs())
def test_rows_of_any_graph_add_up(graph: Graph) -> None:
    rows = rows_of(graph, train=True)
    for depth in DEPTHS:
        assert sums_by_hand(fold(graph, rows, depth)) == sums_by_hand(rows)


def test_rows_of_a_network_counted_by_hand() -> None:
    rows = {row.name: row for row in rows_of(plain_network())}
    # conv: 4 filters of 3x3x3 and 4 biases; 4x8x8 outputs of 27 taps. norm: 2x4 learned, mean, variance and counter.
    # pool: 4x4x4 windows of 4 taps. fc: 64x10 weights and 10 biases.
    expected = {
        "features.conv": ("conv", 112, 0, 6912, 13824, 256),
        "features.norm": ("norm", 8, 9, 0, 512, 256),
        "features.relu": ("activation", 0, 0, 0, 256, 256),
        "features.pool": ("pool", 0, 0, 0, 256, 64),
        "head.flatten": ("reshape", 0, 0, 0, 0, 0),
        "head.drop": ("dropout", 0, 0, 0, 0, 0),
        "head.fc": ("dense", 650, 0, 640, 1280, 10),
    }
    found = {
        name: (row.kind, row.params, row.buffers, row.mult_adds, row.flops, row.activations)
        for name, row in rows.items()
    }
    assert found == expected


def test_folded_row_has_kind_of_its_scope_and_shape_of_its_last_operator() -> None:
    graph = plain_network()
    features, head = fold(graph, rows_of(graph), 1)
    assert (features.name, features.op, features.label, features.output_shape) == (
        "features",
        "Block",
        "Block",
        (4, 4, 4),
    )
    assert (head.name, head.op, head.label, head.output_shape) == ("head", "scope", "", (10,))
    assert (features.operators, head.operators) == (4, 3)


def test_whole_network_is_one_row_at_depth_0() -> None:
    graph = plain_network()
    (row,) = fold(graph, rows_of(graph), 0)
    assert (row.name, row.op, row.params, row.mult_adds) == ("plain", "plain", 770, 7552)


def test_operators_above_the_cut_stay_as_they_are() -> None:
    graph = catalogue_graph("resnet50")
    rows = rows_of(graph)
    by_name = {row.name: row for row in rows}
    folded = {row.name: row for row in fold(graph, rows, 1)}
    assert list(folded) == [
        "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "flatten", "fc",
    ]  # fmt: skip
    assert folded["conv1"] is by_name["conv1"]
    assert folded["layer1"].kind == "scope"


def test_scope_whose_name_is_also_an_operator_is_one_row() -> None:
    net = Builder("mixed")
    x = net(Conv2d(2, 1, bias=False), net.input((3, 1, 1)), name="a")
    x = net(Conv2d(5, 1, bias=False), x, name="b")
    x = net(Conv2d(4, 1, bias=False), x, name="a.deeper")
    graph = net.build(x)
    assert [(row.name, row.params) for row in fold(graph, rows_of(graph), 1)] == [("a", 6 + 20), ("b", 10)]


def test_shared_weights_belong_to_their_owner_and_work_to_both() -> None:
    net = Builder("shared")
    x = net.input((4, 3, 3))
    owner = net(Conv2d(4, 1), x, name="owner")
    net_out = net(Conv2d(4, 1), owner, name="copy", shares=owner)
    rows = {row.name: row for row in rows_of(net.build(net_out))}
    assert (rows["owner"].params, rows["copy"].params) == (20, 0)
    assert rows["owner"].mult_adds == rows["copy"].mult_adds == 144
    assert rows["copy"].label.endswith("(shares owner)")


def test_frozen_rows_train_nothing() -> None:
    rows = {row.name: row for row in rows_of(plain_network(), frozenset({"features.conv"}))}
    assert rows["features.conv"].params_trainable == 0
    assert rows["features.conv"].params == 112
    assert rows["head.fc"].params_trainable == 650


def test_network_without_parameters_has_rows_too() -> None:
    net = Builder("nothing")
    (row,) = rows_of(net.build(net(Sigmoid(), net.input((7,)))), train=True)
    assert (row.params, row.flops, row.input_gradient_flops, row.weight_gradient_flops) == (0, 28, 0, 0)


def test_total_of_no_rows_is_zero() -> None:
    assert set(total([]).values()) == {0}


def test_shared_normalisation_stores_its_statistics_once() -> None:
    net = Builder("shared")
    owner = net(BatchNorm2d(), net.input((4, 3, 3)), name="owner")
    rows = {row.name: row for row in rows_of(net.build(net(BatchNorm2d(), owner, name="copy", shares=owner)))}
    assert (rows["owner"].params, rows["owner"].buffers) == (8, 9)
    assert (rows["copy"].params, rows["copy"].buffers) == (0, 0)
