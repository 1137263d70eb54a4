"""Every operator can be run, forward and backward, or is for cost only and named here."""

from __future__ import annotations

from archcost.kernels.table import KERNELS
from archcost.ops import OPERATORS

COST_ONLY = {"Input", "Conv3d", "MaxPool3d", "AvgPool3d", "Quantize", "Dequantize", "Unknown"}


def test_every_operator_has_kernels() -> None:
    assert {operator.__name__ for operator in KERNELS} | COST_ONLY == set(OPERATORS)
