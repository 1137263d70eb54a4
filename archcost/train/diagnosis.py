"""Where the first number that is not finite came from, when training breaks down."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.engine.network import Network
from archcost.engine.program import Program
from archcost.engine.training import LossName, Training


def first_not_finite(network: Network, images: npt.NDArray[Any], labels: npt.NDArray[np.int64], loss: LossName) -> str:
    """Return in words where NaN or infinity appears first when a batch goes through the network.

    Args:
        network: with the parameters as they were.
        images: the batch, (N, C, H, W).
        labels: its classes.
        loss: what is trained for; decides nothing but how the pass is built.
    """
    if not np.isfinite(images).all():
        return "the images themselves"
    for name in network.weights.arrays:
        if not np.isfinite(network.weights.arrays[name]).all():
            return f"the parameter {name}"
    training = Training(
        network.graph, len(images), network.setting, network.trained, network.gradients.arrays, loss=loss, keep=True
    )
    lowered = training.lowered
    next(iter(lowered.inputs.values()))[...] = images
    training.labels[:] = labels
    with np.errstate(all="ignore"):
        Program(training.forward).run(network.team)
        for work in lowered.plan.forward:
            if not np.isfinite(lowered.tensors[work.writes].read()).all():
                return f"the output of {work.writes}"
        Program([*training.forward, *training.backward]).run(network.team)
    for name in reversed(network.gradients.arrays):
        if not np.isfinite(network.gradients.arrays[name]).all():
            return f"the gradient of {name}"
    return "the loss"
