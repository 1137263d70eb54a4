"""Concatenation in place: what lies where, and that the numbers are those of copies."""

from __future__ import annotations

import numpy as np
import pytest

from archcost.build import Builder
from archcost.engine.lowering import Lowered
from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.graph import Graph
from archcost.kernels.target import current
from archcost.ops import Add, Concat, Conv2d, MaxPool2d, ReLU

LANES = current().lanes("float32")


def branches(*widths: int) -> Graph:
    """Return branches of given channels that are concatenated, read with a border and added up with another reader."""
    net = Builder("branches")
    x = net(Conv2d(LANES, 1), net.input((3, 6, 5)), name="first")
    parts = [net(ReLU(), net(Conv2d(width, 1), x, name=f"conv{width}"), name=f"part{width}") for width in widths]
    y = net(Concat(), *parts, name="whole")
    z = net(Conv2d(LANES, 3, padding=1), y, name="reader")
    other = net(Conv2d(LANES, 3, padding=1), parts[0], name="other")
    return net.build(net(Add(), z, other, name="sum"))


def growing() -> Graph:
    """Return features that are concatenated again and again."""
    net = Builder("growing")
    features = [net(Conv2d(2 * LANES, 1), net.input((3, 5, 4)), name="feature0")]
    for number in range(1, 4):
        joined = net(Concat(), *features, name=f"joined{number}") if number > 1 else features[0]
        features.append(net(Conv2d(LANES, 3, padding=1), joined, name=f"feature{number}"))
    return net.build(net(MaxPool2d(2), net(Concat(), *features, name="all"), name="pool"))


def both(graph: Graph, images: int) -> tuple[Lowered, float]:
    """Return the program in use, and how far its outputs are from those of one that copies."""
    network = Network(graph, threads=1)
    values = np.random.default_rng(0).standard_normal((images, *graph.inputs[0].op.shape)).astype("float32")  # type: ignore[attr-defined]
    found = np.asarray(network(values))
    apart = Lowered(graph, images, network.setting, training=False, keep=True)
    next(iter(apart.inputs.values()))[...] = values
    Program([*apart.forward, *apart.finish]).run(network.team)
    wanted = next(iter(apart.outputs.values()))
    lowered = network._inference[images].lowered
    return lowered, float(np.abs(found - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("images", [1, 3])
def test_whole_blocks_are_written_in_place(images: int) -> None:
    lowered, difference = both(branches(LANES, 2 * LANES, 5), images)
    assert difference < 1e-6
    assert not [step for step in lowered.forward if step.name == "whole"]
    parts = [lowered.tensors[f"part{width}"] for width in (LANES, 2 * LANES, 5)]
    whole = lowered.tensors["whole"]
    assert [part.address() - whole.address() for part in parts] == [0, whole.block_step, 3 * whole.block_step]
    assert {part.halo for part in parts} == {whole.halo}
    assert min(map(min, whole.halo)) >= 1


@pytest.mark.parametrize("images", [1, 2])
def test_what_begins_within_a_block_is_copied(images: int) -> None:
    lowered, difference = both(branches(LANES, LANES + 3, 2 * LANES), images)
    assert difference < 1e-6
    whole, shared = lowered.tensors["whole"], ("part", LANES + 3)
    assert lowered.tensors[f"part{LANES}"].address() == whole.address()
    assert not np.shares_memory(lowered.tensors[f"{shared[0]}{shared[1]}"].memory, whole.memory)
    assert [step for step in lowered.forward if step.name == "whole"]


@pytest.mark.parametrize("images", [1, 2])
def test_features_that_are_joined_again_lie_in_the_last_whole(images: int) -> None:
    lowered, difference = both(growing(), images)
    assert difference < 1e-6
    assert not [step for step in lowered.forward if step.name in {"joined2", "joined3", "all"}]
    starts = {lowered.tensors[name].address() for name in ("feature0", "joined2", "joined3", "all")}
    assert len(starts) == 1
