"""Between blocked tensors and plain arrays."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.engine.program import Program
from archcost.engine.team import team
from archcost.kernels.plain import PLAIN, Direction, Steps, conversion
from archcost.kernels.target import TARGETS, Precision

from .moved import Array, blocked, numbers, plain

SHAPES = [(3, 20, 32), (18, 7, 7), (5, 3, 3), (16, 9, 40), (1, 28, 28), (2, 40, 40), (33,), (64,), (7, 1, 1)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_target_reads_writes_and_adds(shape: tuple[int, ...], target: str, dtype: Precision) -> None:
    machine = TARGETS[target]
    values = numbers((2, *shape), 1, dtype)
    tensor = blocked(np.zeros_like(values), machine.lanes(dtype))

    def run(direction: Direction, array: Array) -> None:
        Program([conversion(direction, tensor, array, machine, dtype)]).run(team(2))

    tensor.inside()[...] = np.nan
    run("write", values)
    assert np.array_equal(plain(tensor, shape), values)
    run("add", values)
    assert np.array_equal(plain(tensor, shape), 2 * values)
    result = np.full_like(values, np.nan)
    run("read", result)
    assert np.array_equal(result, 2 * values)


def test_channels_last_arrays_are_plain_arrays_with_other_distances() -> None:
    machine = TARGETS["avx2"]
    for channels in (8, 20):
        values = numbers((2, 5, 6, channels), 2, "float32")
        tensor = blocked(np.zeros_like(values), 8, channels_last=True)
        steps = Steps.of(tensor.shape, 4, (1, 2, 0))
        Program([conversion("write", tensor, values, machine, "float32", steps=steps)]).run(team(1))
        assert np.array_equal(plain(tensor, (5, 6, channels)), values)
        result = np.zeros_like(values)
        Program([conversion("read", tensor, result, machine, "float32", steps=steps)]).run(team(1))
        assert np.array_equal(result, values)


def test_the_address_may_be_set_before_a_run() -> None:
    machine = TARGETS["avx512"]
    tensor = blocked(np.zeros((1, 3, 8, 8)), 8)
    step = conversion("write", tensor, 0, machine, "float64")
    assert step.arguments[PLAIN] == 0
    program = Program([step])
    for seed in (1, 2):
        values = numbers((1, 3, 8, 8), seed)
        program._rows[0, 1 + PLAIN] = values.ctypes.data
        program.run(team(2))
        assert np.array_equal(tensor.read(), values)
