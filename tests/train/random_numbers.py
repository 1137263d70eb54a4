"""SplitMix64 by its definition, in Python's integers: what the kernels' random numbers must be."""

from __future__ import annotations

import math

GAMMA = 0x9E3779B97F4A7C15


def mixed(value: int) -> int:
    """Return the output of SplitMix64 from a state."""
    z = (value + GAMMA) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def chained(*names: int) -> int:
    """Return the state of the stream with these names."""
    state = 0
    for name in names:
        state = mixed((state + name) % 2**64)
    return state


def bits(state: int, number: int) -> int:
    return mixed((state + number * GAMMA) % 2**64) >> 11


def uniform(state: int, number: int) -> float:
    return bits(state, number) / 2**53


def symmetric(state: int, number: int) -> float:
    return 2 * uniform(state, number) - 1


def normal(state: int, number: int) -> float:
    word = bits(state, number)
    parts = [(word >> 13 * place) % 8192 for place in range(4)]
    return math.sqrt(3) * sum((part + 0.5) / 8192 - 0.5 for part in parts)
