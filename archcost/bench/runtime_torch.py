"""PyTorch in eager mode, with maps that lie with channels first or last in memory.

In inference every BatchNorm behind a convolution is folded into it by torch's own means
(``torch.fx.experimental.optimization``, ``torch.nn.utils.fusion``), and autograd is off (``torch.inference_mode``). In
training the optimizers are torch's fused ones, which go over a tensor once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from archcost.bench.cases import Case
from archcost.bench.prepared import Array, Weights, graph_of, inputs
from archcost.bench.torch_module import torch_module

MOMENTUM = 0.9


def imported() -> Any:
    """Return the module torch, with the parts that are used here."""
    torch: Any = import_module("torch")
    import_module("torch.fx.experimental.optimization")
    return torch


def inference(case: Case, folder: Path, threads: int, *, channels_last: bool) -> Callable[[], Array]:
    """Return what runs the network on a batch, which is given and taken in the usual order."""
    torch, module, layout = _module(case, folder, threads, channels_last=channels_last)
    fused = torch.fx.experimental.optimization.fuse(module.eval(), inplace=True, no_trace=True)
    fused = fused.to(memory_format=layout)
    images = torch.from_numpy(inputs(folder)[0][0])

    def run() -> Array:
        with torch.inference_mode():
            output: Array = fused(images.contiguous(memory_format=layout)).numpy()
            return output

    return run


def training(
    case: Case, folder: Path, threads: int, learning_rate: float, *, channels_last: bool
) -> Callable[[], float]:
    """Return what does a training step on the next batch, and returns its loss."""
    torch, module, layout = _module(case, folder, threads, channels_last=channels_last)
    module = module.train().to(memory_format=layout)
    images, labels = (torch.from_numpy(array) for array in inputs(folder))
    images = [batch.contiguous(memory_format=layout) for batch in images]
    if case.optimizer == "adam":
        optimizer = torch.optim.Adam(module.parameters(), learning_rate, fused=True)
    else:
        optimizer = torch.optim.SGD(module.parameters(), learning_rate, MOMENTUM, fused=True)
    turns = itertools.cycle(range(len(images)))

    def run() -> float:
        turn = next(turns)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(module(images[turn]), labels[turn])
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return run


def _module(case: Case, folder: Path, threads: int, *, channels_last: bool) -> tuple[Any, Any, Any]:
    """Return torch, the network with the weights of the case, and the layout of its maps."""
    torch = imported()
    torch.set_num_threads(threads)
    weights = Weights(folder)
    module = torch_module(torch, graph_of(case), weights, scores=bool(case.optimizer))
    weights.close()
    return torch, module, torch.channels_last if channels_last else torch.contiguous_format
