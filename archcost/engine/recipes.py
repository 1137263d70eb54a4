"""How papers draw the first weights: one recipe for each way that an architecture of the catalogue starts.

A catalogue entry names its recipe (``zoo.entry.Entry.initial``). Where a paper is silent, the authors' own code
decides, or torchvision's: each recipe says which. All distributions have mean 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from archcost.kernels.layout import Array
from archcost.zoo.entry import RecipeName

Number = float | Array
"""A number for all weights of a layer, or one for each where their fans differ (broadcast to the weight's shape)."""


class Layer(NamedTuple):
    """What the first values of a layer with weights may depend on.

    Attributes:
        fan_in: products that are added to one output element.
        fan_out: products that one input element takes part in, at stride 1.
        convolution: which convolution of the network it is, counted from 1; 0 for a dense layer.
        head: whether its outputs are the logits: no layer with weights reads them, and they are no map.
    """

    fan_in: Number
    fan_out: Number
    convolution: int
    head: bool


@dataclass(frozen=True)
class Rule:
    """How the weights of one layer are drawn.

    Attributes:
        distribution: "normal"; "uniform"; or "truncated", a normal distribution without what lies beyond two standard
            deviations.
        deviation: standard deviation; of a truncated distribution that of the whole one.
    """

    distribution: Literal["normal", "uniform", "truncated"]
    deviation: Callable[[Layer], Number]


def _within(limit: Callable[[Layer], Number]) -> Rule:
    """Return the uniform distribution from -limit to limit; its standard deviation is limit / sqrt(3)."""
    return Rule("uniform", lambda layer: limit(layer) / np.sqrt(3))


def _normal(deviation: float) -> Rule:
    return Rule("normal", lambda _: deviation)


HE_FAN_IN = Rule("normal", lambda layer: np.sqrt(2 / layer.fan_in))
"""He et al. 2015, equation 10: ReLU halves the signal's mean square, and each layer doubles it again."""

HE_FAN_OUT = Rule("normal", lambda layer: np.sqrt(2 / layer.fan_out))
"""He et al. 2015, equation 14: the same for the gradient on its way back. A depthwise layer's fan is that of one group,
as in the authors' code of EfficientNet; torchvision takes all channels, which makes its weights vanish."""

GLOROT = _within(lambda layer: np.sqrt(6 / (layer.fan_in + layer.fan_out)))
"""Glorot & Bengio 2010, equation 16."""

CAFFE_XAVIER = _within(lambda layer: np.sqrt(3 / layer.fan_in))
"""What Caffe calls xavier: the variance is 1 / fan_in."""


@dataclass(frozen=True)
class Recipe:
    """The first values of a network's parameters.

    Factors of normalisation start at 1 and their shifts at 0 in every recipe: no paper of the catalogue states that the
    last BatchNorm of a residual branch starts at 0 (Goyal et al. 2017 came upon it later).

    Attributes:
        convolution: weights of convolutions.
        dense: weights of dense layers.
        head: weights of the layer that makes the logits, if it has a rule of its own.
        subsampling: factors of LeNet-5's subsampling, whose fan is its window; None starts as the mean of the window.
        bias: first value of a layer's biases.
    """

    convolution: Rule
    dense: Rule
    head: Rule | None = None
    subsampling: Rule | None = None
    bias: Callable[[Layer], float] = lambda _: 0.0

    def weight(self, layer: Layer) -> Rule:
        """Return the rule of a layer's weights."""
        if layer.head and self.head:
            return self.head
        return self.convolution if layer.convolution else self.dense


HE = Recipe(HE_FAN_IN, GLOROT)
"""ResNet (section 3.4), ResNeXt (section 4), DenseNet (section 4.2) and SENet (section 5.1) cite He et al. 2015;
ShuffleNet takes over ResNeXt's settings; Wide ResNet is silent and builds on ResNet. Their dense layers make logits,
which no ReLU cuts: Glorot's.

The default, also of ``lenet``: LeCun's rule is for units that saturate and leaves its ReLU without signal."""

HE_MOBILE = Recipe(HE_FAN_OUT, _normal(0.01))
"""torchvision's MobileNets, RegNets (as in the authors' code) and VGG with BatchNorm; the papers are silent.

TF-slim's MobileNets, truncated normal of 0.09, shrink the signal to a quarter in each depthwise layer."""

VARIANCE_SCALING = Recipe(Rule("truncated", lambda layer: np.sqrt(1.3 * 2 / layer.fan_in)), GLOROT)
"""BN-Inception, Inception v3, v4 and Inception-ResNet: silent papers; the authors' TF-slim scales He's variance by 1.3
to make up for the tails that are cut, and leaves dense layers to its default, Glorot."""

_VARIANCE_SCALING_OUT = Rule("truncated", lambda layer: np.sqrt(1.3 * 2 / layer.fan_out))

NASNET = Recipe(_VARIANCE_SCALING_OUT, _VARIANCE_SCALING_OUT)
"""NASNet and PNASNet: the same with fan_out, dense layers included, in the authors' TF-slim; silent papers."""

LENET = Recipe(
    _within(lambda layer: 2.4 / layer.fan_in),
    _within(lambda layer: 2.4 / layer.fan_in),
    subsampling=_within(lambda layer: 2.4 / layer.fan_in),
)
"""LeCun et al. 1998, Appendix A: uniform within 2.4 / fan_in, for inputs that are strongly correlated."""


def _alexnet_bias(layer: Layer) -> float:
    hidden_dense = not layer.convolution and not layer.head
    return 1.0 if hidden_dense or layer.convolution in (2, 4, 5) else 0.0


ALEXNET = Recipe(_normal(0.01), _normal(0.01), bias=_alexnet_bias)
"""Krizhevsky et al. 2012, section 5: normal of 0.01; biases 1 in convolutions 2, 4 and 5 and in hidden dense layers,
which feeds their ReLU positive inputs from the start, and 0 elsewhere. The paper of 2014 is silent and takes it over.
"""

VGG = Recipe(GLOROT, GLOROT)
"""Simonyan & Zisserman 2015, section 3.1, give two ways: net A from a normal distribution of variance 0.01 and the
deeper nets from the trained A; or, as they found after submission, Glorot for any depth without that detour. The first
needs another network's training, so the second.

Xception: Chollet 2017 is silent; his own code in Keras has Keras's default, Glorot."""

GOOGLENET = Recipe(CAFFE_XAVIER, CAFFE_XAVIER, bias=lambda layer: 0.0 if layer.head else 0.2)
"""Szegedy et al. 2015 are silent; bvlc_googlenet, Caffe's replica, has xavier and biases of 0.2 (classifiers: 0)."""

SQUEEZENET = Recipe(CAFFE_XAVIER, CAFFE_XAVIER, head=_normal(0.01))
"""The authors' train_val.prototxt: xavier, and a normal distribution of 0.01 in conv10. The paper is silent."""

EFFICIENTNET = Recipe(HE_FAN_OUT, _within(lambda layer: 1 / np.sqrt(layer.fan_out)))
"""Authors' code of MnasNet and EfficientNet (both versions); their papers are silent. torchvision has the same."""

CONVNEXT = Recipe(_normal(0.02), _normal(0.02))
"""Authors' code of ConvNeXt: "truncated" at an absolute 2, a hundred deviations out, so that nothing is cut off. The
paper's Table 5 prints 0.2, ten times as much."""

GOOGLENET_BN = Recipe(_normal(0.01), _normal(0.01))
"""torchvision's googlenet, whose cut at an absolute 2 is out of reach too."""

DEEPLAB = Recipe(Rule("truncated", lambda _: 0.09), GLOROT)
"""Authors' code of DeepLab's Xceptions; the paper is silent. BatchNorm after each convolution sets the scale right."""

RECIPES: Mapping[RecipeName, Recipe] = {
    "he": HE,
    "glorot": VGG,
    "he_mobile": HE_MOBILE,
    "variance_scaling": VARIANCE_SCALING,
    "nasnet": NASNET,
    "lenet": LENET,
    "alexnet": ALEXNET,
    "googlenet": GOOGLENET,
    "googlenet_bn": GOOGLENET_BN,
    "squeezenet": SQUEEZENET,
    "efficientnet": EFFICIENTNET,
    "convnext": CONVNEXT,
    "deeplab": DEEPLAB,
}
