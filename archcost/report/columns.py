"""The columns that a summary can show: where their values come from, and which go first on a narrow terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from archcost.errors import UsageError, did_you_mean
from archcost.geometry import shape_text
from archcost.report.formats import Cell, percent
from archcost.report.rows import Row


class Column(NamedTuple):
    """One column of the layer table.

    Attributes:
        header: its title.
        value: (row, totals) -> cell; raw in CSV and JSON.
        importance: columns of low importance are dropped first on a narrow terminal.
        key: attribute of the row to sort by; empty when the column cannot be sorted.
    """

    header: str
    value: Callable[[Row, dict[str, int]], Cell]
    importance: int
    key: str = ""


def _number(header: str, attribute: str, importance: int) -> Column:
    return Column(header, lambda row, _: getattr(row, attribute), importance, attribute)


def _share(header: str, attribute: str, importance: int) -> Column:
    return Column(
        header, lambda row, totals: percent(getattr(row, attribute), totals[attribute]), importance, attribute
    )


COLUMNS: dict[str, Column] = {
    "operator": Column("operator", lambda row, _: row.label, 60),
    "kind": Column("kind", lambda row, _: row.kind, 10),
    "output_shape": Column("output shape", lambda row, _: shape_text(row.output_shape), 70),
    "params": _number("params", "params", 95),
    "params_trainable": _number("trainable", "params_trainable", 30),
    "params_share": _share("params %", "params", 30),
    "buffers": _number("buffers", "buffers", 20),
    "mult_adds": _number("mult-adds", "mult_adds", 100),
    "mult_adds_share": _share("mult-adds %", "mult_adds", 50),
    "flops": _number("FLOPs", "flops", 90),
    "flops_share": _share("FLOPs %", "flops", 30),
    "activations": _number("activations", "activations", 40),
    "train_flops": _number("FLOPs in training", "train_flops", 30),
    "input_gradient_mult_adds": _number("mult-adds to inputs", "input_gradient_mult_adds", 80),
    "input_gradient_flops": _number("FLOPs to inputs", "input_gradient_flops", 30),
    "weight_gradient_mult_adds": _number("mult-adds to weights", "weight_gradient_mult_adds", 80),
    "weight_gradient_flops": _number("FLOPs to weights", "weight_gradient_flops", 30),
    "recomputed_mult_adds": _number("mult-adds again", "recomputed_mult_adds", 75),
    "recomputed_flops": _number("FLOPs again", "recomputed_flops", 30),
    "receptive_field": Column("receptive field", lambda row, _: row.receptive_field, 45),
    "counted": _number("counted", "counted", 98),
    "weights": _number("weights", "weights", 60),
    "weights_dtype": Column("weights are", lambda row, _: row.weights_dtype, 85),
    "zeros": _number("zeros", "zeros", 60),
    "sparsity": Column("zeros %", lambda row, _: percent(row.zeros, row.weights), 88, "zeros"),
}
"""Name on the command line -> column. The layer's name is always the first."""

DEFAULT = ("operator", "output_shape", "params", "mult_adds", "flops", "mult_adds_share")
TRAINING = ("operator", "params_trainable", "mult_adds", "input_gradient_mult_adds", "weight_gradient_mult_adds")
RECOMPUTED = (*TRAINING, "recomputed_mult_adds")
WEIGHED = ("operator", "output_shape", "params", "mult_adds", "weights_dtype", "sparsity")
COUNTED = ("operator", "output_shape", "params", "mult_adds", "counted")


def checked_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return ``names`` if they are columns. Raises UsageError, with the list, for an unknown or repeated one."""
    for name in names:
        if name not in COLUMNS:
            raise UsageError(f"unknown column {name!r}{did_you_mean(name, COLUMNS)}; columns are {', '.join(COLUMNS)}")
    if len(set(names)) != len(names):
        raise UsageError(f"a column is named twice in {','.join(names)}")
    return tuple(names)


def checked_sort(name: str) -> str:
    """Return the row attribute that column ``name`` sorts by. Raises UsageError if it does not sort."""
    sortable = [key for key, column in COLUMNS.items() if column.key]
    if name not in sortable:
        raise UsageError(f"cannot sort by {name!r}{did_you_mean(name, sortable)}; columns are {', '.join(sortable)}")
    return COLUMNS[name].key
