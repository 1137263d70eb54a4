"""MobileNet: depthwise separable convolutions.

Source: Howard et al. 2017, Table 1 (the network), Table 4 (full convolutions), Table 5 (shallow), Tables 6 and 7 (width
and resolution multipliers). Node names follow timm's. The paper says ReLU, the authors' code has ReLU6 and so have we;
``activation="relu"`` is the paper's word.

Where the published figures are wrong or disagree:

- Table 1 misprints a stride: the last depthwise layer but one reads "s2" on a 7x7 map, and the 7x7 pooling behind it
  needs s1, as do the 569 M mult-adds.
- Table 2 swaps digits: the first convolution has 1.91 % of the mult-adds, not 1.19 %; with 1.91 the column adds up.
- Table 4 sets 4866 M for full convolutions, counted without the dense layer, beside 569 M, counted with it.
- The MobileNetV2 paper prints 575 M for the network whose own authors say 569 M (568,740,352).

SE-MobileNet: Hu et al. 2018, Table 3; squeeze-and-excitation with r = 16 behind every separable layer.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from archcost.build import Builder, Tensor
from archcost.errors import ModelError
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import BatchNorm2d, Conv2d, Dropout, Flatten, GlobalAvgPool, Linear, ReLU, ReLU6
from archcost.ops.base import Op
from archcost.zoo.entry import IMAGE_224
from archcost.zoo.multipliers import positive, rate, repeated, scaled
from archcost.zoo.squeeze_excitation import TIMM_MOBILE, squeeze_excitation


class Stage(NamedTuple):
    """Separable layers on maps of one size (Table 1)."""

    channels: int
    layers: int
    stride: int  # of the first layer


STAGES = (Stage(64, 1, 1), Stage(128, 2, 2), Stage(256, 2, 2), Stage(512, 6, 2), Stage(1024, 2, 2))
SHALLOW_STAGES = (*STAGES[:3], STAGES[3]._replace(layers=1), STAGES[4])
"""Table 5: without the five layers of 14x14x512."""

STEM = 32
"""Channels of the first convolution."""

REDUCTION = 16
"""Channels for each channel of the squeezed layer, in SE-MobileNet."""

ACTIVATIONS: dict[str, Op] = {"relu6": ReLU6(), "relu": ReLU()}


def mobilenet_v1(
    *,
    input_size: Shape = IMAGE_224,
    num_classes: int = 1000,
    width: float = 1.0,
    depth: float = 1.0,
    shallow: bool = False,
    full_convolution: bool = False,
    squeeze: bool = False,
    activation: Literal["relu6", "relu"] = "relu6",
    dropout: float = 0.0,
    include_top: bool = True,
) -> Graph:
    """Return MobileNet.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        width: the paper's alpha, multiplies the channels.
        depth: multiplies the layers of each stage.
        shallow: without the five layers of 14x14x512 (Table 5).
        full_convolution: every separable layer is one full 3x3 convolution ("Conv MobileNet", Table 4).
        squeeze: squeeze-and-excitation behind every layer.
        activation: "relu6" (the authors' code) or "relu" (the paper's text).
        dropout: rate of a dropout before the classifier; at 0 there is none.
        include_top: with pooling and classifier; else the output is the last feature map.
    """
    if activation not in ACTIVATIONS:
        raise ModelError(f"`activation` (={activation!r}) must be one of {', '.join(ACTIVATIONS)}")
    positive("width", width)
    positive("depth", depth)
    nonlinearity = ACTIVATIONS[activation]
    net = Builder()
    x = net.input(input_size)
    x = _conv(net, x, Conv2d(scaled(STEM, width), 3, stride=2, padding=1, bias=False), "conv_stem", "1", nonlinearity)
    for number, stage in enumerate(SHALLOW_STAGES if shallow else STAGES):
        for layer in range(repeated(stage.layers, depth)):
            stride = stage.stride if layer == 0 else 1
            channels = scaled(stage.channels, width)
            with net.scope(f"blocks.{number}.{layer}", "Convolution" if full_convolution else "DepthwiseSeparable"):
                if full_convolution:
                    op = Conv2d(channels, 3, stride, padding=1, bias=False)
                    x = _conv(net, x, op, "conv", "1", nonlinearity)
                else:
                    x = _separable(net, x, channels, stride, nonlinearity)
                if squeeze:
                    x = squeeze_excitation(net, x, max(1, channels // REDUCTION), names=TIMM_MOBILE)
    if not include_top:
        return net.build(x)
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    if rate("dropout", dropout):
        x = net(Dropout(dropout), x, name="dropout", call="function")
    return net.build(net(Linear(num_classes), x, name="classifier"))


def _separable(net: Builder, x: Tensor, channels: int, stride: int, activation: Op) -> Tensor:
    """Filter each channel, then combine the channels; both steps are normalised and activated (Figure 3)."""
    filters = Conv2d(x.channels, 3, stride, padding=1, groups=x.channels, bias=False)
    x = _conv(net, x, filters, "conv_dw", "1", activation)
    return _conv(net, x, Conv2d(channels, 1, bias=False), "conv_pw", "2", activation)


def _conv(net: Builder, x: Tensor, op: Conv2d, name: str, number: str, activation: Op) -> Tensor:
    x = net(op, x, name=name)
    # In timm it is a function call in a module that holds the activation too.
    x = net(BatchNorm2d(), x, name=f"bn{number}", call="function")
    return net(activation, x, name=f"act{number}")
