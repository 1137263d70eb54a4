"""A convolution alone, computed one way, with the caches as they are while a whole network runs.

Weights come from memory then: those of the other layers have pushed them out. A way that reads four times the weights
looks fast with weights in the caches, and is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from archcost.engine.lowering import Setting
from archcost.engine.network import Network
from archcost.engine.plan import Work
from archcost.engine.program import Program
from archcost.geometry import Pair, Sides
from archcost.kernels import layers, winograd_plan
from archcost.kernels.conv import Fusion, correlate
from archcost.kernels.layers import Layer, Place
from archcost.kernels.layout import NO_HALO, Blocked
from archcost.kernels.passes import forward_halo
from archcost.kernels.pointwise import Operand, pointwise
from archcost.kernels.reduce import channel_sums
from archcost.kernels.step import Step
from archcost.kernels.winograd_plan import Cut

SWEPT_BYTES = 96 << 20
"""Memory that is read to push weights out of the caches."""

Way = Cut | None
"""How a convolution is computed: how Winograd's work is cut, or None for the direct way."""


def trials(
    network: Network, place: Place, work: Work, ways: Sequence[Way], sweep: Step
) -> list[tuple[Program, Program]]:
    """Return for each way a program that brings the caches into the state of a running network, and one that convolves.

    Args:
        network: it gives weights and threads.
        place: the convolution.
        work: where the network uses it: that says what is fused.
        ways: how it is computed.
        sweep: empties the caches (``swept``).
    """
    setting, (layer, size, images) = network.setting, place
    kernels = layers.Setting(setting.machine, setting.precision)
    channels, height, width = network.graph.input_shapes(work.node)[0]
    generator = np.random.default_rng(0)

    def tensor(channels: int, pixels: Pair, halo: Sides = NO_HALO) -> Blocked:
        made = Blocked.make(images, (channels, *pixels), halo, setting.machine.lanes(setting.precision), np.float32)
        for part in made.inside():
            part[...] = generator.standard_normal(part.shape, np.float32)
        return made

    target, spare = tensor(layer.filters.outputs, size), tensor(channels, (height, width))
    chain = work.chain
    residual = tensor(layer.filters.outputs, size) if chain and chain.residual else None
    weight = network.parameters[f"{work.node.shares or work.node.name}.weight"]
    sources: dict[Sides, Blocked] = {}
    result = []
    for way in ways:
        if way is None:
            halo = forward_halo(layer.window, (height, width), size)
        else:
            halo = winograd_plan.halo(layer.window, size, way.outputs)
        source = sources.get(halo) or sources.setdefault(halo, tensor(channels, (height, width), halo))
        fusion = Fusion(chain.activation if chain else "Identity", residual, fast=partial(_this, way))
        parts = correlate(layer, source, target, weight, None, kernels, fusion)
        Program(parts.pack).run(network.team)
        # The inputs are in the caches: another layer has written them just now.
        written = pointwise("copy", source, [Operand.exact(spare)], *kernels, [source, spare])
        reads = [_read(residual, setting)] if residual else []
        result.append((Program([sweep, *reads, written]), Program(parts.compute)))
    return result


def _this(way: Way, _layer: Layer, _size: Pair) -> Way:
    return way


def swept(setting: Setting) -> Step:
    """Return the step that fills the caches of all threads with something else.

    It only reads, as layers mostly do: what is written would go to memory while a convolution is measured.
    """
    lanes = setting.machine.lanes(setting.precision)
    rows = SWEPT_BYTES // (1024 * setting.machine.vector_bytes)
    tensor = Blocked.make(1, (lanes, rows, 1024), NO_HALO, lanes, setting.precision)
    tensor.memory.fill(1)  # memory that was never written is one page of zeros
    return _read(tensor, setting)


def _read(tensor: Blocked, setting: Setting) -> Step:
    """Return the step that reads a tensor."""
    step, sums = channel_sums("value", tensor, [Operand.exact(tensor)], setting.machine, setting.precision, [tensor])
    return replace(step, keep=(*step.keep, sums))
