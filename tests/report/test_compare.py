"""Networks side by side, and their mult-adds by kind of operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest

from archcost.build import Sequential
from archcost.errors import UsageError
from archcost.ops import Conv2d, ConvTranspose2d, Flatten, Linear, PartialConv2d, ReLU
from archcost.report.compare import KINDS, as_dict, compared, kinds_table, totals_table
from archcost.zoo.catalogue import CATALOGUE
from tests.conftest import Ended, catalogue_graph


@pytest.mark.parametrize("name", CATALOGUE)
def test_kinds_add_up_to_the_mult_adds(name: str) -> None:
    model = compared(catalogue_graph(name))
    assert sum(model.mult_adds_by_kind.values()) == model.totals.mult_adds
    assert set(model.mult_adds_by_kind) == set(KINDS)
    assert min(model.mult_adds_by_kind.values()) >= 0


def test_kinds_of_a_network_by_hand() -> None:
    graph = Sequential(
        [
            Conv2d(4, 3, padding=1),  # 4x4x4 outputs of 27 taps
            Conv2d(4, 3, padding=1, groups=2),  # 64 of 18
            Conv2d(4, 3, padding=1, groups=4),  # 64 of 9
            Conv2d(8, 1),  # 128 of 4
            PartialConv2d(((0, 1), (7,)), 1),  # 16 positions of 3 links
            ConvTranspose2d(2, 2, stride=2),  # 32 inputs of 8 taps
            ReLU(),
            Flatten(),
            Linear(3),  # 2x8x8 inputs of 3
        ],
        (3, 4, 4),
        "kinds",
    )
    expected = {
        "conv": 64 * 27 + 16 * 3, "grouped": 64 * 18, "depthwise": 64 * 9, "pointwise": 128 * 4,
        "transposed": 32 * 8, "dense": 384,
    }  # fmt: skip
    assert compared(graph).mult_adds_by_kind == expected


def test_kinds_table_shows_the_kinds_that_occur_with_their_share() -> None:
    table = kinds_table([compared(catalogue_graph("resnet50")), compared(catalogue_graph("mobilenet_v1"))])
    assert table.headers[:2] == ("model", "mult-adds")
    assert table.headers[2::2] == ("conv", "depthwise", "pointwise", "dense")
    assert all(header.endswith("%") for header in table.headers[3::2])
    assert table.rows == (
        ("resnet50", 4_089_184_256, 1_967_702_016, "48.1%", 0, "0.0%", 2_119_434_240, "51.8%", 2_048_000, "0.1%"),
        # Howard et al. 2017, Table 2: 94.86 %, 3.06 %, 0.18 % (and 1.19 % for 1.91 %, a misprint)
        ("mobilenet_v1", 568_740_352, 10_838_016, "1.9%", 17_385_984, "3.1%", 539_492_352, "94.9%", 1_024_000, "0.2%"),
    )
    assert "depthwise: one group per input channel" in table.notes


def test_network_without_mult_adds_has_no_share() -> None:
    table = kinds_table([compared(Sequential([ReLU()], (3,), "nothing"))])
    assert (table.headers, table.rows) == (("model", "mult-adds"), (("nothing", 0),))


def test_totals_table() -> None:
    table = totals_table([compared(catalogue_graph("lenet"), "float16")])
    assert len(table.headers) == len(table.rows[0]) == len(table.importance)
    cells = dict(zip(table.headers, table.rows[0]))
    assert (cells["model"], cells["input"]) == ("lenet", "1x32x32")
    assert (cells["params"], cells["mult-adds"], cells["activations"]) == (61_706, 416_520, 14_612)
    assert (cells["weights"], cells["peak activations"]) == ("0.12 MiB", "0.02 MiB")


def test_as_dict_holds_raw_integers() -> None:
    model = compared(catalogue_graph("resnet18"))
    data = as_dict([model])
    assert data["schema"] == "archcost.compare/1"
    assert data["models"] == [
        {
            "name": "resnet18",
            "variant": "shortcut B",
            "input": "3x224x224",
            "totals": asdict(model.totals),
            "mult_adds_by_kind": model.mult_adds_by_kind,
        }
    ]
    assert model.totals.weight_bytes == 4 * 11_689_512


def test_unknown_element_type() -> None:
    with pytest.raises(UsageError, match="unknown dtype 'float33'"):
        compared(catalogue_graph("lenet"), "float33")


def test_golden(run: Callable[..., Ended], golden: Callable[[str, str], None]) -> None:
    ended = run("compare", "vgg16", "resnet50", "mobilenet_v1", "--ops")
    assert (ended.code, ended.err) == (0, "")
    golden("compare_ops", ended.out)
