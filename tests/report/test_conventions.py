"""Other counters' conventions, against what the tools print.

``tests/data/peer_figures.csv`` holds what torch.utils.flop_counter (torch 2.13), fvcore 0.1.5, thop 0.1.1, ptflops
0.7.5 (both backends) and torchinfo 1.8.0 print for the networks of torchvision 0.28 and timm 1.0.31 that the catalogue
mirrors operator for operator; ``params`` is what all of them but thop report. (timm's legacy_seresnet18 and -34 are
left out: their blocks have a ReLU more.) The small cases below are what the tools print for models of one operator.
"""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest
from hypothesis import given

from archcost.build import Builder, Sequential
from archcost.errors import UsageError
from archcost.graph import Call, Graph
from archcost.ops import (
    GELU,
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    HardSwish,
    LayerNorm,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    Mul,
    Op,
    PartialConv2d,
    RadialBasis,
    ReLU,
    ReLU6,
    Scale,
    Sigmoid,
    SiLU,
    Softmax,
    SubsamplingPool2d,
    Transpose,
)
from archcost.report.conventions import CONVENTIONS, counted_nodes, reported_params, summed_terms
from archcost.report.rows import rows_of
from archcost.report.summary import summarize
from archcost.report.work import works
from archcost.zoo.catalogue import CATALOGUE, load
from tests.conftest import catalogue_graph
from tests.report.generated import graphs

TOOLS = ("flop_counter", "fvcore", "thop", "ptflops_pytorch", "ptflops_aten", "torchinfo")


def peer_figures() -> list[dict[str, str]]:
    path = Path(__file__).parents[1] / "data" / "peer_figures.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def figure_name(row: dict[str, str]) -> str:
    return f"{row['library']}-{row['model']}-{row['options']}-{row['input']}"


def mirrored(row: dict[str, str]) -> Graph:
    name, _, value = row["options"].partition("=")
    options = {name: ast.literal_eval(value)} if name else {}
    size = int(row["input"])
    return load(row["entry"], input_size=(3, size, size), **options)


def counted(graph: Graph, convention: str) -> int:
    return sum(counted_nodes(graph, convention))


def one(op: Op, call: Call = "module", shape: tuple[int, ...] = (4, 6, 10), inputs: int = 1) -> Graph:
    net = Builder()
    x = net.input(shape)
    return net.build(net(op, *[x] * inputs, call=call))


@pytest.mark.parametrize("row", peer_figures(), ids=figure_name)
def test_a_mirrored_network_counts_as_the_tools_print(row: dict[str, str]) -> None:
    graph = mirrored(row)
    assert {tool: counted(graph, tool) for tool in TOOLS} == {tool: int(row[tool]) for tool in TOOLS}
    assert reported_params(graph, "thop") == int(row["params_thop"])
    for tool in ("fvcore", "ptflops_pytorch", "ptflops_aten", "torchinfo", "torchvision", "paper"):
        assert reported_params(graph, tool) == int(row["params"])
    assert reported_params(graph, "flop_counter") is None


def test_the_figures_hold_every_torchvision_network_of_the_catalogue() -> None:
    rows = [row for row in peer_figures() if row["library"] == "torchvision"]
    assert len({row["model"] for row in rows}) == 68
    assert {row["entry"] for row in rows} <= set(CATALOGUE)


