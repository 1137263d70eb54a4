"""What of a network is not counted, as text and as data."""

from __future__ import annotations

from archcost import Builder
from archcost.ops import ReLU, Unknown
from archcost.report.gaps import NAMES_SHOWN, Coverage, coverage, joined
from tests.conftest import catalogue_graph


def with_gaps(count: int) -> Coverage:
    net = Builder()
    x = net(ReLU(), net.input((4,)))
    for index in range(count):
        x = net(Unknown(f"Odd{index}", (4,)), x, name=f"gap{index}")
    return coverage(net.build(x))


def test_a_network_of_the_catalogue_has_none() -> None:
    found = coverage(catalogue_graph("resnet18"))
    assert (found.operators, found.gaps, found.text) == (69, (), "")
    assert joined([("resnet18", found)]) == ""


def test_gaps_are_listed() -> None:
    found = with_gaps(2)
    assert found.text == "1 of 3 operators counted; not counted: Odd0 at gap0, Odd1 at gap1"
    assert found.as_dict() == {
        "operators": 3,
        "counted": 1,
        "not_counted": [{"op_type": "Odd0", "layer": "gap0"}, {"op_type": "Odd1", "layer": "gap1"}],
    }
    assert joined([("a", found), ("b", with_gaps(0))]) == f"a: {found.text}"


def test_a_text_names_only_some() -> None:
    found = with_gaps(NAMES_SHOWN + 5)
    assert found.text.endswith(f"Odd{NAMES_SHOWN - 1} at gap{NAMES_SHOWN - 1}, ...")
    assert len(found.gaps) == NAMES_SHOWN + 5
