"""Totals of inference and of a training step."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from archcost.errors import UsageError
from archcost.patterns import frozen_nodes
from archcost.report.rows import rows_of
from archcost.report.totals import Totals, TrainingTotals, totals_of, training_totals_of
from tests.conftest import catalogue_graph
from tests.report.generated import plain_network


def inference(name: str, dtype: str = "float32") -> Totals:
    graph = catalogue_graph(name)
    return totals_of(graph, rows_of(graph), dtype)


def training(
    optimizer: str = "sgd", dtype: str = "float32", batch_size: int = 1, freeze: tuple[str, ...] = ()
) -> TrainingTotals:
    graph = plain_network()
    frozen = frozen_nodes(graph, freeze)
    return training_totals_of(graph, rows_of(graph, frozen, train=True), frozen, dtype, optimizer, batch_size)


def test_resnet50() -> None:
    totals = inference("resnet50")
    assert totals.params == totals.params_trainable == 25_557_032
    assert totals.params_frozen == 0
    assert totals.buffers == 53_173
    assert totals.mult_adds == 4_089_184_256
    assert totals.weight_bytes == 102_228_128
    assert totals.input_bytes == 602_112
    assert totals.peak_activation_elements == 2_408_448
    assert totals.peak_activation_bytes == 9_633_792
    assert totals.flops > 2 * totals.mult_adds


@pytest.mark.parametrize(
    ("dtype", "size"), [("float64", 8), ("float32", 4), ("float16", 2), ("bfloat16", 2), ("int8", 1)]
)
def test_bytes_follow_the_element_type(dtype: str, size: int) -> None:
    totals = inference("lenet", dtype)
    assert totals.weight_bytes == 61_706 * size
    assert totals.input_bytes == 1024 * size
    # conv1's 6x28x28 output, and the activation of it
    assert totals.peak_activation_elements == 9408
    assert totals.peak_activation_bytes == 9408 * size


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("float31", r"unknown dtype 'float31' \(did you mean 'float\d\d'\?\); known are float64, float32"),
        ("fp32", r"unknown dtype 'fp32'"),
        ("", r"unknown dtype ''"),
        ("FLOAT32", r"unknown dtype 'FLOAT32'"),
    ],
)
def test_unknown_element_type(dtype: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        inference("lenet", dtype)


@pytest.mark.parametrize(
    ("optimizer", "states"), [("sgd", 0), ("momentum", 1), ("nesterov", 1), ("rmsprop", 1), ("adam", 2), ("adamw", 2)]
)
def test_optimizers_keep_their_state(optimizer: str, states: int) -> None:
    totals = training(optimizer)
    assert totals.optimizer == optimizer
    assert totals.optimizer_bytes == states * 4 * 770
    assert totals.weight_bytes == totals.gradient_bytes == 4 * 770


@pytest.mark.parametrize(
    ("optimizer", "operations"),
    # sgd: multiply, subtract; momentum: v takes two, an average three; adamw: a decay of two on top of adam
    [("sgd", 2), ("momentum", 5), ("momentum-standard", 4), ("nesterov", 6), ("adamw", 14)],
)
def test_update_is_done_for_each_trained_parameter(optimizer: str, operations: int) -> None:
    assert training(optimizer).optimizer_flops == operations * 770
    assert training(optimizer, freeze=("head",)).optimizer_flops == operations * 120
    assert training(optimizer, freeze=("head", "features")).optimizer_flops == 0


def test_frozen_parameters_have_no_gradient_and_no_state() -> None:
    totals = training("adam", freeze=("features",))
    assert totals.weight_bytes == 4 * 770
    assert totals.gradient_bytes == 4 * 650
    assert totals.optimizer_bytes == 8 * 650


@pytest.mark.parametrize("batch_size", [1, 2, 32, 10**9])
def test_batch_multiplies_saved_activations_alone(batch_size: int) -> None:
    one, batch = training(batch_size=1), training(batch_size=batch_size)
    assert batch.saved_activation_bytes == 3392 * batch_size
    changed = {key for key, value in asdict(batch).items() if value != asdict(one)[key]}
    assert changed == (set() if batch_size == 1 else {"saved_activation_bytes", "total_bytes"})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_memory_is_the_sum_of_its_lines(optimizer: str, dtype: str) -> None:
    totals = training(optimizer, dtype, 3, ("features.conv",))
    lines = (totals.weight_bytes, totals.gradient_bytes, totals.optimizer_bytes, totals.saved_activation_bytes)
    assert totals.total_bytes == sum(lines)


@pytest.mark.parametrize(
    ("optimizer", "dtype", "message"),
    [
        ("adamm", "float32", r"unknown optimizer 'adamm' \(did you mean 'adam'\?\); known are sgd, momentum"),
        ("Adam", "float32", r"unknown optimizer 'Adam'"),
        ("", "float32", r"unknown optimizer ''"),
        ("sgd", "int8", r"dtype 'int8' cannot be trained in; choose a floating-point type"),
    ],
)
def test_impossible_training(optimizer: str, dtype: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        training(optimizer, dtype)
