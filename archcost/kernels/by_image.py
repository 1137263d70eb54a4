"""Images of a batch that the threads share: each computes several steps for an image of its own, then for another.

Nobody waits between these steps, and what a thread reads it has written itself. Where two cores have no cache level in
common, what the other has written comes at a fifth of the speed. ``engine.by_image`` makes the rows.

Threads are partners two by two. One that finds no image left helps its partner from the next step of that one's image
on: the two share these steps as all threads share those of a program.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from archcost.kernels.function import function
from archcost.kernels.machine import call_step, integers, publish, read, run_program, take, wait_while
from archcost.kernels.units import next_near

ARGUMENTS = (
    "source", "images", "planned_threads", "functions", "steps", "rows", "row_bytes", "moves", "move_table", "meetings",
)  # fmt: skip
"""Arguments of the step, in their order.

``source`` is the place of the first input. ``rows`` holds for each thread the rows of all steps, which point to memory
of its own, and ``move_table`` the same number of ``MOVE`` for each. ``meetings`` has ``MEETING_BYTES`` for each pair.
"""

MOVE = ("word", "first", "step", "is_relative")
"""A number that differs from image to image: its address, its value for the first image (beyond ``source`` if it is
relative to that), and how much is added for the next."""

MEETING_BYTES, TASK, BARRIER = 192, 64, 128
"""What partners tell each other, on cache lines of their own: how many of them have found no image left; one more than
the step from which on the partner helps; and where they meet after each step."""


def images_step() -> Any:
    """Return the step function."""
    return compute_images


@function
def compute_images(row: int, thread: int, threads: int) -> None:
    """Compute every image. Threads beyond those that memory was made for take none."""
    words = integers(row)
    if thread >= words[3]:
        return
    together = min(threads, words[3])
    steps, row_bytes, count = words[5], words[7], words[8]
    functions, rows = integers(words[4]), words[6] + thread * steps * row_bytes
    moves = numba.carray(integers(words[9] + thread * count * 32), (count, 4), np.int64)
    has_partner = (thread ^ 1) < together
    meeting = words[10] + thread // 2 * MEETING_BYTES
    image = next_near(row, -1, thread, together, words[2])
    while image < words[2]:
        for move in range(count):
            integers(moves[move, 0])[0] = moves[move, 1] + moves[move, 2] * image + moves[move, 3] * words[1]
        step = 0
        while step < steps and not (has_partner and read(meeting)):
            call_step(functions[step], rows + step * row_bytes, 0, 1)
            step += 1
        if has_partner and read(meeting):
            for later in range(step, steps):
                integers(integers(rows + later * row_bytes)[0])[0] = 0
            publish(meeting + TASK, step + 1)
            run_rest(row, rows, step, meeting, 0)
            return
        image = next_near(row, image, thread, together, words[2])
    if not has_partner:
        return
    if take(meeting, 1):
        publish(meeting + TASK, steps + 1)
    else:
        help_partner(row, thread, meeting)


@function
def help_partner(row: int, thread: int, meeting: int) -> None:
    """Wait for what the partner leaves to both, and compute this thread's share of it."""
    words = integers(row)
    wait_while(meeting + TASK, 0)
    first = read(meeting + TASK) - 1
    publish(meeting, 0)
    publish(meeting + TASK, 0)
    run_rest(row, words[6] + (thread ^ 1) * words[5] * words[7], first, meeting, 1)


@function
def run_rest(row: int, rows: int, first: int, meeting: int, number: int) -> None:
    """Run the steps of an image from ``first`` on as one of two threads."""
    words = integers(row)
    run_program(words[4] + 8 * first, rows + first * words[7], words[7], words[5] - first, meeting + BARRIER, number, 2)
