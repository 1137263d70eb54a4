"""Threads that wait for programs: nobody misses one, however long it had nothing to do."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.engine.team import Team
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.pointwise import Operand, pointwise
from archcost.kernels.serving import SLEEPING
from archcost.kernels.step import Step
from archcost.kernels.target import current
from archcost.ops import Conv2d, GlobalAvgPool


def copying(images: int = 64) -> tuple[Step, Blocked, Blocked]:
    """Return a step of many units, what it reads and what it writes."""
    source, target = (Blocked.make(images, (32, 4, 4), NO_HALO, 16, "float32") for _ in range(2))
    return pointwise("copy", target, [Operand.exact(source)], current(), "float32", [source]), source, target


def asleep(team: Team) -> int:
    return int(team._control[SLEEPING])


def wait_until(condition: object, seconds: float = 10.0) -> bool:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return bool(condition())


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_helpers_sleep_when_there_is_nothing_to_do_and_wake_for_the_next_program(threads: int) -> None:
    team = Team(threads)
    step, source, target = copying()
    program = Program([step, step])
    for round_number in range(1, 4):
        source.memory[...] = round_number
        program.run(team)
        np.testing.assert_array_equal(target.memory, source.memory)
        assert wait_until(lambda: asleep(team) == threads - 1)


def test_no_program_is_missed_by_who_is_about_to_sleep() -> None:
    """Pauses around a helper's patience, which is half a millisecond."""
    team = Team(3)
    step, source, target = copying()
    program = Program([step] * 3)
    generator = np.random.default_rng(0)
    for number, pause in enumerate(generator.uniform(0, 2e-3, 400)):
        source.memory[...] = number
        program.run(team)
        assert target.memory.min() == target.memory.max() == number
        end = time.perf_counter() + pause
        while time.perf_counter() < end:
            pass


def test_callers_in_several_threads_take_turns() -> None:
    net = Builder("small")
    graph = net.build(net(GlobalAvgPool(), net(Conv2d(16, 3, padding=1), net.input((3, 9, 9)))))
    network = Network(graph, threads=2)
    images = np.random.default_rng(1).standard_normal((6, 3, 9, 9)).astype(np.float32)
    expected = [network(images[index : index + 1]) for index in range(6)]
    wrong: list[int] = []

    def ask(index: int) -> None:
        found = [network(images[index : index + 1]) for _ in range(100)]
        wrong.extend(index for one in found if not np.array_equal(one, expected[index]))

    callers = [threading.Thread(target=ask, args=(index,)) for index in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_network_reads_every_array_where_it_lies() -> None:
    """Arrays in turn, in other types and orders: what was read in place before is let go of."""
    net = Builder("small")
    graph = net.build(net(GlobalAvgPool(), net(Conv2d(16, 3, padding=1), net.input((3, 9, 9)))))
    network = Network(graph, threads=2)
    images = np.random.default_rng(1).standard_normal((4, 2, 3, 9, 9)).astype(np.float32)
    expected = [Network(graph, threads=1)(batch.copy()) for batch in images]
    for _ in range(3):
        for batch, result in zip(images, expected):
            np.testing.assert_array_equal(network(batch), result)
            np.testing.assert_array_equal(network(batch.astype(np.float64)), result)
            np.testing.assert_array_equal(network(np.asfortranarray(batch)), result)
            np.testing.assert_array_equal(network(np.repeat(batch, 2, axis=0)[::2]), result)
