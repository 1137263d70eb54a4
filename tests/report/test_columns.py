"""The columns of a summary: names, values, what sorts."""

from __future__ import annotations

import re

import pytest

from archcost.errors import UsageError
from archcost.report.columns import COLUMNS, COUNTED, DEFAULT, TRAINING, checked_columns, checked_sort
from archcost.report.rows import ADDITIVE, rows_of, total
from tests.report.generated import plain_network

ROWS = rows_of(plain_network(), frozenset({"features.conv"}), range(10, 20), train=True)
SUMS = total(ROWS)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("operator", "conv 3x3"),
        ("kind", "conv"),
        ("output_shape", "4x8x8"),
        ("params", 112),
        ("params_trainable", 0),
        ("params_share", "14.5%"),  # 112 of 770
        ("buffers", 0),
        ("mult_adds", 6912),
        ("mult_adds_share", "91.5%"),  # 6912 of 7552
        ("flops", 13_824),
        ("flops_share", "85.7%"),  # of 13,824 + 512 + 256 + 256 + 1,280
        ("activations", 256),
        ("train_flops", 13_824),
        ("input_gradient_mult_adds", 0),
        ("input_gradient_flops", 0),
        ("weight_gradient_mult_adds", 0),
        ("weight_gradient_flops", 0),
        ("counted", 11),
    ],
)
def test_value_of_the_first_layer(column: str, expected: int | str) -> None:
    assert COLUMNS[column].value(ROWS[0], SUMS) == expected


def test_every_additive_column_can_be_shown() -> None:
    assert set(ADDITIVE) - {"operators"} <= set(COLUMNS)
    for name in set(ADDITIVE) - {"operators"}:
        assert [COLUMNS[name].value(row, SUMS) for row in ROWS] == [vars(row)[name] for row in ROWS]


def test_shares_are_empty_when_there_is_nothing_to_share() -> None:
    assert COLUMNS["params_share"].value(ROWS[0], dict.fromkeys(ADDITIVE, 0)) == ""


def test_headers_are_all_different() -> None:
    headers = [column.header for column in COLUMNS.values()]
    assert len(set(headers)) == len(headers)


@pytest.mark.parametrize("names", [DEFAULT, TRAINING, COUNTED, tuple(COLUMNS), ()])
def test_known_columns(names: tuple[str, ...]) -> None:
    assert checked_columns(list(names)) == names


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["parms"], r"unknown column 'parms' \(did you mean 'params'\?\); columns are operator, kind, .*, counted"),
        (["params", ""], r"unknown column ''"),
        (["mult-adds"], r"unknown column 'mult-adds' \(did you mean 'mult_adds'\?\)"),
        (["operators"], r"unknown column 'operators'"),
        (["layer"], r"unknown column 'layer'"),
        (["params", "flops", "params"], r"a column is named twice in params,flops,params"),
    ],
)
def test_wrong_columns(names: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked_columns(names)


@pytest.mark.parametrize(
    ("name", "attribute"), [("params", "params"), ("params_share", "params"), ("flops_share", "flops")]
)
def test_sorting_columns(name: str, attribute: str) -> None:
    assert checked_sort(name) == attribute


@pytest.mark.parametrize("name", ["operator", "kind", "output_shape", "nothing", "", "operators", "mult-adds"])
def test_columns_that_do_not_sort(name: str) -> None:
    with pytest.raises(UsageError, match=rf"cannot sort by {re.escape(repr(name))}.*; columns are params, "):
        checked_sort(name)
