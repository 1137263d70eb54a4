"""Updates of flat arrays against the rules in float64 NumPy, for all targets, lengths, segments and thread counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.layout import aligned
from archcost.kernels.optimizer import RULES, Numbers, update
from archcost.kernels.segments import Segment
from archcost.kernels.target import TARGETS, Precision, current
from tests.kernels.running import PRECISIONS, Array, close

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
NUMBERS = Numbers(0.02, 0.8, 0.3, 0.9, 0.15, 1e-3, 0.01, 0.02, 0.03, 0.04, 0.7)


def expected(rule: str, w: Array, g: Array, states: list[Array], n: Numbers, penalty: float, decay: float) -> Array:
    """Return the new parameters; the states change in place."""
    slope = n.scale * g + penalty * (n.l1 * np.sign(w) + 2 * n.l2 * w) + decay * n.weight_decay * w
    if rule in ("momentum", "nesterov"):
        states[0][:] = n.beta1 * states[0] + n.share1 * slope
        direction = states[0] if rule == "momentum" else slope + n.beta1 * states[0]
    elif rule == "rmsprop":
        states[0][:] = n.beta2 * states[0] + n.share2 * slope**2
        direction = slope / (np.sqrt(states[0]) + n.epsilon)
    elif rule == "adam":
        states[0][:] = n.beta1 * states[0] + n.share1 * slope
        states[1][:] = n.beta2 * states[1] + n.share2 * slope**2
        direction = states[0] / (np.sqrt(states[1]) + n.epsilon)
    else:
        direction = slope
    return np.asarray(w - n.rate * direction - decay * n.shrink * w)


def flat(values: Array, precision: Precision) -> Array:
    """Return an array of the engine's, set to ``values``."""
    array = aligned(len(values), precision)
    array[:] = values
    return array


def compare(
    rule: str,
    precision: Precision,
    target: str,
    elements: int = 300,
    segments: Sequence[Segment] | None = None,
    steps: int = 20,
    seed: int = 0,
) -> None:
    """Run some updates beside the formula."""
    rng = np.random.default_rng(seed)
    parameters = flat(rng.normal(size=elements), precision)
    gradients = flat(np.zeros(elements), precision)
    states = [flat(np.zeros(elements), precision) for _ in range(RULES[rule][0])]
    numbers = np.zeros(len(Numbers._fields))
    step = update(rule, parameters, gradients, states, numbers, TARGETS[target], precision, segments=segments)
    program = Program([step])
    wide, wide_states = parameters.astype("float64"), [state.astype("float64") for state in states]
    for turn in range(steps):
        gradients[:] = rng.normal(size=elements)
        now = NUMBERS._replace(rate=NUMBERS.rate / (1 + turn))
        numbers[:] = now
        program.run(team(2))
        for start, stop, penalty, decay in [Segment(0, elements)] if segments is None else segments:
            part = slice(start, stop)
            inner = [state[part] for state in wide_states]
            wide[part] = expected(rule, wide[part], gradients[part].astype("float64"), inner, now, penalty, decay)
    for found, wanted in zip((parameters, *states), (wide, *wide_states)):
        close(found.astype("float64"), wanted, TOLERANCE[precision])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rule", RULES)
def test_rules(rule: str, precision: Precision) -> None:
    for seed in range(3):
        compare(rule, precision, current().name, seed=seed)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_targets(target: str, precision: Precision) -> None:
    compare("adam", precision, target, elements=77)


@settings(max_examples=40)
@given(
    elements=st.integers(0, 9000),
    bounds=st.lists(st.integers(0, 9000), max_size=8),
    precision=st.sampled_from(PRECISIONS),
)
def test_lengths_and_segments(elements: int, bounds: list[int], precision: Precision) -> None:
    ordered = sorted(min(bound, elements) for bound in bounds)
    segments = [Segment(*pair, i % 2, (i + 1) / 2) for i, pair in enumerate(zip(ordered[::2], ordered[1::2]))]
    compare("momentum", precision, current().name, elements, segments, steps=2)
    compare("momentum", precision, current().name, elements, None, steps=1)


def test_what_no_segment_covers_keeps_its_bits() -> None:
    rng = np.random.default_rng(3)
    parameters, gradients = flat(rng.normal(size=5000), "float32"), flat(np.full(5000, np.nan), "float32")
    velocity = flat(rng.normal(size=5000), "float32")
    before = parameters.copy(), velocity.copy()
    gradients[100:203] = gradients[4000:4001] = 1
    segments = [Segment(100, 203), Segment(300, 300), Segment(4000, 4001)]
    numbers = np.array(NUMBERS)
    Program(
        [update("momentum", parameters, gradients, [velocity], numbers, current(), "float32", segments=segments)]
    ).run(team(2))
    changed = np.flatnonzero(parameters != before[0]), np.flatnonzero(velocity != before[1])
    wanted = [*range(100, 203), 4000]
    assert [places.tolist() for places in changed] == [wanted, wanted]
    assert np.isfinite(parameters).all()


@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_results_do_not_depend_on_the_threads(rule: str) -> None:
    elements = 70_001
    results = []
    for threads in (1, 2, 3):
        rng = np.random.default_rng(5)
        parameters = flat(rng.normal(size=elements), "float32")
        states = [flat(np.zeros(elements), "float32") for _ in range(RULES[rule][0])]
        gradients = flat(rng.normal(size=elements), "float32")
        program = Program([update(rule, parameters, gradients, states, np.array(NUMBERS), current(), "float32")])
        for _ in range(3):
            program.run(team(threads))
        results.append([array.tobytes() for array in (parameters, *states)])
    assert results == results[:1] * 3


def test_the_gradient_of_l1_at_zero_is_zero() -> None:
    parameters = flat(np.array([0.0, -0.0, 2.0, -2.0]), "float64")
    numbers = np.array(Numbers(rate=1.0, l1=0.5))
    Program([update("sgd", parameters, flat(np.zeros(4), "float64"), [], numbers, current(), "float64")]).run(team(1))
    assert parameters.tolist() == [0.0, 0.0, 1.5, -1.5]


@pytest.mark.parametrize(("blocked", "wanted"), [(-1, 0.0), (0, 1.0), (7, 1.0)])
def test_a_blocked_update_changes_nothing(blocked: int, wanted: float) -> None:
    parameters, gradients = flat(np.ones(3), "float32"), flat(np.ones(3), "float32")
    numbers, flag = np.array(Numbers(rate=1.0)), np.array([blocked])
    step = update("sgd", parameters, gradients, [], numbers, current(), "float32", blocked=flag)
    Program([step]).run(team(1))
    assert parameters.tolist() == [wanted] * 3
