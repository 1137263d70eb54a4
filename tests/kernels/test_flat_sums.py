"""Sums over flat arrays against NumPy: penalties and their gradients, norms, clipping, elements that are not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.flat_sums import Statistics, penalty, statistics
from archcost.kernels.optimizer import Numbers, update
from archcost.kernels.segments import Segment
from archcost.kernels.target import TARGETS, Precision, current
from tests.kernels.running import PRECISIONS, Array, differences
from tests.kernels.test_optimizer import flat

SEGMENTS = [Segment(0, 31, 1.0), Segment(31, 40, 0.0), Segment(45, 70, 0.5), Segment(70, 90, 1.0)]


def wanted_penalty(w: Array, l1: float, l2: float) -> float:
    return float(sum(p * (l1 * np.abs(w[a:b]).sum() + l2 * (w[a:b] ** 2).sum()) for a, b, p, _ in SEGMENTS))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("target", TARGETS)
def test_penalty_and_norm(target: str, precision: Precision) -> None:
    rng = np.random.default_rng(2)
    values = flat(rng.normal(size=91), precision)
    factors, scale = np.array([0.3, 0.7]), np.zeros(1)
    found = penalty(values, factors, TARGETS[target], precision, segments=SEGMENTS)
    norm = statistics(values, np.array([2.0]), scale, TARGETS[target], precision, segments=SEGMENTS)
    Program([*found.steps, *norm.steps]).run(team(2))
    wide = values.astype("float64")
    assert found.value[0] == pytest.approx(wanted_penalty(wide, 0.3, 0.7), rel=1e-14)
    length = math.sqrt(sum((wide[a:b] ** 2).sum() for a, b, _, _ in SEGMENTS))
    assert norm.norm[0] == pytest.approx(length, rel=1e-14)
    assert scale[0] == pytest.approx(2 / length, rel=1e-14)
    assert norm.first_not_finite[0] == -1
    factors[:] = 0.1, 0
    Program(found.steps).run(team(2))
    assert found.value[0] == pytest.approx(wanted_penalty(wide, 0.1, 0), rel=1e-14)


def test_the_update_follows_the_finite_differences_of_the_penalty() -> None:
    values = flat(np.random.default_rng(4).normal(size=91), "float64")
    for l1, l2 in ((0.3, 0.0), (0.0, 0.7), (0.2, 0.4)):
        moved = values.copy()
        numbers = np.array(Numbers(rate=1.0, l1=l1, l2=l2))
        step = update("sgd", moved, np.zeros(91), [], numbers, current(), "float64", segments=SEGMENTS)
        found = penalty(values, np.array([l1, l2]), current(), "float64", segments=SEGMENTS)
        program = Program(found.steps)

        def value(program: Program = program, result: Array = found.value) -> float:
            program.run(team(1))
            return float(result[0])

        Program([step]).run(team(1))
        np.testing.assert_allclose(values - moved, differences(value, values), rtol=1e-7, atol=1e-9)


def test_sums_do_not_depend_on_the_threads() -> None:
    values = flat(np.random.default_rng(6).normal(size=100_003), "float32")
    results = []
    for threads in (1, 2, 3):
        norm = statistics(values, np.array([math.inf]), np.zeros(1), current(), "float32")
        found = penalty(values, np.array([1.0, 1.0]), current(), "float32")
        Program([*norm.steps, *found.steps]).run(team(threads))
        results.append((norm.norm[0], found.value[0]))
    assert results == results[:1] * 3
    assert results[0][0] == pytest.approx(np.linalg.norm(values.astype("float64")), rel=1e-13)


def asked(values: Array, limit: float = math.inf) -> tuple[Statistics, float]:
    """Return the statistics of a gradient, and the factor that clips it."""
    scale = np.zeros(1)
    precision: Precision = "float32" if values.dtype == np.float32 else "float64"
    found = statistics(values, np.array([limit]), scale, current(), precision)
    Program(found.steps).run(team(2))
    return found, float(scale[0])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("places", [[0], [70_000], [32_768, 40_000, 69_999], [5, 3, 60_000]])
def test_the_first_element_that_is_not_finite(places: list[int], bad: float, precision: Precision) -> None:
    values = flat(np.ones(70_001), precision)
    values[places] = bad
    assert asked(values)[0].first_not_finite[0] == min(places)


def test_finite_elements_whose_squares_overflow_are_finite() -> None:
    found, scale = asked(flat(np.full(100, 1e308), "float64"), 1.0)
    assert found.first_not_finite[0] == -1
    assert (found.norm[0], scale) == (math.inf, 0)
    single, _ = asked(flat(np.full(100, 3e38), "float32"))
    assert single.norm[0] == pytest.approx(10 * float(np.float32(3e38)), rel=1e-14)


@pytest.mark.parametrize(("limit", "wanted"), [(math.inf, 1.0), (5.0, 1.0), (5.1, 1.0), (2.5, 0.5)])
def test_clipping(limit: float, wanted: float) -> None:
    found, scale = asked(np.array([3.0, 0.0, -4.0]), limit)
    assert (found.norm[0], scale) == (5.0, wanted)


def test_nothing_at_all() -> None:
    found, scale = asked(np.zeros(0), 1.0)
    assert (found.norm[0], found.first_not_finite[0], scale) == (0, -1, 1)
