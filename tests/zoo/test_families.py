"""Networks that no framework holds, against what their papers and the lecture state; and rules within a family."""

from __future__ import annotations

from typing import Any

import pytest

from archcost.graph import Graph
from archcost.report.rows import Row, rows_of, total
from archcost.zoo.catalogue import load
from tests.conftest import catalogue_graph


def rows(graph: Graph) -> dict[str, Row]:
    return {row.name: row for row in rows_of(graph)}


def params(name: str, **options: Any) -> int:
    return total(rows_of(load(name, **options)))["params"]


def mult_adds(name: str, **options: Any) -> int:
    return total(rows_of(load(name, **options)))["mult_adds"]


@pytest.mark.parametrize(
    ("name", "column", "prefix", "expected"),
    [
        pytest.param("vgg16", "params", "", 138_357_544, id="138M: parameters of VGG-16"),
        pytest.param("inception_module", "mult_adds", "branch5x5", 12_443_648, id="12.4M: 5x5 branch behind a 1x1"),
        pytest.param("bottleneck", "params", "0", 16_384, id="16,384: the 1x1 reduction, 256 to 64"),
        pytest.param("bottleneck", "params", "", 118_784, id="118,784: with the 5x5 behind it"),
    ],
)
def test_documented_figures(name: str, column: str, prefix: str, expected: int) -> None:
    if name == "bottleneck":
        from archcost.report.identities import bottleneck

        graph = bottleneck().designs[1].graph
    else:
        graph = catalogue_graph(name)
    found = [row for row in rows_of(graph) if row.name == prefix or row.name.startswith(prefix)]
    assert sum(vars(row)[column] for row in found) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # as printed, rounded; source: the network's paper unless said otherwise
        ("alexnet", "61.0"),  # Krizhevsky 2012 says 60 million: 60,965,224
        ("vgg11_lrn", "132.9"), ("vgg16_c", "133.6"),  # Table 2: 133, 134
        ("resnet20_cifar", "0.27"), ("resnet32_cifar", "0.46"), ("resnet44_cifar", "0.66"), ("resnet56_cifar", "0.85"),
        ("resnet110_cifar", "1.7"), ("resnet1202_cifar", "19.4"),  # He 2016, Table 6
        ("densenet_cifar_40_12", "1.0"), ("densenet_cifar_100_12", "7.0"), ("densenet_cifar_100_24", "27.2"),
        ("densenet_bc_cifar_100_12", "0.8"), ("densenet_bc_cifar_250_24", "15.3"),
        ("densenet_bc_cifar_190_40", "25.6"),  # Huang 2017, Table 2
        ("wrn_40_1", "0.6"), ("wrn_40_2", "2.2"), ("wrn_40_4", "8.9"), ("wrn_40_8", "35.7"), ("wrn_28_10", "36.5"),
        ("wrn_28_12", "52.5"), ("wrn_22_8", "17.2"), ("wrn_22_10", "26.8"), ("wrn_16_8", "11.0"),
        ("wrn_16_10", "17.1"),  # Zagoruyko 2016, Table 4
        ("resnet200", "64.7"),  # Zagoruyko 2016, Table 8
        ("se_mobilenet_v1", "4.7"),  # Hu 2018, Table 3
    ],
)  # fmt: skip
def test_parameters_of_the_paper(name: str, expected: str) -> None:
    digits = len(expected.partition(".")[2])
    assert f"{total(rows_of(catalogue_graph(name)))['params'] / 1e6:.{digits}f}" == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18_v1", "1.8e9"), ("resnet34_v1", "3.6e9"), ("plain18", "1.8e9"), ("plain34", "3.6e9"),
        ("resnet101_v1", "7.6e9"), ("resnet152_v1", "11.3e9"),  # He 2016, Table 1
        ("bn_inception", "2.03e9"),  # Hu 2018, Table 2
        ("shufflenet_v1", "137e6"),  # Zhang 2018, Table 1
    ],
)  # fmt: skip
def test_mult_adds_of_the_paper(name: str, expected: str) -> None:
    number, _, power = expected.partition("e")
    digits = len(number.partition(".")[2])
    assert f"{total(rows_of(catalogue_graph(name)))['mult_adds'] / 10 ** int(power):.{digits}f}" == number


