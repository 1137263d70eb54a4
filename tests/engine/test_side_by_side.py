"""The engine beside the naive loops: the difference is rounding, and an operator that is wrong is named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from archcost import reference
from archcost.build import Sequential
from archcost.engine.side_by_side import Agreement, side_by_side
from archcost.errors import GraphError
from archcost.graph import Graph
from archcost.kernels.operation import Operation
from archcost.kernels.step import Step
from archcost.kernels.table import KERNELS
from archcost.ops import (
    Conv2d,
    Flatten,
    Identity,
    LayerNorm,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    Reshape,
    Sigmoid,
    Transpose,
    Unknown,
)
from tests.engine.test_network import branching


def compared(graph: Graph, dtype: str = "float64") -> Agreement:
    """Return how the engine agrees with the loops on the same arrays."""
    parameters, buffers = reference.allocated(graph, dtype)
    inputs = reference.images(graph, dtype)
    done = reference.execute(graph, parameters, buffers, inputs)
    return side_by_side(graph, parameters, buffers, inputs, done.values, threads=1)


def wrong(agreement: Agreement) -> list[str]:
    return [name for name, found in agreement.operators.items() if not found <= agreement.tolerance.operators]


@pytest.mark.parametrize(("dtype", "rounding"), [("float64", 1e-13), ("float32", 1e-5)])
def test_the_engine_computes_what_the_loops_compute(dtype: str, rounding: float) -> None:
    graph = branching()
    agreement = compared(graph, dtype)
    assert list(agreement.outputs) == ["fc"]
    assert list(agreement.operators) == [node.name for node in graph]
    assert agreement.outputs["fc"] < rounding <= agreement.tolerance.outputs
    assert max(agreement.operators.values()) < min(rounding, agreement.tolerance.operators)


def test_only_the_operator_that_differs_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    product: type[Op] = Mul
    right = KERNELS[product]

    def squared(operation: Operation) -> list[Step]:
        return right.forward(replace(operation, inputs=(operation.inputs[0],) * 2))

    monkeypatch.setitem(KERNELS, product, right._replace(forward=squared))
    agreement = compared(branching())
    assert wrong(agreement) == ["mul"]
    assert agreement.operators["fc"] < 1e-13
    assert agreement.outputs["fc"] > 1e-3


def test_operators_alone_show_what_fusion_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    gate: type[Op] = Sigmoid
    monkeypatch.setitem(KERNELS, gate, KERNELS[Identity])
    agreement = compared(branching())
    assert wrong(agreement) == ["sigmoid"]
    assert agreement.outputs["fc"] < 1e-13  # in inference the convolution applies it


def test_axes_with_the_channels_last() -> None:
    layers = {
        "conv": Conv2d(6, 3),
        "last": Transpose((1, 2, 0)),
        "norm": LayerNorm(-1),
        "dense": Linear(5),
        "first": Transpose((2, 0, 1)),
        "flatten": Flatten(),
        "fc": Linear(3),
    }
    agreement = compared(Sequential(layers, (2, 6, 5)))
    assert wrong(agreement) == []
    assert agreement.outputs["fc"] < 1e-13


def test_a_missing_number_is_a_difference() -> None:
    graph = branching()
    parameters, buffers = reference.allocated(graph)
    inputs = reference.images(graph)
    values = reference.execute(graph, parameters, buffers, inputs).values
    values["fc"][0, 0] = np.nan
    agreement = side_by_side(graph, parameters, buffers, inputs, values, threads=1)
    assert agreement.outputs == {"fc": np.inf}
    assert wrong(agreement) == ["fc"]


def test_tensors_of_two_axes_agree() -> None:
    graph = Sequential({"pool": MaxPool2d(2), "rows": Reshape((2, 8)), "fc": Linear(3)}, (4, 4, 4))
    assert wrong(compared(graph)) == []


def test_an_operator_that_cannot_be_run_is_an_error() -> None:
    graph = Sequential({"pool": MaxPool2d(2), "gap": Unknown("Einsum", (2, 8))}, (4, 4, 4))
    with pytest.raises(GraphError, match="gap: Unknown is counted, but cannot be run"):
        compared(graph)
