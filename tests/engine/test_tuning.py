"""Tuning: which way is chosen, what is stored, and when it is refused. Times are made up; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from archcost.build import Builder
from archcost.busy import Watch
from archcost.engine import trial, tuned, tuning
from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.engine.team import Team
from archcost.engine.tuned import file_of, store, stored
from archcost.engine.tuning import chosen, tune
from archcost.errors import UsageError
from archcost.graph import Graph
from archcost.kernels.layers import Choice
from archcost.ops import Conv2d, ReLU
from tests.engine.built import compile_nothing

DIRECT, SMALL, LARGE = "", "Winograd F(2x2, 3x3)", "Winograd F(4x4, 3x3)"
OUTPUTS = {DIRECT: 0, SMALL: 2, LARGE: 4}


class Fake(Watch):
    """Other programs that take given shares of the processors, and the last of them from then on."""

    def __init__(self, *shares: float | None) -> None:
        super().__init__()
        self.shares, self.asked = list(shares), 0

    def others(self, known: float = 0.0) -> float | None:
        self.asked += 1
        return self.shares.pop(0) if len(self.shares) > 1 else self.shares[0]


class Times:
    """Makes up how long a program takes.

    Args:
        favourite: the fast method; the others take twice as long.
        whole: seconds of whole networks; None for the sum of their steps.
    """

    def __init__(self, favourite: str, whole: float | None = None) -> None:
        self.favourite, self.whole = favourite, whole

    def __call__(self, program: Program, _team: Team) -> float:
        if len(program.steps) > 1 and self.whole is not None:
            return self.whole
        return sum(1.0 if step.method == self.favourite else 2.0 for step in program.steps)


def units(program: Program, _team: Team) -> float:
    """Make up times that are the shorter the fewer units the work is cut into."""
    return sum(float(step.arguments[0]) if step.method else 0.01 for step in program.steps)


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_nothing(monkeypatch)
    monkeypatch.setattr(Program, "run", lambda *_: None)
    monkeypatch.setattr(tuned, "folder", lambda: tmp_path)
    monkeypatch.setattr(tuning, "PAUSE", 0.0)
    monkeypatch.setattr(trial, "SWEPT_BYTES", 1 << 20)
    monkeypatch.setenv("ARCHCOST_TUNING", "on")


def network(threads: int = 2, graph: Graph | None = None) -> Network:
    """Return a network of two equal 3x3 convolutions and a 1x1."""
    if graph is None:
        net = Builder("small")
        x = net.input((32, 16, 16))
        for name in ("first", "second"):
            x = net(ReLU(), net(Conv2d(32, 3, padding=1), x, name=name), name=f"{name}_relu")
        graph = net.build(net(Conv2d(8, 1), x, name="last"))
    return Network(graph, threads=threads)


def methods(net: Network) -> dict[str, str]:
    """Return by which methods a network's next inference computes its convolutions."""
    return {name: steps[-1].method for name, steps in net.inference_steps(1)[1] if name in ("first", "second")}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([[1.0] * 6, [0.9] * 6, [0.8] * 6], 2),
        ([[1.0] * 6, [0.98] * 6], 0),  # below the margin
        ([[1.0] * 6, [0.97] * 6], 1),
        ([[1.0] * 6, [0.5] * 3 + [1.0] * 3], 0),  # only in half of the rounds
        ([[1.0] * 6, [0.9] * 4 + [1.5] * 2], 1),
        ([[1.0, 2.0, 4.0], [0.9, 1.8, 3.6]], 1),  # the machine slows down, for both
        ([[4.0, 2.0, 1.0], [3.0, 3.0, 3.0]], 0),
        ([[1.0]], 0),
    ],
)
def test_a_way_replaces_the_default_if_it_is_clearly_faster_in_most_rounds(
    times: Sequence[Sequence[float]], expected: int
) -> None:
    assert chosen(times) == expected


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([0.98] * 6, True),
        ([0.98] * 4 + [1.1] * 2, True),
        ([0.98] * 3 + [1.0] * 3, False),
        ([0.995] * 6, False),
        ([0.98] * 3 + [0.999] * 3, True),
    ],
)
def test_a_whole_network_is_faster_by_less_in_most_rounds(ratios: list[float], expected: bool) -> None:
    assert tuning._is_faster([1.0] * 6, ratios, tuning.WHOLE_MARGIN, in_round=0.0) is expected


