"""Arithmetic of tensors that broadcast: difference, quotient, power, extremes, mean."""

from __future__ import annotations

from archcost.reference.merge import add, merged
from archcost.reference.work import Array, Done, Work, loop, place


@loop
def _subtract(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] -= x[place(i, shape, strides)]
    return 0


@loop
def _divide(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] /= x[place(i, shape, strides)]
    return 0


@loop
def _raise(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] **= x[place(i, shape, strides)]
    return 0


@loop
def _smaller(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] = min(y[i], x[place(i, shape, strides)])
    return 0


@loop
def _larger(x: Array, y: Array, shape: Array, strides: Array) -> int:
    for i in range(len(y)):
        y[i] = max(y[i], x[place(i, shape, strides)])
    return 0


def subtract(work: Work) -> Done:
    """The first input minus the second."""
    return merged(work, _subtract)


def divide(work: Work) -> Done:
    """The first input over the second."""
    return merged(work, _divide)


def power(work: Work) -> Done:
    """The first input to the power of the second."""
    return merged(work, _raise)


def smallest(work: Work) -> Done:
    """The smallest of the inputs."""
    return merged(work, _smaller)


def largest(work: Work) -> Done:
    """The largest of the inputs."""
    return merged(work, _larger)


def mean(work: Work) -> Done:
    """The sum of the inputs over their number."""
    y, count = add(work)
    y /= len(work.inputs)
    return y, count
