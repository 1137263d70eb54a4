"""Each optimizer step by step against its formula in float64, and what the updater does besides."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from archcost.engine.team import team
from archcost.errors import UsageError
from archcost.kernels.segments import Segment
from archcost.kernels.target import Precision
from archcost.train.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Momentum,
    Nesterov,
    Optimizer,
    Penalties,
    RMSprop,
    StandardMomentum,
)
from archcost.train.updater import Updater
from tests.kernels.running import PRECISIONS, Array, close

SIZE = 530
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
Rule = Callable[[Array, Array, float, int, dict[str, Array]], Array]
"""New parameters from parameters, gradient with its penalties, learning rate, number of the update, and states."""


def sgd(w: Array, g: Array, lr: float, _: int, __: dict[str, Array]) -> Array:
    return w - lr * g


def momentum(w: Array, g: Array, lr: float, _: int, s: dict[str, Array]) -> Array:
    s["v"] = 0.8 * s["v"] + (1 - 0.8) * g
    return w - lr * s["v"]


def standard_momentum(w: Array, g: Array, lr: float, _: int, s: dict[str, Array]) -> Array:
    s["v"] = 0.8 * s["v"] + g
    return w - lr * s["v"]


def nesterov(w: Array, g: Array, lr: float, _: int, s: dict[str, Array]) -> Array:
    s["v"] = 0.8 * s["v"] + g
    return w - lr * (g + 0.8 * s["v"])


def rmsprop(w: Array, g: Array, lr: float, _: int, s: dict[str, Array]) -> Array:
    s["s"] = 0.95 * s["s"] + (1 - 0.95) * g**2
    return np.asarray(w - lr * g / (np.sqrt(s["s"]) + 1e-4))


def adam(w: Array, g: Array, lr: float, t: int, s: dict[str, Array]) -> Array:
    s["m"] = 0.85 * s["m"] + (1 - 0.85) * g
    s["s"] = 0.95 * s["s"] + (1 - 0.95) * g**2
    mean, squares = s["m"] / (1 - 0.85**t), s["s"] / (1 - 0.95**t)
    return np.asarray(w - lr * mean / (np.sqrt(squares) + 1e-4))


def adamw(w: Array, g: Array, lr: float, t: int, s: dict[str, Array]) -> Array:
    return np.asarray(adam(w, g, lr, t, s) - lr * 0.2 * w)


RULES: dict[str, tuple[Optimizer, Rule]] = {
    "sgd": (SGD(0.1), sgd),
    "momentum": (Momentum(0.1, momentum=0.8), momentum),
    "momentum-standard": (StandardMomentum(0.1, momentum=0.8), standard_momentum),
    "nesterov": (Nesterov(0.1, momentum=0.8), nesterov),
    "rmsprop": (RMSprop(0.1, beta2=0.95, epsilon=1e-4), rmsprop),
    "adam": (Adam(0.1, 0.85, 0.95, 1e-4), adam),
    "adamw": (AdamW(0.1, 0.85, 0.95, 1e-4, weight_decay=0.2), adamw),
}


class Run:
    """An updater with arrays of its own."""

    def __init__(
        self, optimizer: Optimizer, *, precision: Precision = "float64", threads: int = 2, seed: int = 0, **options: Any
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.parameters = self.rng.normal(size=SIZE).astype(precision)
        self.gradients = np.zeros(SIZE, precision)
        self.updater = Updater(optimizer, self.parameters, self.gradients, team=team(threads), **options)

    def step(self, learning_rate: float | None = None) -> Any:
        self.gradients[:] = self.rng.normal(size=SIZE)
        return self.updater.step(learning_rate)


def test_every_optimizer_has_a_formula_here() -> None:
    assert {name: type(optimizer) for name, (optimizer, _) in RULES.items()} == OPTIMIZERS


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", RULES)
def test_twenty_steps(name: str, precision: Precision) -> None:
    optimizer, rule = RULES[name]
    for seed in range(3):
        run = Run(optimizer, precision=precision, seed=seed)
        wide = run.parameters.astype("float64")
        states = {key: np.zeros(SIZE) for key in "vsm"}
        for t in range(1, 21):
            rate = 0.1 / t if t > 1 else None
            run.step(rate)
            wide = rule(wide, run.gradients.astype("float64"), 0.1 / t, t, states)
        close(run.parameters.astype("float64"), wide, TOLERANCE[precision])
        assert run.updater.iteration == 20
        kept = {"velocity": "v", "squares": "s", "mean": "m"}
        for key, array in run.updater.states.items():
            close(array.astype("float64"), states[kept[key]], TOLERANCE[precision])


def test_penalties_and_coupled_decay_in_segments() -> None:
    segments = [Segment(0, 100), Segment(100, 117, 0.0, 0.0), Segment(117, SIZE, 0.5, 2.0)]
    penalty, decay = np.repeat([1, 0, 0.5], [100, 17, SIZE - 117]), np.repeat([1, 0, 2.0], [100, 17, SIZE - 117])
    optimizer = Adam(0.1, 0.85, 0.95, 1e-4, weight_decay=0.3)
    run = Run(optimizer, segments=segments, penalties=Penalties(0.01, 0.02))
    wide, states = run.parameters.copy(), {key: np.zeros(SIZE) for key in "sm"}
    for t in range(1, 6):
        value = (penalty * (0.01 * np.abs(wide) + 0.02 * wide**2)).sum()
        found = run.step()
        assert found.penalty == pytest.approx(value, rel=1e-13)
        assert found.gradient_norm == pytest.approx(np.linalg.norm(run.gradients), rel=1e-13)
        slope = run.gradients + penalty * (0.01 * np.sign(wide) + 0.04 * wide) + decay * 0.3 * wide
        wide = adam(wide, slope, 0.1, t, states)
    close(run.parameters, wide, 1e-12)


def test_the_decoupled_decay_follows_the_segments_and_not_the_gradient() -> None:
    run = Run(AdamW(0.1, weight_decay=0.2), segments=[Segment(0, 10, 1.0, 0.0), Segment(10, 30)])
    before = run.parameters.copy()
    run.updater.step()  # the gradient is 0: decay alone
    wanted = np.repeat([1.0, 1 - 0.1 * 0.2, 1.0], [10, 20, SIZE - 30])
    np.testing.assert_allclose(run.parameters, before * wanted, rtol=1e-15)


def test_both_forms_of_momentum_walk_the_same_path() -> None:
    lecture, standard = Run(Momentum(0.1, momentum=0.9)), Run(StandardMomentum(0.01, momentum=0.9))
    for _ in range(10):
        lecture.step()
        standard.step()
    close(lecture.parameters, standard.parameters, 1e-13)
    close(lecture.updater.states["velocity"], 0.1 * standard.updater.states["velocity"], 1e-13)


@pytest.mark.parametrize("threads", [2, 3])
def test_results_do_not_depend_on_the_threads(threads: int) -> None:
    options: dict[str, Any] = {"precision": "float32", "penalties": Penalties(1e-3, 1e-3), "clip_norm": 1.0}
    one, many = Run(AdamW(), threads=1, **options), Run(AdamW(), threads=threads, **options)
    for _ in range(4):
        assert one.step() == many.step()
    assert one.parameters.tobytes() == many.parameters.tobytes()


def test_clipping_scales_the_gradient_alone() -> None:
    run = Run(SGD(0.5), penalties=Penalties(l2=0.1), clip_norm=2.0)
    before = run.parameters.copy()
    norm = run.step().gradient_norm
    assert norm > 2
    np.testing.assert_allclose(
        run.parameters, before - 0.5 * (run.gradients * (2 / norm) + 0.2 * before), rtol=1e-12, atol=1e-14
    )
    run.gradients[:] = 1e-3  # the factor of the last update is gone
    before = run.parameters.copy()
    run.updater.step()
    np.testing.assert_allclose(run.parameters, before - 0.5 * (1e-3 + 0.2 * before), rtol=1e-12, atol=1e-14)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    run = Run(Adam(), precision="float32")
    run.step()
    before = [run.parameters.tobytes(), *(array.tobytes() for array in run.updater.states.values())]
    run.gradients[[77, 300]] = math.nan, math.inf
    assert run.updater.step().first_not_finite == 77
    assert run.updater.iteration == 1
    assert before == [run.parameters.tobytes(), *(array.tobytes() for array in run.updater.states.values())]
    assert run.step().first_not_finite == -1
    assert run.updater.iteration == 2


@pytest.mark.parametrize("name", RULES)
def test_a_restored_updater_continues_bit_by_bit(name: str) -> None:
    whole = Run(RULES[name][0], precision="float32")
    for _ in range(3):
        whole.step()
    saved, parameters = whole.updater.checkpoint(), whole.parameters.copy()
    assert set(saved) == {*RULES[name][0].states, "iteration"}
    again = Run(RULES[name][0], precision="float32", seed=9)
    again.parameters[:] = parameters
    again.updater.restore(saved)
    for _ in range(3):
        whole.step()
        again.gradients[:] = whole.gradients
        again.updater.step()
    assert whole.parameters.tobytes() == again.parameters.tobytes()
    assert again.updater.iteration == 6
    assert saved["iteration"][0] == 3, "a checkpoint is a copy"


def test_a_program_of_the_callers() -> None:
    from archcost.engine.program import Program

    run, own = Run(Adam()), Run(Adam())
    run.step()
    own.gradients[:] = run.gradients
    own.updater.prepare()
    Program(own.updater.steps).run(team(2))
    assert own.updater.finish().gradient_norm == pytest.approx(np.linalg.norm(run.gradients))
    assert own.parameters.tobytes() == run.parameters.tobytes()


def test_states_of_another_optimizer_are_refused() -> None:
    run = Run(Adam())
    good = run.updater.checkpoint()
    for saved, message in (
        ({}, "the state of adam is mean, squares, iteration, not empty"),
        ({**good, "velocity": good["mean"]}, "not iteration, mean, squares, velocity"),
        ({**good, "mean": good["mean"][:-1]}, "the state 'mean' of adam must be float64 (530,), not float64 (529,)"),
        ({**good, "squares": good["squares"].astype("float32")}, "must be float64 (530,), not float32 (530,)"),
        ({**good, "iteration": np.array([-1])}, "the state 'iteration' of adam (=-1) must be at least 0"),
    ):
        with pytest.raises(UsageError, match=re.escape(message)):
            run.updater.restore(saved)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_wrong_learning_rates(rate: float) -> None:
    run = Run(SGD())
    with pytest.raises(UsageError, match=r"sgd: `learning_rate` \(=.*\) must be a finite number at least 0"):
        run.step(rate)
    before = run.parameters.copy()
    run.step(0.0)  # a warm-up may begin with it
    assert (run.parameters == before).all()


def test_arrays_and_segments_that_do_not_fit() -> None:
    good = np.zeros(8)
    read_only = np.zeros(8)
    read_only.flags.writeable = False
    cases: list[tuple[Any, Any, dict[str, Any], str]] = [
        (
            np.zeros((2, 4)),
            good,
            {},
            "parameters must be a flat contiguous array of float32 or float64, not float64 (2, 4)",
        ),
        (good, np.zeros(16)[::2], {}, "gradients must be a flat contiguous array"),
        (good, np.zeros(8, np.int64), {}, "not int64 (8,)"),
        (good, np.zeros(9), {}, "parameters and gradients must be alike, not float64 (8,) and float64 (9,)"),
        (good, np.zeros(8, np.float32), {}, "must be alike"),
        (good, good, {}, "must not share memory"),
        (read_only, good, {}, "parameters must be writable"),
        (good, np.zeros(8), {"clip_norm": 0}, "update: `clip_norm` (=0) must be a finite number above 0"),
        (good, np.zeros(8), {"segments": [Segment(0, 9)]}, "segment 0:9 must lie in the 8 parameters"),
        (good, np.zeros(8), {"segments": [Segment(5, 4)]}, "segment 5:4 must lie in"),
        (good, np.zeros(8), {"segments": [Segment(0, 4), Segment(3, 5)]}, "segment 3:5 begins before 0:4 ends"),
        (good, np.zeros(8), {"segments": [Segment(0, 4, -1.0)]}, "segment 0:4: `penalty` (=-1.0) must be"),
    ]
    for parameters, gradients, options, message in cases:
        with pytest.raises(UsageError, match=re.escape(message)):
            Updater(SGD(), parameters, gradients, team=team(1), **options)