@pytest.mark.parametrize("favourite", [DIRECT, SMALL, LARGE])
def test_the_fastest_method_is_stored_and_used(favourite: str) -> None:
    net = network()
    default = methods(net)["first"]
    found = tune(net, 1, stopwatch=Times(favourite), watch=Fake(0.0))
    (layer,) = found.layers  # both convolutions are one
    assert layer.nodes == ("first", "second")
    if favourite == default:
        assert found.whole is None
        assert layer.chosen == layer.default
        assert not file_of(net.graph, 1, net.setting).exists()
    else:
        assert found.is_stored
        assert (layer.default_seconds, layer.chosen_seconds) == (2.0, 1.0)
        assert (layer.chosen.outputs if layer.chosen else 0) == OUTPUTS[favourite]
        assert [choice.outputs for choice in stored(net.graph, 1, net.setting).values()] == [OUTPUTS[favourite]]
    assert set(methods(net).values()) == {favourite}
    assert set(methods(network(1, net.graph)).values()) == {favourite}


def test_the_defaults_come_back_when_the_network_as_a_whole_is_not_faster() -> None:
    net = network()
    default = methods(net)
    favourite = next(method for method in (DIRECT, LARGE) if method != default["first"])
    assert tune(net, 1, stopwatch=Times(favourite), watch=Fake(0.0)).is_stored
    assert methods(net) != default
    found = tune(net, 1, stopwatch=Times(favourite, whole=5.0), watch=Fake(0.0))
    assert found.whole is not None
    assert (found.whole.ratio, found.is_stored) == (1.0, False)
    assert not stored(net.graph, 1, net.setting)
    assert methods(net) == default


def test_other_numbers_of_threads_choose_the_cut_alone() -> None:
    net = network(1)
    default = methods(net)["first"]
    favourite = DIRECT if default != DIRECT else LARGE
    assert not tune(net, 1, stopwatch=Times(favourite), watch=Fake(0.0)).is_stored
    (layer,) = tune(network(2, net.graph), 1, stopwatch=Times(SMALL), watch=Fake(0.0)).layers
    store({layer.place: Choice(2, ((1, (64, 1)), (2, (9, 1))))}, net.graph, 1, net.setting)
    found = tune(net, 1, stopwatch=units, watch=Fake(0.0))
    assert found.is_stored
    (layer,) = found.layers
    (choice,) = stored(net.graph, 1, net.setting).values()
    assert layer.default is not None
    assert layer.chosen is not None
    assert layer.chosen.tiles_of_unit > layer.default.tiles_of_unit
    assert choice.outputs == 2
    assert dict(choice.cuts) == {1: (layer.chosen.tiles_of_unit, layer.chosen.panel_groups), 2: (9, 1)}


def test_a_network_without_such_convolutions_has_nothing_to_tune() -> None:
    net = Builder("pointwise")
    graph = net.build(net(Conv2d(8, 1), net.input((32, 4, 4)), name="conv"))
    assert tune(Network(graph, threads=2), 1, watch=Fake(1.0)).layers == ()


def test_a_disturbed_measurement_is_repeated() -> None:
    watch = Fake(0.5, 0.06, 0.05, None)
    tune(network(), 1, stopwatch=Times(LARGE), watch=watch)
    assert watch.asked >= 3


def test_a_busy_machine_is_refused_and_nothing_changes() -> None:
    net = network()
    with pytest.raises(UsageError, match=r"^other programs took 20.0% or more .* in 3 measurements, .*nothing"):
        tune(net, 1, stopwatch=Times(LARGE), watch=Fake(0.3, 0.2, 0.4))
    favourite = DIRECT if methods(net)["first"] != DIRECT else LARGE
    with pytest.raises(UsageError, match="nothing is stored"):  # quiet for the layer, not for the whole
        tune(net, 1, stopwatch=Times(favourite), watch=Fake(0.0, 0.5))
    assert not stored(net.graph, 1, net.setting)


def test_what_cannot_be_tuned_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network().graph
    with pytest.raises(UsageError, match="nothing to tune in float64"):
        tune(Network(graph, precision="float64"), 1)
    with monkeypatch.context() as patch:
        patch.setenv("ARCHCOST_WINOGRAD", "off")
        with pytest.raises(UsageError, match="ARCHCOST_WINOGRAD=off"):
            tune(Network(graph), 1)
    monkeypatch.setenv("ARCHCOST_TUNING", "off")
    with pytest.raises(UsageError, match="ARCHCOST_TUNING=off"):
        tune(Network(graph), 1)


def test_a_batch_tunes_its_first_stage_for_one_image() -> None:
    net = Builder("two stages")
    x = net.input((32, 160, 160))
    for number in range(2):
        x = net(Conv2d(32, 3, padding=1, groups=32), x, name=f"depthwise{number}")
    x = net(ReLU(), net(Conv2d(32, 3, stride=8), x, name="shrink"), name="relu")
    network = Network(net.build(net(Conv2d(32, 3, padding=1), x, name="last")), threads=2)
    (layer,) = tune(network, 4, stopwatch=Times(LARGE), watch=Fake(0.0)).layers
    assert (layer.nodes, layer.place.images) == (("last",), 4)
