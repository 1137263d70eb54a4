"""Addition and multiplication: any number of inputs, any broadcasting, gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archcost.kernels.target import TARGETS
from archcost.ops import Add, Mul, Op
from tests.kernels.running import TOLERANCE, Array, Case, check_gradients, close

Shape = tuple[int, ...]
OPERATIONS: dict[Op, Callable[[Array, Array], Array]] = {Add(): np.add, Mul(): np.multiply}
GROUPS: list[list[Shape]] = [
    [(19, 3, 5), (19, 3, 5)],
    [(19, 3, 5), (19, 1, 1)],
    [(1, 3, 5), (19, 3, 5), (1, 1, 1)],
    [(19, 1, 5), (19, 3, 1), (1, 1, 5), (1, 3, 1)],
    [(19,), (19,)],
    [(19,), (1,)],
    [(19, 3, 5)] * 5,
]


def arrays(shapes: list[Shape], dtype: str = "float64") -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(2, *shape)).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shapes", GROUPS, ids=repr)
@pytest.mark.parametrize("op", OPERATIONS, ids=repr)
def test_values(op: Op, shapes: list[Shape], dtype: str, target: str) -> None:
    inputs = arrays(shapes, dtype)
    wanted = reduce(OPERATIONS[op], (values.astype("float64") for values in inputs))
    close(Case(op, inputs, target=target).forward(), wanted, TOLERANCE[dtype])
    if shapes[0] == wanted.shape[1:]:
        close(Case(op, inputs, target=target, in_place=True).forward(), wanted, TOLERANCE[dtype])


def test_the_last_input_may_be_the_output() -> None:
    inputs = arrays([(19, 3, 5)] * 5)
    case = Case(Add(), inputs)
    tensors = case.operation.inputs
    object.__setattr__(case.operation, "output", tensors[-1])
    close(case.forward(), reduce(np.add, inputs), 1e-14)


@settings(max_examples=40)
@given(
    op=st.sampled_from([*OPERATIONS]),
    full=st.tuples(st.integers(2, 9), st.integers(1, 3), st.integers(1, 4)),
    kept=st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=2),
    channels_last=st.booleans(),
    halo=st.booleans(),
    threads=st.integers(1, 3),
)
def test_gradients(
    op: Op, full: Shape, kept: list[tuple[bool, ...]], *, channels_last: bool, halo: bool, threads: int
) -> None:
    order = (1, 2, 0) if channels_last else (0, 1, 2)
    shapes = [tuple(full[axis] if keeps[axis] else 1 for axis in order) for keeps in [(True,) * 3, *kept]]

    def make(inputs: list[Array], _: object) -> Case:
        return Case(op, inputs, target="avx2", halo=halo, threads=threads, channels_last=channels_last)

    check_gradients(make, arrays(shapes), {}, 1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shapes", [GROUPS[1], GROUPS[2]], ids=repr)
def test_gradients_on_every_target(shapes: list[Shape], target: str) -> None:
    check_gradients(lambda i, _: Case(Mul(), i, target=target), arrays(shapes), {}, 2)


@pytest.mark.parametrize("shapes", [[(40, 33, 29), (40, 1, 1)], [(5, 60, 70), (1, 60, 70)]], ids=repr)
def test_threads_change_nothing(shapes: list[Shape]) -> None:
    inputs = arrays(shapes, "float32")
    gradient = arrays(shapes[:1], "float32")[0]
    results = []
    for threads in (1, 2, 3):
        case = Case(Mul(), inputs, threads=threads)
        results.append([case.forward(), *case.backward(gradient, adds=True)[0]])
    for other in results[1:]:
        assert all(map(np.array_equal, other, results[0]))
    wide: Array = np.multiply(gradient, inputs[0], dtype="float64")
    axes = (2, 3) if shapes[1][0] > 1 else (1,)
    close(results[0][2], wide.sum(axes, keepdims=True), 2e-6)


def test_add_of_one_input() -> None:
    inputs = arrays([(3, 2, 2)])
    np.testing.assert_array_equal(Case(Add(), inputs).forward(), inputs[0])
    np.testing.assert_array_equal(Case(Mul(), inputs).backward(inputs[0])[0][0], inputs[0])
