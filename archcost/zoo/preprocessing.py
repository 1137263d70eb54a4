"""How images become the input of a network of the catalogue: sizes, interpolation, mean and standard deviation.

An image is resized so that its shorter side has ``resize`` pixels, its centre of ``crop`` x ``crop`` is cut out, values
are scaled to 0..1 and normalised. These are facts of weights, not of papers: how those were evaluated that a network of
this name is usually used with. Sources: torchvision 0.28, ``torchvision.models.get_model_weights(NAME)``, the weights
IMAGENET1K_V1 (its V2 weights resize to 232, except where noted); timm 1.0.31, ``timm.get_pretrained_cfg(NAME)``, where
torchvision has no such network (resize = floor(crop / crop_pct)). Numbers only: nothing is imported to build a network.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from archcost.geometry import Shape

Interpolation = Literal["bilinear", "bicubic"]
Channels = tuple[float, ...]

IMAGENET: tuple[Channels, Channels] = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's training images."""

HALF: tuple[Channels, Channels] = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""TensorFlow's: values from -1 to 1."""

MNIST: tuple[Channels, Channels] = (0.1307,), (0.3081,)
"""Mean and standard deviation of MNIST's training images, by archcost's own computation and everyone else's."""

CIFAR: tuple[Channels, Channels] = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Mean and standard deviation of CIFAR-10's training images (each channel over all pixels)."""


