"""LeNet-5: as the lecture counts it, and as the paper built it.

Source: LeCun et al. 1998, section II.B, Figure 2 and Table I (which maps of S2 each map of C3 sees).

Which network a name means:

- ``lenet`` is the lecture's, and everybody's since: plain pooling without parameters, every filter of the second
  convolution sees all 6 maps, a dense layer with softmax at the end. 61,706 parameters.
- ``lenet5_1998`` is the paper's: subsampling with a trained factor and bias per map, partial connections in C3, and 10
  units that measure the distance to fixed drawings of the digits. 60,000 trained parameters, 340,908 connections.

Where the figures disagree: the lecture's page is a scan. Its "2016" weights of the second convolution must read 2,416
(6*16*5*5 + 16), its "stride 2" of the convolutions stride 1 (with 2 the map would be 14x14, not the 28x28 that it
prints), its "61x16" 151x16, its "10.164" 10,164; the 850 of the last layer and the total are missing. Some texts print
345,308 connections for the paper's network; its own layers add up to 340,908.
"""

from __future__ import annotations

from typing import Literal

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import (
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    PartialConv2d,
    RadialBasis,
    ReLU,
    ScaledTanh,
    Softmax,
    SubsamplingPool2d,
    Tanh,
)
from archcost.ops.base import Op

Pooling = Literal["max", "average"]
Activation = Literal["relu", "tanh"]

IMAGE_32: Shape = (1, 32, 32)

POOLINGS: dict[str, type[MaxPool2d | AvgPool2d]] = {"max": MaxPool2d, "average": AvgPool2d}
ACTIVATIONS: dict[str, type[ReLU | Tanh]] = {"relu": ReLU, "tanh": Tanh}

CONVOLUTION_CHANNELS = (6, 16)
DENSE_FEATURES = (120, 84)

C3_CONNECTIONS: tuple[tuple[int, ...], ...] = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
"""For each map of C3 the maps of S2 that it sees (Table I): three neighbours, four neighbours, four apart, all."""


def lenet(
    *,
    input_size: Shape = IMAGE_32,
    num_classes: int = 10,
    pooling: Pooling = "max",
    activation: Activation = "relu",
) -> Graph:
    """Return LeNet-5 as the lecture counts it.

    The lecture says only "pooling" and names no activation. The defaults are what its later networks use (ReLU, max
    pooling) and what trains best; "average" and "tanh" come nearest to 1998. Neither changes parameters or mult-adds.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the last dense layer.
        pooling: "max" or "average".
        activation: "relu" or "tanh", after every layer with weights but the last.
    """
    if pooling not in POOLINGS:
        raise ModelError(f"`pooling` (={pooling!r}) must be {' or '.join(map(repr, POOLINGS))}")
    if activation not in ACTIVATIONS:
        raise ModelError(f"`activation` (={activation!r}) must be {' or '.join(map(repr, ACTIVATIONS))}")
    pool, activate = POOLINGS[pooling], ACTIVATIONS[activation]
    net = Builder()
    x = net.input(input_size)
    for number, channels in enumerate(CONVOLUTION_CHANNELS, start=1):
        x = net(Conv2d(channels, 5), x, name=f"conv{number}")
        x = net(activate(), x, name=f"{activation}{number}")
        x = net(pool(2), x, name=f"pool{number}")
    x = net(Flatten(), x, name="flatten", call="function")
    for number, features in enumerate(DENSE_FEATURES, start=1):
        x = net(Linear(features), x, name=f"fc{number}")
        x = net(activate(), x, name=f"{activation}{number + len(CONVOLUTION_CHANNELS)}")
    x = net(Linear(num_classes), x, name=f"fc{len(DENSE_FEATURES) + 1}")
    return net.build(net(Softmax(), x, name="softmax"))


def lenet5_1998(*, input_size: Shape = IMAGE_32, num_classes: int = 10) -> Graph:
    """Return LeNet-5 as the paper built it; nodes carry the paper's names (C1, S2, C3, S4, C5, F6).

    Args:
        input_size: shape of one image.
        num_classes: radial basis units of the output.
    """
    channels = CONVOLUTION_CHANNELS[0]
    features, code = DENSE_FEATURES
    net = Builder()
    x = net.input(input_size)
    x = _squashed(net, x, Conv2d(channels, 5), "C1")
    x = _squashed(net, x, SubsamplingPool2d(2), "S2")
    x = _squashed(net, x, PartialConv2d(C3_CONNECTIONS, 5), "C3")
    x = _squashed(net, x, SubsamplingPool2d(2), "S4")
    # A convolution, as the paper insists: with a larger input its map would be larger than 1x1.
    x = _squashed(net, x, Conv2d(features, 5), "C5")
    x = net(Flatten(), x, name="flatten", call="function")
    x = _squashed(net, x, Linear(code), "F6")
    return net.build(net(RadialBasis(num_classes), x, name="output"))


def _squashed(net: Builder, x: Tensor, op: Op, name: str) -> Tensor:
    """A layer and its squashing function: every layer up to F6 has one, subsampling too."""
    x = net(op, x, name=name)
    return net(ScaledTanh(), x, name=f"{name}_squash")
