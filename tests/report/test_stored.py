"""What weights are stored as: element types and zeros, layer by layer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from archcost import Sequential, summarize
from archcost.ops import Conv2d, Flatten, Linear, ReLU
from archcost.report.stored import Stored

GRAPH = Sequential({"a.conv": Conv2d(2, 1), "a.relu": ReLU(), "flat": Flatten(), "fc": Linear(3)}, (1, 2, 2))
STORED = {"a.conv": Stored(("float16",), 4, 1), "fc": Stored(("int8", "float32"), 27, 9)}


def test_tensors_add_up() -> None:
    both = Stored().plus("float32", 10, 3).plus("int8", 5, 5).plus("float32", 1, 0)
    assert both == Stored(("float32", "int8"), 16, 8)


def test_columns_at_every_depth() -> None:
    columns = ["weights", "weights_dtype", "zeros", "sparsity"]
    rows = summarize(GRAPH, columns=columns, depth=-1, stored=STORED).table(tree=False).rows
    assert rows == (
        ("a.conv", 4, "float16", 1, "25.0%"),
        ("a.relu", 0, "", 0, ""),
        ("flat", 0, "", 0, ""),
        ("fc", 27, "int8+float32", 9, "33.3%"),
        ("total", 31, None, 10, "32.3%"),
    )
    assert summarize(GRAPH, columns=columns, depth=0, stored=STORED).table().rows[0][2] == "float16, int8+float32"


def test_every_format_has_them_only_with_weights() -> None:
    plain, weighed = summarize(GRAPH), summarize(GRAPH, stored=STORED)
    assert "zeros %" in weighed.table().headers
    assert "zeros %" not in plain.table().headers
    assert "Weights: 31 of float16, int8, float32, 10 (32.3%) zero." in str(weighed)
    assert "Weights: " not in str(plain)
    assert "weights,weights_dtype,zeros,sparsity" in weighed.to_csv().splitlines()[0]
    assert "zeros" not in plain.to_csv().splitlines()[0]
    layer = json.loads(weighed.to_json())["layers"][0]
    assert (layer["weights"], layer["weights_dtype"], layer["zeros"]) == (4, "float16", 1)
    assert "zeros" not in json.loads(plain.to_json())["layers"][0]


@pytest.mark.parametrize("depth", [0, 1, -1])
def test_rows_add_up_to_the_totals(depth: int) -> None:
    table = summarize(GRAPH, columns=["weights", "zeros"], depth=depth, stored=STORED).table(tree=False)
    numbers = np.array([row[1:] for row in table.rows], np.int64)
    assert numbers[:-1].sum(axis=0).tolist() == numbers[-1].tolist() == [31, 10]
