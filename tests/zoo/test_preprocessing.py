"""How images become inputs: recipes of the catalogue against the figures of torchvision and timm, typed by hand."""

from __future__ import annotations

import pytest

from archcost.zoo.catalogue import CATALOGUE, entry
from archcost.zoo.preprocessing import HALF, IMAGENET, PLAIN, RECIPES, preprocessing


@pytest.mark.parametrize(
    ("name", "resize", "crop", "interpolation", "mean"),
    [
        ("resnet50", 256, 224, "bilinear", 0.485),
        ("vgg16", 256, 224, "bilinear", 0.485),
        ("inception_v3", 342, 299, "bilinear", 0.485),
        ("efficientnet_b0", 256, 224, "bicubic", 0.485),
        ("efficientnet_b4", 384, 380, "bicubic", 0.485),
        ("efficientnet_v2_l", 480, 480, "bicubic", 0.5),
        ("convnext_small", 230, 224, "bilinear", 0.485),
        ("shufflenet_v2_x1_5", 232, 224, "bilinear", 0.485),
        ("shufflenet_v2_x1_0", 256, 224, "bilinear", 0.485),
        ("inception_v4", 341, 299, "bicubic", 0.5),
        ("xception65", 318, 299, "bicubic", 0.5),
        ("regnety_032", 235, 224, "bicubic", 0.485),
        ("regnetx_004", 256, 224, "bicubic", 0.485),
        ("seresnet50", 235, 224, "bicubic", 0.485),
        ("seresnet50_v1", 256, 224, "bilinear", 0.485),
        ("lenet", 28, 32, "bilinear", 0.1307),
        ("wrn_28_10", 32, 32, "bilinear", 0.4914),
        ("no such network", 256, 224, "bilinear", 0.485),
    ],
)
def test_figures(name: str, resize: int, crop: int, interpolation: str, mean: float) -> None:
    recipe = preprocessing(name)
    assert (recipe.resize, recipe.crop, recipe.interpolation, recipe.mean[0]) == (resize, crop, interpolation, mean)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_network_gets_its_input(name: str) -> None:
    shape = entry(name).input_size
    recipe = preprocessing(name).for_shape(shape)
    assert recipe.crop == shape[1]
    assert len(recipe.mean) == len(recipe.std) == shape[0]
    assert recipe.resize >= recipe.crop or name.startswith("lenet")


def test_every_pattern_is_of_use() -> None:
    chosen = {id(preprocessing(name)) for name in CATALOGUE}
    assert [pattern for pattern, recipe in RECIPES.items() if id(recipe) not in chosen] == []


def test_another_size_cuts_out_the_same_share() -> None:
    assert PLAIN.for_shape((3, 224, 224)) == PLAIN
    assert PLAIN.for_shape((3, 112, 112))._replace(resize=0, crop=0) == PLAIN._replace(resize=0, crop=0)
    assert (PLAIN.for_shape((3, 112, 112)).resize, PLAIN.for_shape((3, 112, 112)).crop) == (128, 112)
    grey = PLAIN.for_shape((1, 224, 224))
    assert grey.mean == pytest.approx((sum(IMAGENET[0]) / 3,))
    assert preprocessing("efficientnet_b2").for_shape((3, 260, 260)).resize == 260
    assert HALF[0] == (0.5, 0.5, 0.5)
