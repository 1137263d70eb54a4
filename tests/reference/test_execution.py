"""Whole graphs: values, counts, and the peak of the arrays that exist against the predicted peak."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from archcost.build import Builder, Sequential
from archcost.graph import Graph
from archcost.ops import Add, BatchNorm2d, Conv2d, Dropout, Flatten, Identity, Linear, ReLU, Split
from archcost.reference import Execution, allocated, execute, images, run
from archcost.report.memory import peak_activations
from archcost.report.rows import rows_of, total
from archcost.zoo.catalogue import load
from tests import strategies
from tests.report import generated
from tests.report.generated import plain_network


def executed(graph: Graph, batch: int = 1, dtype: str = "float64") -> Execution:
    """Run a graph on random arrays, and check everything that it counts."""
    done = execute(graph, *allocated(graph, dtype), images(graph, dtype, batch))
    peak, sums, size = peak_activations(graph), total(rows_of(graph)), np.dtype(dtype).itemsize
    assert (done.peak_bytes, done.peak_at) == (batch * size * peak.elements, peak.node)
    assert sum(step.parameters for step in done.steps.values()) == sums["params"]
    assert sum(step.mult_adds for step in done.steps.values()) == batch * sums["mult_adds"]
    assert sum(step.written for step in done.steps.values()) == batch * sums["activations"]
    assert {name: step.shape for name, step in done.steps.items()} == graph.shapes
    assert done.batch == batch
    assert all(np.isfinite(value).all() for value in done.values.values())
    return done


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("lenet", 32),
        ("lenet5_1998", 32),
        ("resnet18", 32),
        ("mobilenet_v3_small", 48),
        ("shufflenet_v2_x0_5", 32),
        ("densenet121", 32),
        ("squeezenet1_1", 40),
        ("convnext_tiny", 32),
    ],
)
def test_networks_of_the_catalogue(name: str, side: int) -> None:
    graph = load(name, resolution=side)
    done = executed(graph)
    assert set(done.values) == {node.name for node in graph}


@settings(max_examples=200)
@given(generated.graphs())
def test_any_graph_of_maps(graph: Graph) -> None:
    executed(graph)


@settings(max_examples=200)
@given(strategies.graphs(runnable=True))
def test_any_graph_of_any_operators(graph: Graph) -> None:
    done = execute(graph, *allocated(graph), images(graph))
    peak, sums = peak_activations(graph), total(rows_of(graph))
    assert (done.peak_bytes, done.peak_at) == (8 * peak.elements, peak.node)
    assert sum(step.parameters for step in done.steps.values()) == sums["params"]
    assert sum(step.mult_adds for step in done.steps.values()) == sums["mult_adds"]
    assert sum(step.written for step in done.steps.values()) == sums["activations"]
    assert {name: step.shape for name, step in done.steps.items()} == graph.shapes


def test_a_batch_of_float32() -> None:
    done = executed(plain_network(), 3, "float32")
    assert {value.dtype for value in done.values.values()} == {np.dtype("float32")}


def test_values_are_those_of_the_loops_one_after_the_other() -> None:
    graph = Sequential({"conv": Conv2d(4, 3, padding=1), "act": ReLU(), "flat": Flatten(), "fc": Linear(5)}, (2, 4, 4))
    (parameters, buffers), inputs = allocated(graph), images(graph, batch=2)
    x = inputs["input"]
    for name in ("conv", "act", "flat", "fc"):
        own = {key.split(".")[1]: value for key, value in parameters.items() if key.split(".")[0] == name}
        x, _ = run(graph.node(name).op, [x], own, {})
    np.testing.assert_array_equal(execute(graph, parameters, buffers, inputs).values["fc"], x)


def test_shared_parameters_are_allocated_once_and_used_twice() -> None:
    net = Builder()
    x = net.input((3, 2, 2))
    first = net(Conv2d(3, 1), x, name="first")
    graph = net.build(net(Conv2d(3, 1), first, name="second", shares=first))
    parameters, buffers = allocated(graph)
    assert set(parameters) == {"first.weight", "first.bias"}
    done = execute(graph, parameters, buffers, images(graph))
    assert [done.steps[name].parameters for name in ("first", "second")] == [12, 0]
    weight, bias = parameters["first.weight"][:, :, 0, 0], parameters["first.bias"]
    once = np.einsum("oc,nchw->nohw", weight, done.values["first"]) + bias[:, None, None]
    np.testing.assert_allclose(done.values["second"], once, 1e-13)


def test_only_what_is_asked_for_is_kept() -> None:
    graph = plain_network()
    done = execute(graph, *allocated(graph), images(graph), keep=graph.outputs)
    assert set(done.values) == set(graph.outputs)


def test_parts_of_a_split_keep_the_whole_on_any_axis() -> None:
    net = Builder()
    x = net(ReLU(), net.input((2, 4, 4)), name="made")
    part = net(Flatten(), net(Split((1, 3), 1, axis=2), x, name="part"), name="flat")  # NumPy must copy it
    part = net(ReLU(), net(Identity(), part), name="first")
    graph = net.build(net(Add(), part, part))
    executed(graph)


def test_training_uses_the_batch_and_the_masks() -> None:
    graph = Sequential({"norm": BatchNorm2d(affine=False), "drop": Dropout(0.5)}, (2, 3, 3))
    (parameters, buffers), inputs = allocated(graph), images(graph, batch=2)
    mask = np.arange(36).reshape(2, 2, 3, 3) % 2
    done = execute(graph, parameters, buffers, inputs, training=True, random={"drop": mask})
    assert abs(done.values["norm"].mean((0, 2, 3))).max() < 1e-14
    np.testing.assert_array_equal(done.values["drop"], 2 * mask * done.values["norm"])
    assert buffers["norm.num_batches_tracked"] == 1
    assert done.steps["drop"].written == 36


def test_weights_are_the_same_for_the_same_seed() -> None:
    graph = plain_network()
    (one, _), (same, _), (other, _) = allocated(graph), allocated(graph), allocated(graph, seed=1)
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name])
        assert not np.array_equal(array, other[name])
    assert {name: array.shape for name, array in (one | allocated(graph)[1]).items()} == graph.tensors()
