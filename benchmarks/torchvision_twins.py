"""The same network twice, in torchvision and in archcost, with the same weights.

Needs torch and torchvision: ``pip install "archcost[bench]"``.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Container
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from archcost.engine.network import Network
from archcost.geometry import Shape
from archcost.kernels.target import Precision
from archcost.ops import AvgPool2d, MaxPool2d, Op, ReLU, ReLU6, SiLU
from archcost.zoo.catalogue import entry as catalogue_entry
from archcost.zoo.catalogue import load, options

STATE_DICTS = Path(__file__).resolve().parent.parent / "tests" / "data" / "state_dicts.csv"
"""Which entries store what which torchvision model stores; the tests hold the catalogue to it."""

CALIBRATION_IMAGES = 2
"""What the running statistics are taken from."""

NORM_WEIGHTS = (0.2, 0.8)
"""Bounds of drawn weights."""

LAST_NORMS = {"BasicBlock": "bn2", "Bottleneck": "bn3"}
"""The normalisation at the end of ResNet's branches. Its weights are drawn a quarter as large: where the branches of a
deep network outweigh what they are added to, each block multiplies the rounding errors of those before it, which no
trained network does."""

CALLS_FUNCTIONS = ("DenseNet", "Inception3")
"""Classes of torchvision that cannot be made smooth."""


def torch_and_torchvision() -> tuple[Any, Any]:
    """Return the two modules, or end the process with one line."""
    try:
        return import_module("torch"), import_module("torchvision")
    except ImportError as error:
        print(f'{error}: this needs torch and torchvision, pip install "archcost[bench]"', file=sys.stderr)
        sys.exit(2)


def torchvision_names() -> dict[str, str]:
    """Return entry of the catalogue -> name of the torchvision model that is the same network, without options."""
    with STATE_DICTS.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["library"] == "torchvision" and not line["options"]]
    return {line["entry"]: line["model"] for line in lines}


def module_of(entry: str, seed: int, weights: str = "drawn", *, smooth: bool = False) -> Any:
    """Return torchvision's network in inference mode, float32, dropout and drop path off.

    Args:
        entry: a name in ``torchvision_names``.
        seed: of everything random.
        weights: "initial" leaves torchvision's first values. "drawn" makes every tensor count: weights and biases of
            the normalisations, biases of the convolutions and layer scales (first: 1, 0, 0 and 1e-6) are drawn, and the
            running statistics are those of some random images, so that activations keep their scale as in a trained
            network.
        smooth: replace ReLU by SiLU and max by average pooling, as ``network_of`` does.

    Raises:
        ValueError: if the network calls ReLU or max pooling as functions, which cannot be replaced.
    """
    torch, torchvision = torch_and_torchvision()
    torch.manual_seed(seed)
    model = torchvision_names()[entry]
    heads = {"aux_logits": False, "init_weights": False} if model in {"googlenet", "inception_v3"} else {}
    module = torchvision.models.get_model(model, weights=None, **heads)
    for part in module.modules():
        if type(part).__name__ in {"Dropout", "StochasticDepth"}:
            part.p = 0.0
    if smooth:
        _smooth(torch, module)
    if weights == "drawn":
        _draw(torch, module, catalogue_entry(entry).input_size)
    return module.eval()


def _smooth(torch: Any, module: Any) -> None:
    if type(module).__name__ in CALLS_FUNCTIONS:
        raise ValueError(f"{type(module).__name__} calls ReLU or max pooling as functions, which cannot be replaced")
    for part in [*module.modules()]:
        if type(part).__name__ == "BasicConv2d":  # of GoogLeNet: it calls ReLU as a function
            part.forward = torch.nn.Sequential(part.conv, part.bn, torch.nn.SiLU()).forward
        for name, inner in [*part.named_children()]:
            if isinstance(inner, (torch.nn.ReLU, torch.nn.ReLU6)):
                setattr(part, name, torch.nn.SiLU())
            elif isinstance(inner, torch.nn.MaxPool2d):
                window = (inner.kernel_size, inner.stride, inner.padding, inner.ceil_mode)
                setattr(part, name, torch.nn.AvgPool2d(*window))


def _draw(torch: Any, module: Any, image: Shape) -> None:
    with torch.no_grad():
        normalisations = (torch.nn.BatchNorm2d, torch.nn.LayerNorm)
        for part in module.modules():
            if isinstance(part, normalisations):
                part.weight.uniform_(*NORM_WEIGHTS)
            if isinstance(part, (*normalisations, torch.nn.Conv2d)) and part.bias is not None:
                part.bias.normal_(0, 0.1)
            if isinstance(getattr(part, "layer_scale", None), torch.nn.Parameter):
                part.layer_scale.uniform_(0.1, 1)
        for part in module.modules():
            if type(part).__name__ in LAST_NORMS:
                getattr(part, LAST_NORMS[type(part).__name__]).weight.mul_(0.25)
        norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
        momenta = [part.momentum for part in norms]
        for part in norms:
            part.momentum = 1.0
        if norms:
            module.train()(torch.randn(CALIBRATION_IMAGES, *image))
        for part, momentum in zip(norms, momenta):
            part.momentum = momentum


def network_of(
    entry: str,
    module: Any,
    resolution: int | None = None,
    precision: Precision = "float32",
    threads: int | None = None,
    *,
    smooth: bool = False,
) -> Network:
    """Return archcost's network with the parameters and buffers of ``module``, dropout and drop path off.

    Args:
        entry: name in the catalogue.
        module: torchvision's network.
        resolution: rows and columns of the input; None for the entry's own.
        precision: element type.
        threads: how many compute.
        smooth: replace ReLU by SiLU and max by average pooling.

    Raises:
        ValueError: if the two do not store tensors of the same names and sizes.
    """
    chosen: dict[str, object] = {name: 0.0 for name in ("dropout", "drop_path") if name in options(entry)}
    if resolution is not None:
        chosen["resolution"] = resolution
    graph = load(entry, **chosen)
    if smooth:
        nodes = tuple(replace(node, op=_smooth_op(node.op)) for node in graph)
        graph = replace(graph, nodes=nodes)
    network = Network(graph, precision=precision, threads=threads)
    tensors = {**network.parameters, **network.buffers}
    stored = module.state_dict()
    if {own_name(name, tensors) for name in stored} != set(tensors):
        raise ValueError(f"torchvision's {entry} stores other tensors")
    for name, values in stored.items():
        # A gate's dense layers are 1x1 convolutions there.
        target = tensors[own_name(name, tensors)]
        target[...] = values.numpy().reshape(target.shape)
    return network


def _smooth_op(op: Op) -> Op:
    if isinstance(op, (ReLU, ReLU6)):
        return SiLU()
    if isinstance(op, MaxPool2d):
        return AvgPool2d(op.kernel_size, op.stride, op.padding, op.ceil_mode)
    return op


def own_name(name: str, tensors: Container[str]) -> str:
    """Return what archcost calls the tensor that torchvision calls ``name``: a learned scale is a bare tensor there."""
    return name if name in tensors else f"{name}.weight"
