"""FLOPs of a training step: predicted against executed, and what they are worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archcost.build import Builder
from archcost.engine.network import Network
from archcost.errors import UsageError
from archcost.kernels.target import current
from archcost.ops import Conv2d, Flatten, Linear, Softmax
from archcost.train.accounting import Account, account, measured_peak, optimizer_rule
from tests.engine.built import below, built, compile_nothing, small


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)


@pytest.mark.usefixtures("uncompiled")
def test_the_account_of_a_small_network_by_hand() -> None:
    net = Builder("small")
    x = net(Conv2d(4, 3), net.input((1, 4, 4)), name="first")  # 4 x 2 x 2 outputs, 9 taps
    x = net(Conv2d(2, 2), x, name="second")  # 2 outputs, 16 taps; its larger map is 2 x 2
    x = net(Linear(3), net(Flatten(), x, name="flatten"), name="last")
    graph = net.build(net(Softmax(), x, name="softmax"))
    found = account(built(graph, images=5), "adam")
    first, second, last = 144, 32, 6
    assert [tuple(line)[1:] for line in found.lines] == [
        (10 * (first + second + last),) * 3,
        (10 * (second + last),) * 3,  # a single pixel: nothing is cropped, and nothing lies beyond
        (10 * (first + second + last),) * 3,
        (10 * (2 * first + 3 * second + 3 * last),) * 3,
    ]
    assert [line.name for line in found.lines] == ["forward", "gradient to inputs", "gradient to weights", "total"]
    assert found.agrees
    assert not found.explanation
    biases, softmax = 16 + 2 + 3, 3 * (5 + 4)
    assert found.predicted.flops == 2 * (2 * first + 3 * second + 3 * last) + biases + softmax
    assert found.optimizer_flops == 12 * (36 + 4 + 32 + 2 + 6 + 3)
    assert found.step_flops == 5 * found.predicted.flops + found.optimizer_flops
    assert found.rate(10.0) == pytest.approx(2 * found.step_flops / 1e9)
    assert found.share(10.0, 4e-9 * found.step_flops) == pytest.approx(0.5)


@pytest.mark.usefixtures("uncompiled")
def test_lenet_explains_why_it_executes_more() -> None:
    """conv2 reads 14 x 14 and writes 10 x 10: going back it multiplies 14 x 14 x 25 places instead of 10 x 10 x 25."""
    found = account(built(small("lenet"), images=2), "sgd")
    more = 2 * 2 * 96 * 25 * (14 * 14 - 10 * 10)
    line = found.lines[1]
    assert line.executed - line.predicted == line.expected - line.predicted == more
    assert found.explanation == f"{more:,} more multiply the zeros around gradients"


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_what_winograd_spares_is_explained(name: str) -> None:
    found = account(built(small(name), images=64, threads=2), "sgd")
    assert found.agrees
    forward, to_inputs, to_weights, _ = found.lines
    assert forward.executed < 0.8 * forward.predicted
    assert to_inputs.executed < 0.8 * to_inputs.predicted
    assert to_weights.executed >= 0.7 * to_weights.predicted
    assert " are spared by Winograd's filtering" in found.explanation


@pytest.mark.usefixtures("uncompiled")
def test_with_samples_in_the_lanes_taps_beyond_the_map_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 14 x 5 rows and taps, those 10 x 5 are multiplied that lead to a row of conv2's output; columns likewise."""
    monkeypatch.setenv("ARCHCOST_WINOGRAD", "off")
    images = current().lanes("float32")
    found = account(built(small("lenet"), images=images), "sgd")
    to_inputs = 2 * images * (96 * (10 * 5) ** 2 + 400 * 120 + 120 * 84 + 84 * 10)
    assert found.lines[1] == ("gradient to inputs", to_inputs, to_inputs, to_inputs)
    assert not found.explanation


@pytest.mark.usefixtures("uncompiled")
def test_with_samples_in_the_lanes_rows_are_filtered() -> None:
    """Rows of 10 outputs and 5 taps take three tiles of F(4, 5), with 8 products each."""
    images = current().lanes("float32")
    found = account(built(small("lenet"), images=images), "sgd")
    assert found.agrees
    spared = 2 * images * 96 * (10 * 5) * (10 * 5 - 3 * 8)
    assert [line.predicted - line.executed for line in found.lines] == [spared, spared, spared, 3 * spared]
    assert found.explanation == f"{3 * spared:,} are spared by Winograd's filtering"


@pytest.mark.usefixtures("uncompiled")
def test_a_padded_network_names_both_reasons() -> None:
    found = account(built(below(Conv2d(3, 3, padding=1), (2, 4, 4))), "sgd")
    # On a 4 x 4 map, 3 x 3 taps around each pixel meet 100 pairs inside of 144.
    assert found.explanation == (
        "528 predicted FLOPs lead to padding and are left out; 528 more multiply the zeros around gradients"
    )


@pytest.mark.usefixtures("uncompiled")
def test_an_account_that_does_not_fit_says_so() -> None:
    found = account(built(below(Conv2d(3, 3), (2, 4, 4))), "sgd")
    assert found.agrees
    wrong = replace(found, executed=found.executed._replace(to_weights=found.executed.to_weights + 1))
    assert not wrong.agrees
    assert isinstance(wrong, Account)


@pytest.mark.usefixtures("uncompiled")
def test_frozen_layers_are_predicted_to_execute_nothing_for_their_weights() -> None:
    graph = below(Conv2d(3, 3, padding=1), (2, 4, 4))
    found = account(built(graph, images=2, freeze=["first", "layer"]), "momentum-standard")
    assert found.agrees
    assert [line.executed for line in found.lines[1:3]] == [0, 2 * 2 * 48 * 3]
    assert found.optimizer_flops == 4 * (48 * 3 + 3)


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("sgd", 2),
        ("momentum", 5),
        ("momentum-standard", 4),
        ("nesterov", 6),
        ("rmsprop", 9),
        ("adam", 12),
        ("adamw", 14),
    ],
)
def test_every_optimizer_has_a_cost(name: str, operations: int) -> None:
    assert optimizer_rule(name).operations == operations


def test_an_unknown_optimizer_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown optimizer 'adan' \(did you mean 'adam'\?\); known are sgd, "):
        optimizer_rule("adan")


def test_the_machine_has_a_peak() -> None:
    net = Builder("tiny")
    network = Network(net.build(net(Linear(2), net.input((3,)), name="fc")), threads=1)
    # A hundred million to a hundred thousand billion operations in a second.
    assert 0.1 < measured_peak(network) < 1e5
