"""Small graphs for the figures of single operators, and the specifications by which figures name what they measure.

A specification is a name and options: a network of the catalogue (``resnet50 num_classes=120``) or one of the stacks
below (``convolution channels=192 size=28 filters=32 kernel=5``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature

from archcost.build import Builder, Sequential, Tensor
from archcost.errors import ModelError, did_you_mean
from archcost.geometry import PaddingLike, PaddingName
from archcost.graph import Graph
from archcost.ops import Concat, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool2d, Op

Size = int | tuple[int, int]


def _image(channels: int, size: Size) -> tuple[int, int, int]:
    rows, columns = size if isinstance(size, tuple) else (size, size)
    return channels, rows, columns


def convolution(
    channels: int,
    size: Size,
    filters: int,
    kernel: int,
    stride: int = 1,
    padding: PaddingName = "same",
    groups: int = 1,
    layers: int = 1,
    bias: bool = False,
) -> Graph:
    """Return ``layers`` equal convolutions, one after the other, on a map of ``channels``."""
    op = Conv2d(filters, kernel, stride, padding, groups=groups, bias=bias)
    return Sequential([op] * layers, _image(channels, size))


def separable(
    channels: int, size: Size, filters: int, kernel: int, stride: int = 1, padding: PaddingName = "same"
) -> Graph:
    """Return a depthwise convolution and a 1x1 convolution behind it."""
    depthwise = Conv2d(channels, kernel, stride, padding, groups=channels, bias=False)
    layers = {"depthwise": depthwise, "pointwise": Conv2d(filters, 1, bias=False)}
    return Sequential(layers, _image(channels, size))


def bottleneck(channels: int, size: Size, reduced: int, filters: int, kernel: int) -> Graph:
    """Return a 1x1 convolution to ``reduced`` channels and a larger convolution behind it."""
    layers = {"reduce": Conv2d(reduced, 1, bias=False), "conv": Conv2d(filters, kernel, padding="same", bias=False)}
    return Sequential(layers, _image(channels, size))


def branches(channels: int, size: Size, filters: tuple[int, ...]) -> Graph:
    """Return 1x1 convolutions side by side, their outputs concatenated."""
    net = Builder()
    x = net.input(_image(channels, size))
    return net.build(net(Concat(), *(net(Conv2d(count, 1, bias=False), x) for count in filters)))


def inception(channels: int, size: Size, row: tuple[int, ...]) -> Graph:
    """Return an Inception module by a row of GoogLeNet's Table 1: 1x1; reduce, 3x3; reduce, 5x5; pool projection."""
    conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, projection = row
    net = Builder()
    x = net.input(_image(channels, size))

    def chained(*ops: Op) -> Tensor:
        y = x
        for op in ops:
            y = net(op, y)
        return y

    def conv(filters: int, kernel: int) -> Op:
        padding: PaddingLike = kernel // 2
        return Conv2d(filters, kernel, padding=padding, bias=False)

    return net.build(
        net(
            Concat(),
            chained(conv(conv1x1, 1)),
            chained(conv(reduce3x3, 1), conv(conv3x3, 3)),
            chained(conv(reduce5x5, 1), conv(conv5x5, 5)),
            chained(MaxPool2d(3, stride=1, padding=1), conv(projection, 1)),
        )
    )


def dense(inputs: int, outputs: int, bias: bool = False) -> Graph:
    """Return one dense layer."""
    return Sequential([Linear(outputs, bias)], (inputs,))


def global_average(channels: int, size: Size) -> Graph:
    """Return the mean of each channel."""
    return Sequential([GlobalAvgPool(keep_axes=False)], _image(channels, size))


def flattened(channels: int, size: Size, outputs: int) -> Graph:
    """Return a dense layer on all positions of a map."""
    return Sequential([Flatten(), Linear(outputs, bias=False)], _image(channels, size))


STACKS: dict[str, Callable[..., Graph]] = {
    function.__name__: function
    for function in (convolution, separable, bottleneck, branches, inception, dense, global_average, flattened)
}
"""Name in a specification -> function; no network of the catalogue has one of these names."""


def build(spec: str) -> Graph:
    """Return the graph that ``spec`` describes.

    Raises:
        ArchcostError: if there is no such network, stack or option, or its value is not allowed.
    """
    from archcost.zoo.catalogue import load_with_texts

    name, *words = spec.split()
    options = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator:
            raise ModelError(f"{spec}: {word!r} must be NAME=VALUE")
        options[key] = _value(key, text)
    return _stack(name, options) if name in STACKS else load_with_texts(name, options)


def _stack(name: str, options: Mapping[str, object]) -> Graph:
    function = STACKS[name]
    parameters = signature(function).parameters
    for key in options:
        if key not in parameters:
            raise ModelError(f"{name} has no option {key!r}{did_you_mean(key, parameters)}")
    missing = [key for key, one in parameters.items() if one.default is one.empty and key not in options]
    if missing:
        raise ModelError(f"{name} needs {', '.join(missing)}")
    return function(**options)


def _value(key: str, text: str) -> object:
    """Return a value: sizes (3x224x224) and lists (2,3 or, of one number, 2,) as tuples; whole numbers; true and false.

    Other text stays; for a network of the catalogue it is converted to the type of the option's default.
    """
    if text in ("true", "false"):
        return text == "true"
    words = text.split("x") if key in ("size", "input_size") else [word for word in text.split(",") if word]
    if all(word.isdigit() for word in words) and (len(words) > 1 or "," in text):
        return tuple(int(word) for word in words)
    return int(text) if text.isdigit() else text
