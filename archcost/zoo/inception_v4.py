"""Inception v4: Inception v3 made regular, deeper and wider.

Source: Szegedy et al. 2017, Figures 3 (stem), 4 to 6 (modules), 7 and 8 (reductions), 9 (the whole). Names are timm's.

42,679,816 parameters and 12.25 billion mult-adds at 299x299. The EfficientNet paper's Table 2 gives it 48 million
parameters and 13 billion; no variant known gives that.
"""

from __future__ import annotations

from archcost.build import Builder, Tensor
from archcost.geometry import Shape
from archcost.graph import Graph
from archcost.ops import AvgPool2d, Concat, Dropout, Flatten, GlobalAvgPool, Linear, MaxPool2d
from archcost.ops.base import Op
from archcost.zoo.entry import IMAGE_299
from archcost.zoo.inception_blocks import Unit, mixed
from archcost.zoo.inception_blocks import timm_unit as unit

ROW, COLUMN = (1, 7), (7, 1)
"""The two halves of a 7x7 convolution."""

# The average leaves the padding out, as TensorFlow's does.
AVERAGE = AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
HALVE = MaxPool2d(3, stride=2)

Branches = tuple[tuple[Unit | Op, ...], ...]

MIXED_4A: Branches = (
    (Unit(64, 1), Unit(96, 3, padding=0)),
    (Unit(64, 1), Unit(64, ROW), Unit(64, COLUMN), Unit(96, 3, padding=0)),
)
"""Figure 3, the second fork of the stem."""

INCEPTION_A: Branches = (
    (Unit(96, 1),),
    (Unit(64, 1), Unit(96, 3)),
    (Unit(64, 1), Unit(96, 3), Unit(96, 3)),
    (AVERAGE, Unit(96, 1)),
)
"""Figure 4."""

REDUCTION_A: Branches = (
    (Unit(384, 3, stride=2),),
    (Unit(192, 1), Unit(224, 3), Unit(256, 3, stride=2)),
    (HALVE,),
)
"""Figure 7 with the numbers of Table 1."""

INCEPTION_B: Branches = (
    (Unit(384, 1),),
    (Unit(192, 1), Unit(224, ROW), Unit(256, COLUMN)),
    (Unit(192, 1), Unit(192, COLUMN), Unit(224, ROW), Unit(224, COLUMN), Unit(256, ROW)),
    (AVERAGE, Unit(128, 1)),
)
"""Figure 5."""

REDUCTION_B: Branches = (
    (Unit(192, 1), Unit(192, 3, stride=2)),
    (Unit(256, 1), Unit(256, ROW), Unit(320, COLUMN), Unit(320, 3, stride=2)),
    (HALVE,),
)
"""Figure 8."""

MODULES: tuple[tuple[str, Branches], ...] = (
    *(("InceptionA", INCEPTION_A),) * 4,
    ("ReductionA", REDUCTION_A),
    *(("InceptionB", INCEPTION_B),) * 7,
    ("ReductionB", REDUCTION_B),
)
"""Figure 9, between the stem and the three InceptionC."""

INCEPTION_C_BLOCKS = 3


def inception_v4(*, input_size: Shape = IMAGE_299, num_classes: int = 1000, dropout: float = 0.2) -> Graph:
    """Return Inception v4.

    Args:
        input_size: shape of one image.
        num_classes: outputs of the classifier.
        dropout: rate before the classifier (the paper keeps 0.8; timm's default is 0).
    """
    net = Builder()
    x = net.input(input_size)
    with net.scope("features", "stem and modules"):
        for index, row in enumerate((Unit(32, 3, stride=2), Unit(32, 3, padding=0), Unit(64, 3))):
            x = unit(net, x, str(index), row)
        with net.scope("3", "stem, first fork"):
            pooled = net(HALVE, x, name="maxpool")
            convolved = unit(net, x, "conv", Unit(96, 3, stride=2))
            x = net(Concat(), pooled, convolved, name="concat", call="function")
        with net.scope("4", "stem, second fork"):
            x = mixed(net, x, *MIXED_4A)
        with net.scope("5", "stem, third fork"):
            convolved = unit(net, x, "conv", Unit(192, 3, stride=2))
            pooled = net(HALVE, x, name="maxpool")
            x = net(Concat(), convolved, pooled, name="concat", call="function")
        for index, (kind, branches) in enumerate(MODULES, start=6):
            with net.scope(str(index), kind):
                x = mixed(net, x, *branches)
        for index in range(6 + len(MODULES), 6 + len(MODULES) + INCEPTION_C_BLOCKS):
            with net.scope(str(index), "InceptionC"):
                x = _inception_c(net, x)
    with net.scope("global_pool"):
        x = net(GlobalAvgPool(), x, name="pool")
        x = net(Flatten(), x, name="flatten")
    x = net(Dropout(dropout), x, name="head_drop")
    return net.build(net(Linear(num_classes), x, name="last_linear"))


def _inception_c(net: Builder, x: Tensor) -> Tensor:
    """Figure 6: two of the branches fan out into 1x3 and 3x1."""
    one = unit(net, x, "branch0", Unit(256, 1))
    two = unit(net, x, "branch1_0", Unit(384, 1))
    two = _fan(net, two, "branch1_1")
    three = x
    for place, row in enumerate((Unit(384, 1), Unit(448, (3, 1)), Unit(512, (1, 3)))):
        three = unit(net, three, f"branch2_{place}", row)
    three = _fan(net, three, "branch2_3")
    pooled = unit(net, net(AVERAGE, x, name="branch3.0"), "branch3.1", Unit(256, 1))
    return net(Concat(), one, two, three, pooled, name="concat", call="function")


def _fan(net: Builder, x: Tensor, name: str) -> Tensor:
    """1x3 and 3x1 side by side."""
    row = unit(net, x, f"{name}a", Unit(256, (1, 3)))
    column = unit(net, x, f"{name}b", Unit(256, (3, 1)))
    return net(Concat(), row, column, name=f"{name}_concat", call="function")