def test_lenet_of_the_lecture() -> None:
    counted = {name: row.params for name, row in rows(catalogue_graph("lenet")).items() if row.params}
    assert counted == {"conv1": 156, "conv2": 2416, "fc1": 48_120, "fc2": 10_164, "fc3": 850}
    assert sum(counted.values()) == 61_706


def test_lenet_of_1998() -> None:
    """LeCun et al. 1998, section II.B: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164."""
    counted = [row.params for row in rows_of(catalogue_graph("lenet5_1998")) if row.params]
    assert counted == [156, 12, 1516, 32, 48_120, 10_164]
    assert sum(counted) == 60_000


def test_alexnet_layers_of_2012() -> None:
    found = rows(catalogue_graph("alexnet"))
    # outputs of the five convolutions as the paper counts neurons (its first, 253,440, is a slip)
    assert [row.activations for row in found.values() if row.op == "Conv2d"] == [
        290_400,
        186_624,
        64_896,
        64_896,
        43_264,
    ]
    assert [row.kind for row in found.values() if row.op == "Conv2d"] == [
        "conv",
        "grouped",
        "conv",
        "grouped",
        "grouped",
    ]


@pytest.mark.parametrize(("depth", "letter"), [(16, "D"), (19, "E")])
def test_vgg_without_its_dense_layers(depth: int, letter: str) -> None:
    features = [row.params for row in rows_of(catalogue_graph(f"vgg{depth}")) if row.name.startswith("features")]
    assert sum(features) == {"D": 14_714_688, "E": 20_024_384}[letter]


def test_vgg16_c_has_three_1x1() -> None:
    kinds = [row.kind for row in rows_of(catalogue_graph("vgg16_c")) if row.op == "Conv2d"]
    assert (len(kinds), kinds.count("pointwise")) == (13, 3)


def test_response_norm_has_no_parameters() -> None:
    assert params("vgg11_lrn") == params("vgg11") == 132_863_336


@pytest.mark.parametrize("name", ["inception_module", "inception_module_naive"])
def test_inception_module_keeps_the_size(name: str) -> None:
    graph = catalogue_graph(name)
    assert (graph.shapes["input"], graph.shapes[graph.outputs[0]]) == ((192, 28, 28), (256, 28, 28))


def test_googlenet_rows_of_table_1() -> None:
    graph = load("googlenet", separable_stem=True)
    modules: dict[str, int] = {}
    for row in rows_of(graph):
        modules[row.name.split(".")[0]] = modules.get(row.name.split(".")[0], 0) + row.mult_adds
    stated = {"3a": 128, "3b": 304, "4b": 88, "4c": 100, "4d": 119, "4e": 170, "5b": 71}  # 4a, 5a: see the module
    assert {name: round(modules[f"inception{name}"] / 1e6) for name in stated} == stated
    assert params("googlenet", aux=True) == 13_378_280


@pytest.mark.parametrize("depth", [18, 34])
def test_plain_networks_are_residual_ones_without_additions(depth: int) -> None:
    plain, residual = catalogue_graph(f"plain{depth}"), catalogue_graph(f"resnet{depth}_v1")
    assert total(rows_of(plain))["mult_adds"] == total(rows_of(residual))["mult_adds"]
    assert total(rows_of(plain))["params"] == total(rows_of(residual))["params"]
    assert not any(row.op == "Add" for row in rows_of(plain))
    assert sum(row.op == "Add" for row in rows_of(residual)) == depth // 2 - 1


