"""The layer tree: indentation, headings, what is left out."""

from __future__ import annotations

from archcost.build import Builder
from archcost.graph import Graph
from archcost.ops import Conv2d
from archcost.report.formats import Cell
from archcost.report.layers import remainder, tree_cells
from archcost.report.rows import ADDITIVE, rows_of
from tests.conftest import catalogue_graph
from tests.report.generated import plain_network


def tree(graph: Graph) -> list[tuple[Cell, ...]]:
    rows = rows_of(graph)
    return [tuple(line) for line in tree_cells(graph, rows, [(row.name, row.params) for row in rows])]


def test_scopes_are_headings_without_numbers() -> None:
    assert tree(plain_network()) == [
        ("features (Block)", None),
        ("  conv", 112),
        ("  norm", 8),
        ("  relu", 0),
        ("  pool", 0),
        ("head", None),
        ("  flatten", 0),
        ("  drop", 0),
        ("  fc", 650),
    ]


def test_deeper_scopes_open_one_by_one() -> None:
    net = Builder()
    x = net.input((1, 1, 1))
    for name in ("a.b.c.one", "a.b.two", "a.d.three", "four", "a.b.five"):
        x = net(Conv2d(1, 1), x, name=name)
    assert [line[0] for line in tree(net.build(x))] == [
        "a", "  b", "    c", "      one",
        "    two",
        "  d", "    three",
        "four",
        "a", "  b", "    five",
    ]  # fmt: skip


def test_node_below_a_node_of_the_same_name() -> None:
    net = Builder()
    x = net(Conv2d(1, 1), net.input((1, 1, 1)), name="a")
    x = net(Conv2d(1, 1), x, name="a.b")
    assert tree(net.build(x)) == [("a", 2), ("a", None), ("  b", 2)]


def test_headings_of_a_real_network_say_what_a_scope_is() -> None:
    names = [line[0] for line in tree(catalogue_graph("resnet18"))]
    assert names[:6] == ["conv1", "bn1", "relu", "maxpool", "layer1 (conv2_x)", "  0 (BasicBlock)"]


def test_nothing_is_left_out_of_all_rows() -> None:
    rows = rows_of(plain_network())
    assert remainder(rows, rows) is None
    assert remainder(rows, list(reversed(rows))) is None


def test_what_is_left_out_is_one_row() -> None:
    rows = rows_of(plain_network())
    rest = remainder(rows, rows[2:])
    assert rest is not None
    assert rest.name == "(2 operators not shown)"
    assert (rest.params, rest.mult_adds, rest.operators) == (120, 6912, 2)


def test_rows_that_cost_nothing_are_left_out_too() -> None:
    rows = rows_of(plain_network())
    rest = remainder(rows, [row for row in rows if row.op != "Flatten"])
    assert rest is not None
    assert rest.operators == 1
    assert [vars(rest)[column] for column in ADDITIVE if column != "operators"] == [0] * (len(ADDITIVE) - 1)