# What the six tools print for one operator on 4x6x10, 240 elements.
ONE_OPERATOR: list[tuple[Op, Call, tuple[int, int, int, int, int, int]]] = [
    (Conv2d(8, 3), "module", (18432, 9216, 9216, 9472, 9472, 9472)),
    (Conv2d(8, 3, bias=False), "module", (18432, 9216, 9216, 9216, 9216, 9216)),
    (Conv2d(8, 3, groups=2), "module", (9216, 4608, 4608, 4864, 4864, 4864)),
    (Conv2d(8, 3, padding="same"), "module", (34560, 0, 17280, 17760, 17760, 17760)),
    (Conv2d(8, 3, 2, padding="same", bias=False), "module", (8640, 4320, 0, 0, 4320, 4320)),
    (Conv2d(8, 3), "function", (18432, 9216, 0, 0, 9472, 0)),
    (Conv2d(8, 3), "training", (0, 0, 0, 0, 0, 0)),
    (ConvTranspose2d(8, 3, stride=2), "module", (34560, 17280, 78624, 19464, 19464, 80808)),
    (ConvTranspose2d(8, 3, stride=2, groups=2, bias=False), "module", (17280, 8640, 39312, 8640, 8640, 39312)),
    (Linear(7), "module", (3360, 1680, 1680, 1848, 1848, 77)),
    (Linear(7, bias=False), "module", (3360, 1680, 1680, 1680, 1680, 70)),
    (Linear(7), "function", (3360, 1680, 0, 0, 1848, 0)),
    (BatchNorm2d(), "module", (0, 480, 960, 480, 0, 8)),
    (BatchNorm2d(affine=False), "module", (0, 240, 480, 240, 0, 0)),
    (BatchNorm2d(), "function", (0, 480, 0, 0, 0, 0)),
    (LayerNorm(), "module", (0, 1200, 960, 240, 0, 20)),
    (LayerNorm(affine=False), "module", (0, 960, 480, 240, 0, 0)),
    (LayerNorm(axis=0), "module", (0, 1200, 0, 0, 0, 8)),
    (LayerNorm(), "subclass", (0, 1200, 0, 0, 0, 20)),
    (LocalResponseNorm(3), "module", (0, 0, 0, 1080, 0, 0)),
    (ReLU(), "module", (0, 0, 0, 480, 0, 0)),
    (ReLU(), "function", (0, 0, 0, 240, 0, 0)),
    (ReLU(), "method", (0, 0, 0, 0, 0, 0)),
    (ReLU6(), "module", (0, 0, 0, 240, 0, 0)),
    (ReLU6(), "function", (0, 0, 0, 240, 0, 0)),
    (GELU(), "module", (0, 0, 0, 480, 0, 0)),
    (GELU(), "function", (0, 0, 0, 240, 0, 0)),
    (SiLU(), "module", (0, 0, 0, 240, 0, 0)),
    (SiLU(), "function", (0, 0, 0, 240, 0, 0)),
    (HardSwish(), "module", (0, 0, 0, 0, 0, 0)),
    (Sigmoid(), "module", (0, 0, 0, 0, 0, 0)),
    (Softmax(axis=0), "module", (0, 0, 660, 240, 0, 0)),
    (Softmax(axis=0), "function", (0, 0, 0, 240, 0, 0)),
    (MaxPool2d(2), "module", (0, 0, 0, 480, 0, 0)),
    (MaxPool2d(2), "function", (0, 0, 0, 240, 0, 0)),
    (MaxPool2d(3, 2, "same"), "module", (0, 0, 0, 308, 0, 0)),
    (AvgPool2d(2), "module", (0, 0, 60, 480, 0, 0)),
    (AvgPool2d(2), "function", (0, 0, 0, 240, 0, 0)),
    (AdaptiveAvgPool2d(1), "module", (0, 240, 244, 480, 0, 0)),
    (AdaptiveAvgPool2d(4), "module", (0, 240, 304, 480, 0, 0)),
    (GlobalAvgPool(), "module", (0, 240, 244, 480, 0, 0)),
    (GlobalAvgPool(), "function", (0, 240, 0, 240, 0, 0)),
    (GlobalAvgPool(), "method", (0, 0, 0, 0, 0, 0)),
    (Scale(), "operator", (0, 0, 0, 0, 0, 0)),
    (Scale(), "function", (0, 0, 0, 240, 0, 0)),
    (Dropout(), "module", (0, 0, 0, 0, 0, 0)),
    (Flatten(), "module", (0, 0, 0, 0, 0, 0)),
    # Operators that no framework class does, in the plainest form (``report.counters``).
    (PartialConv2d(((0, 1), (2,), (1, 2, 3)), 3), "module", (3456, 1728, 1728, 1824, 1824, 1824)),
    (SubsamplingPool2d(2), "module", (0, 0, 0, 240, 0, 8)),
    (Scale(), "module", (0, 0, 0, 0, 0, 4)),
    (RadialBasis(3), "module", (0, 0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("op", "call", "expected"), ONE_OPERATOR)
def test_one_operator(op: Op, call: Call, expected: tuple[int, ...]) -> None:
    graph = one(op, call)
    assert tuple(counted(graph, tool) for tool in TOOLS) == expected


@pytest.mark.parametrize("op", [Add(), Mul()])
@pytest.mark.parametrize(("call", "expected"), [("module", 0), ("operator", 0), ("function", 240)])
def test_additions_and_products_are_seen_when_they_are_called_by_name(op: Op, call: Call, expected: int) -> None:
    graph = one(op, call, inputs=2)
    assert [counted(graph, tool) for tool in TOOLS] == [0, 0, 0, expected, 0, 0]


def test_the_bias_of_a_dense_layer_is_lost_when_the_axes_of_its_input_were_exchanged() -> None:
    def biases(*layers: Op) -> int:
        graph = Sequential([*layers], (4, 6, 10))
        return summed_terms(works(graph), CONVENTIONS["ptflops_aten"].rule).get("bias additions", 0)

    assert biases(Transpose((1, 2, 0)), Linear(7)) == 0
    assert biases(Transpose((1, 2, 0)), ReLU(), Linear(7)) == 0
    assert biases(Transpose((1, 2, 0)), LayerNorm(), Linear(7)) == 420
    assert biases(Transpose((1, 2, 0)), Transpose((2, 0, 1)), Linear(7)) == 168
    assert biases(LayerNorm(axis=0), Transpose((1, 2, 0)), Linear(7)) == 420
    assert biases(GlobalAvgPool(), Transpose((1, 2, 0)), Linear(7)) == 7
    assert biases(Flatten(), Linear(7)) == 7


def test_shared_parameters_are_reported_once_and_their_work_as_often_as_it_is_done() -> None:
    net = Builder()
    x = net.input((4, 6, 10))
    first = net(Conv2d(4, 1, bias=False), x)
    graph = net.build(net(Conv2d(4, 1, bias=False), first, shares=first))
    assert [counted(graph, tool) for tool in TOOLS] == [3840, 1920, 1920, 1920, 1920, 1920]
    assert reported_params(graph, "thop") == reported_params(graph, "paper") == 16


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_papers_count_our_mult_adds(name: str) -> None:
    graph = catalogue_graph(name)
    expected = sum(row.mult_adds for row in rows_of(graph))
    assert counted(graph, "paper") == expected
    assert counted(graph, "flop_counter") == 2 * counted(graph, "torchvision")
    assert counted(graph, "mult_adds_conv_only") <= expected


@given(graphs())
def test_rules_hold_together_for_any_network(graph: Graph) -> None:
    counts = {name: counted_nodes(graph, name) for name in CONVENTIONS}
    assert all(len(numbers) == len(graph) for numbers in counts.values())
    assert all(number >= 0 for numbers in counts.values() for number in numbers)
    assert counts["flop_counter"] == [2 * number for number in counts["torchvision"]]
    assert counts["timm"] == counts["fvcore"]
    assert all(once <= now for once, now in zip(counts["ptflops_once"], counts["ptflops_pytorch"]))
    for name, convention in CONVENTIONS.items():
        assert sum(summed_terms(works(graph), convention.rule).values()) == sum(counts[name])


def test_a_summary_shows_a_convention() -> None:
    summary = summarize(catalogue_graph("resnet50"), convention="fvcore")
    assert sum(row.counted for row in summary.rows) == 4_111_512_576
    assert "4,111,512,576" in str(summary)


def test_older_releases() -> None:
    graph = catalogue_graph("resnet50")
    assert counted(graph, "thop_once") == 4_111_514_624
    assert counted(graph, "ptflops_once") == 4_121_925_096


def test_an_unknown_convention_is_named_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"unknown convention 'fvcor' \(did you mean 'fvcore'\?\); conventions are paper"
    ):
        counted_nodes(one(ReLU()), "fvcor")
    with pytest.raises(UsageError, match="unknown convention 'x'"):
        reported_params(one(ReLU()), "x")