class Preprocessing(NamedTuple):
    """What is done to an image.

    Attributes:
        resize: pixels of the shorter side.
        crop: rows and columns of the centre that is cut out.
        interpolation: how it is resized (with antialiasing).
        mean, std: of each channel, of values from 0 to 1.
    """

    resize: int = 256
    crop: int = 224
    interpolation: Interpolation = "bilinear"
    mean: Channels = IMAGENET[0]
    std: Channels = IMAGENET[1]

    def for_shape(self, shape: Shape) -> Preprocessing:
        """Return the recipe for another input: the same share is cut out; one mean for other numbers of channels."""
        channels, crop = shape[0], shape[-1]
        mean, std = self.mean, self.std
        if len(mean) != channels:
            mean, std = (sum(mean) / len(mean),) * channels, (sum(std) / len(std),) * channels
        resize = self.resize if crop == self.crop else max(crop, crop * self.resize // self.crop)
        return Preprocessing(resize, crop, self.interpolation, mean, std)


def _torchvision(resize: int, crop: int = 224, interpolation: Interpolation = "bilinear") -> Preprocessing:
    return Preprocessing(resize, crop, interpolation)


def _timm(crop: int, share: float, normalisation: tuple[Channels, Channels] = IMAGENET) -> Preprocessing:
    return Preprocessing(int(crop / share), crop, "bicubic", *normalisation)


RECIPES: dict[str, Preprocessing] = {
    "lenet*": Preprocessing(28, 32, "bilinear", *MNIST),  # the digits of 28x28 in a frame
    "*_cifar*": Preprocessing(32, 32, "bilinear", *CIFAR),
    "wrn_*": Preprocessing(32, 32, "bilinear", *CIFAR),
    "inception_v3": _torchvision(342, 299),
    "inception_v4": _timm(299, 0.875, HALF),
    "inception_resnet_v2": _timm(299, 0.8975, HALF),
    "xception": _timm(299, 0.8975, HALF),  # timm's legacy_xception
    "xception65": _timm(299, 0.94, HALF),
    "xception*": _timm(299, 0.903, HALF),
    "nasnetalarge": _timm(331, 0.911, HALF),
    "pnasnet5large": _timm(331, 0.911, HALF),
    "nasnetamobile": _timm(224, 0.875, HALF),  # TF-slim, as the large one
    "efficientnet_b0": _torchvision(256, 224, "bicubic"),
    "efficientnet_b1": _torchvision(256, 240, "bicubic"),  # V2: 255, bilinear
    "efficientnet_b2": _torchvision(288, 288, "bicubic"),
    "efficientnet_b3": _torchvision(320, 300, "bicubic"),
    "efficientnet_b4": _torchvision(384, 380, "bicubic"),
    "efficientnet_b5": _torchvision(456, 456, "bicubic"),
    "efficientnet_b6": _torchvision(528, 528, "bicubic"),
    "efficientnet_b7": _torchvision(600, 600, "bicubic"),
    "efficientnet_b8": _timm(672, 0.954),
    "efficientnet_lite0": _timm(224, 0.875),
    "efficientnet_lite1": _timm(240, 0.882),
    "efficientnet_lite2": _timm(260, 0.890),
    "efficientnet_lite3": _timm(300, 0.904),
    "efficientnet_lite4": _timm(380, 0.922),
    "efficientnet_v2_s": _torchvision(384, 384),
    "efficientnet_v2_m": _torchvision(480, 480),
    "efficientnet_v2_l": Preprocessing(480, 480, "bicubic", *HALF),
    "tf_efficientnetv2_b0": _timm(224, 0.875),
    "tf_efficientnetv2_b1": _timm(240, 0.882),
    "tf_efficientnetv2_b2": _timm(260, 0.890),
    "tf_efficientnetv2_b3": _timm(300, 0.9, HALF),
    "tf_efficientnetv2_xl": _timm(512, 1.0, HALF),
    "tf_mobilenetv3_*_minimal_100": Preprocessing(256, 224, "bilinear", *HALF),
    "mobilenetv3_large_075": _torchvision(256),
    "mobilenetv3_*": _timm(224, 0.875),
    "mobilenetv1_125": _timm(224, 0.9, HALF),
    "mobilenetv2_*": _timm(224, 0.875),
    "semnasnet_100": _timm(224, 0.875),
    "ghostnet_100": _timm(224, 0.875),
    "mnasnet0_75": _torchvision(232),
    "mnasnet1_3": _torchvision(232),
    "shufflenet_v2_x1_5": _torchvision(232),
    "shufflenet_v2_x2_0": _torchvision(232),
    "convnext_tiny": _torchvision(236),
    "convnext_small": _torchvision(230),
    "convnext_base": _torchvision(232),
    "convnext_large": _torchvision(232),
    "convnext_xlarge": _timm(224, 0.875),
    "resnext101_64x4d": _torchvision(232),
    "regnet_y_128gf": _torchvision(384, 384, "bicubic"),  # IMAGENET1K_SWAG_E2E_V1: there are no others
    "regnetx_002": _timm(224, 0.875),
    "regnetx_004": _timm(224, 0.875),
    "regnetx_006": _timm(224, 0.875),
    "regnetx_040": _timm(224, 0.875),
    "regnetx_064": _timm(224, 0.875),
    "regnetx_120": _timm(224, 0.875),
    "regnetx_*": _timm(224, 0.965),
    "regnety_002": _timm(224, 0.875),
    "regnety_006": _timm(224, 0.875),
    "regnety_008": _timm(224, 0.875),
    "regnety_004": _timm(224, 0.965),
    "regnety_016": _timm(224, 0.965),
    "regnety_320": _timm(224, 0.965),
    "regnety_*": _timm(224, 0.95),
    "seresnet50": _timm(224, 0.95),
    "seresnet*_v1": _torchvision(256),
    "seresne*": _timm(224, 0.875),
    "senet154": _timm(224, 0.875),
    "resnet200": _timm(224, 0.875),
    "densenet264d": _timm(224, 0.875),
}
"""Pattern of names -> recipe; the first that matches counts, and all other networks have the plain one of ImageNet."""

PLAIN = Preprocessing()


def preprocessing(name: str) -> Preprocessing:
    """Return the recipe of the network called ``name``; the plain one for a name that is not in the catalogue."""
    return next((recipe for pattern, recipe in RECIPES.items() if fnmatchcase(name, pattern)), PLAIN)
