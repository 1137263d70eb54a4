"""Parameters and buffers of a network that is not run."""

from __future__ import annotations

import numpy as np
import pytest

from archcost import Network, Sequential
from archcost.errors import UsageError
from archcost.interop.state import State, state_with
from archcost.interop.weights import load_into, state_of
from archcost.ops import BatchNorm2d, Conv2d

GRAPH = Sequential({"conv": Conv2d(2, 3), "bn": BatchNorm2d()}, (1, 5, 5), "tiny")


def test_values_are_those_that_a_network_starts_with() -> None:
    ours, network = State(GRAPH, seed=3), Network(GRAPH, seed=3)
    wanted = {**network.parameters, **network.buffers}
    assert list(ours.arrays) == list(wanted)
    for name, array in ours.arrays.items():
        np.testing.assert_array_equal(array, wanted[name])


def test_weights_are_loaded_whole_or_in_part() -> None:
    arrays = {name: np.full_like(array, 7) for name, array in state_of(State(GRAPH)).items()}
    state, report = state_with(GRAPH, arrays)
    assert report is not None
    assert report.complete
    assert all((array == 7).all() for array in state.arrays.values())
    del arrays["conv.weight"]
    with pytest.raises(UsageError, match=r"file\.npz cannot be loaded into tiny: 1 missing \(conv\.weight\)"):
        state_with(GRAPH, arrays, source="file.npz")
    state, report = state_with(GRAPH, arrays, partial=True, seed=5)
    assert report is not None
    assert report.missing == ("conv.weight",)
    np.testing.assert_array_equal(state.arrays["conv.weight"], State(GRAPH, seed=5).arrays["conv.weight"])


def test_without_weights_nothing_is_reported() -> None:
    state, report = state_with(GRAPH, None, seed=1)
    assert report is None
    assert not np.array_equal(state.arrays["conv.weight"], State(GRAPH, seed=2).arrays["conv.weight"])


def test_it_loads_what_a_network_saves() -> None:
    network, state = Network(GRAPH, seed=1), State(GRAPH, seed=2)
    load_into(state, state_of(network))
    np.testing.assert_array_equal(state.parameters["conv.weight"], network.parameters["conv.weight"])
