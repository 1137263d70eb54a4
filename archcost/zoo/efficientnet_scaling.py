"""Compound scaling: the coefficients of EfficientNet and of its successors.

Tan & Le 2019, equation 3: depth = alpha^phi, width = beta^phi, resolution = gamma^phi, where alpha * beta^2 * gamma^2
is about 2. A grid search on B0 found the three bases. The published coefficients of B1 to B7 are rounded by hand and do
not follow the powers from B4 on (phi = 3 gives width 1.33, depth 1.73 and 341 pixels; B4 has 1.4, 1.8 and 380).

Numbers only, so that the catalogue can read them without importing what builds a network.
"""

from __future__ import annotations

from typing import NamedTuple

ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15
"""Bases of depth, width and resolution (section 4); alpha * beta^2 * gamma^2 = 1.92."""


class Coefficients(NamedTuple):
    """How a network differs from the base network of its family.

    Attributes:
        width: multiplies the channels.
        depth: multiplies the layers of each stage.
        resolution: height and width of an image.
        dropout: rate of the dropout before the classifier.
    """

    width: float
    depth: float
    resolution: int
    dropout: float


EFFICIENTNET: dict[str, Coefficients] = {
    "b0": Coefficients(1.0, 1.0, 224, 0.2),
    "b1": Coefficients(1.0, 1.1, 240, 0.2),
    "b2": Coefficients(1.1, 1.2, 260, 0.3),
    "b3": Coefficients(1.2, 1.4, 300, 0.3),
    "b4": Coefficients(1.4, 1.8, 380, 0.4),
    "b5": Coefficients(1.6, 2.2, 456, 0.4),
    "b6": Coefficients(1.8, 2.6, 528, 0.5),
    "b7": Coefficients(2.0, 3.1, 600, 0.5),
    "b8": Coefficients(2.2, 3.6, 672, 0.5),
    "lite0": Coefficients(1.0, 1.0, 224, 0.2),
    "lite1": Coefficients(1.0, 1.1, 240, 0.2),
    "lite2": Coefficients(1.1, 1.2, 260, 0.3),
    "lite3": Coefficients(1.2, 1.4, 280, 0.3),
    "lite4": Coefficients(1.4, 1.8, 300, 0.3),
}
"""B0 to B7: the authors' code. B8: Xie et al. 2020 (AdvProp). Lite: the authors' code for mobile processors."""

EFFICIENTNET_V2: dict[str, Coefficients] = {
    "b0": Coefficients(1.0, 1.0, 224, 0.2),
    "b1": Coefficients(1.0, 1.1, 240, 0.2),
    "b2": Coefficients(1.1, 1.2, 260, 0.3),
    "b3": Coefficients(1.2, 1.4, 300, 0.3),
    "s": Coefficients(1.0, 1.0, 384, 0.2),
    "m": Coefficients(1.0, 1.0, 480, 0.3),
    "l": Coefficients(1.0, 1.0, 480, 0.4),
    "xl": Coefficients(1.0, 1.0, 512, 0.4),
}
"""B0 to B3 scale one table; S, M, L and XL have tables of their own. The resolution is that of evaluation: training
starts with smaller images."""