@pytest.mark.parametrize(("shortcut", "expected"), [("A", 21_623_848), ("B", 21_797_672), ("C", 22_716_840)])
def test_shortcuts_of_resnet34(shortcut: str, expected: int) -> None:
    assert params("resnet34", shortcut=shortcut) == expected


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_stride_in_the_first_1x1_is_cheaper_and_has_the_same_parameters(depth: int) -> None:
    assert params(f"resnet{depth}_v1") == params(f"resnet{depth}")
    # three stages halve the map in the 3x3: the 1x1 before it runs on four times the positions, the 3x3 does not
    assert mult_adds(f"resnet{depth}") - mult_adds(f"resnet{depth}_v1") == 4_089_184_256 - 3_857_973_248


@pytest.mark.parametrize(
    ("options", "stated_mult_adds", "stated_params"),
    [
        ({"width": 0.75}, 325, 2.6), ({"width": 0.5}, 149, 1.3), ({"width": 0.25}, 41, 0.5),  # Table 6
        ({"resolution": 192}, 418, 4.2), ({"resolution": 128}, 186, 4.2),  # Table 7
        ({"shallow": True}, 307, 2.9),  # Table 5
        ({"num_classes": 120, "width": 0.75, "resolution": 192}, 239, 1.9),  # Table 9 (Stanford Dogs)
        ({"include_top": False, "width": 0.5}, 149, 0.8),  # Table 11 (face attributes)
    ],
    ids=str,
)  # fmt: skip
def test_multipliers_of_mobilenet(options: dict[str, Any], stated_mult_adds: int, stated_params: float) -> None:
    assert round(mult_adds("mobilenet_v1", **options) / 1e6) == stated_mult_adds
    assert round(params("mobilenet_v1", **options) / 1e6, 1) == stated_params


def test_full_convolutions_of_mobilenet() -> None:
    """Table 4: 4866 million, counted without the dense layer, and 29.3 million parameters."""
    assert mult_adds("mobilenet_v1", full_convolution=True) - 1_024_000 == 4_866_269_184
    assert params("mobilenet_v1", full_convolution=True) == 29_294_088


@pytest.mark.parametrize(
    ("reduction", "expected"), [(2, 45_676_584), (4, 35_616_808), (16, 28_071_976), (32, 26_814_504)]
)
def test_reduction_of_squeeze_excitation(reduction: int, expected: int) -> None:
    """Hu et al. 2018, Table 10, without biases: 45.7, 35.7, 28.1 and 26.9 million."""
    assert params("seresnet50_v1", reduction=reduction, bias=False) == expected


def test_gate_of_the_lecture() -> None:
    graph = catalogue_graph("se_gate")
    assert graph.shapes["input"] == graph.shapes[graph.outputs[0]] == (512, 16, 16)
    assert total(rows_of(graph))["params"] == 512 * 512
    assert [row.op for row in rows_of(graph) if row.op in ("Linear", "Conv2d", "Sigmoid", "Mul")] in (
        ["Linear", "Sigmoid", "Mul"],
        ["Conv2d", "Sigmoid", "Mul"],
    )


def test_compound_scaling_grows_everything() -> None:
    """Tan & Le 2019: stated parameters and mult-adds of B0 to B7, in millions and billions."""
    stated = [(5.3, 0.39), (7.8, 0.70), (9.2, 1.0), (12, 1.8), (19, 4.2), (30, 9.9), (43, 19), (66, 37)]
    found = [total(rows_of(catalogue_graph(f"efficientnet_b{number}"))) for number in range(8)]
    for sums, (millions, billions) in zip(found, stated):
        assert sums["params"] / 1e6 == pytest.approx(millions, rel=0.02)
        assert sums["mult_adds"] / 1e9 == pytest.approx(billions, rel=0.05)
    assert sorted(sums["mult_adds"] for sums in found) == [sums["mult_adds"] for sums in found]


def test_auxiliary_heads_are_further_outputs() -> None:
    assert len(catalogue_graph("googlenet").outputs) == 1
    assert len(load("googlenet", aux=True).outputs) == 3
    assert len(load("inception_v3", aux=True).outputs) == 2
