"""The lecture's operator identities: every number is typed here and computed there."""

from __future__ import annotations

from itertools import product

import pytest

from archcost.report.identities import (
    IDENTITIES,
    Identity,
    bottleneck,
    global_pooling,
    identities_dict,
    identities_table,
    inception_branch,
    separable,
    small_kernels,
    squeeze_excitation,
)


def products(outputs: tuple[int, int, int], kernel: int, seen: int) -> int:
    """Count the multiplications of a convolution one filter, tap and channel at a time; positions are alike."""
    channels, height, width = outputs
    return height * width * sum(1 for _ in product(range(channels), range(kernel), range(kernel), range(seen)))


def test_separable_convolution() -> None:
    identity = separable()
    standard, split = identity.designs
    assert standard.mult_adds == products((5, 4, 4), 3, 3) == 2160
    assert split.terms == [products((3, 4, 4), 3, 1), products((5, 4, 4), 1, 3)] == [432, 240]
    assert split.mult_adds == 672
    assert (standard.weights, split.weights) == (135, 27 + 15)
    assert standard.output == split.output == (5, 4, 4)
    assert "432 + 240 = 672 mult-adds against 2,160: ratio 0.31 = 1/5 + 1/9" in identity.conclusion


def test_bottleneck() -> None:
    identity = bottleneck()
    direct, reduced = identity.designs
    assert reduced.weight_terms == [256 * 64, 64 * 64 * 25] == [16_384, 102_400]
    assert (direct.weights, reduced.weights) == (409_600, 118_784)
    assert direct.output == reduced.output == (64, 254, 254)
    assert "16,384 + 102,400 = 118,784 weights against 409,600: 3.45 times fewer" in identity.conclusion


def test_inception_branch() -> None:
    identity = inception_branch()
    naive, reduced = identity.designs
    assert naive.mult_adds == products((32, 28, 28), 5, 192) == 120_422_400
    assert reduced.terms == [2_408_448, 10_035_200]
    assert reduced.mult_adds == 12_443_648  # the documented 12.4 M
    assert naive.output == reduced.output == (32, 28, 28)
    assert "2,408,448 + 10,035,200 = 12,443,648 mult-adds against 120,422,400: 9.7 times" in identity.conclusion


def test_small_kernels() -> None:
    identity = small_kernels()
    weights = {design.name: design.weights for design in identity.designs}
    assert weights == {
        "one 7x7": 49 * 64**2, "three 3x3": 27 * 64**2, "one 5x5": 25 * 64**2, "two 3x3": 18 * 64**2,
    }  # fmt: skip
    assert [design.receptive_field for design in identity.designs] == [7, 7, 5, 5]
    assert len({design.output for design in identity.designs}) == 1
    assert "49C^2 against 27C^2 (81% more) for the same 7x7 receptive field" in identity.conclusion
    assert "25C^2 against 18C^2 (39% more) for the same 5x5 receptive field" in identity.conclusion


def test_global_pooling() -> None:
    identity = global_pooling()
    pooled, flat, after = identity.designs
    assert (pooled.output, pooled.weights, pooled.mult_adds) == ((512,), 0, 0)
    assert (flat.output, flat.weights) == ((1000,), 512 * 16 * 16 * 1000)
    assert (after.output, after.weights) == ((1000,), 512_000)
    assert "512x16x16 becomes 512 with 0 weights" in identity.conclusion
    assert "256 times fewer" in identity.conclusion


def test_squeeze_excitation() -> None:
    identity = squeeze_excitation()
    lecture, paper = identity.designs
    assert lecture.output == paper.output == (512, 16, 16)
    assert lecture.weights == 512 * 512
    assert paper.weight_terms == [512 * 32, 32 * 512]
    assert "512x16x16 stays 512x16x16; 32,768 weights against 262,144" in identity.conclusion


@pytest.mark.parametrize("make", IDENTITIES, ids=lambda make: str(getattr(make, "__name__", make)))
def test_designs_of_an_identity_are_graphs_with_names(make: type[Identity]) -> None:
    identity = make()  # type: ignore[call-arg]
    assert identity.title
    assert len({design.name for design in identity.designs}) == len(identity.designs) >= 2
    assert all(design.graph.name == design.name for design in identity.designs)


def test_table_has_a_line_for_each_design_and_a_conclusion_for_each_identity() -> None:
    identities = [make() for make in IDENTITIES]
    table = identities_table(identities)
    assert len(table.rows) == sum(len(identity.designs) for identity in identities)
    assert table.rows[5][:2] == (3, "1x1 to 16, then 5x5")
    assert table.rows[0] == (1, "standard 3x3", "5x4x4", 135, 2160, "3x3")
    assert table.rows[-1][-1] == "all"
    for number, identity in enumerate(identities, 1):
        assert f"{number}. {identity.title}\n   {identity.conclusion}" in table.notes


def test_dict_holds_raw_integers() -> None:
    first = identities_dict([separable()])[0]
    assert first["designs"] == [
        {"name": "standard 3x3", "output_shape": [5, 4, 4], "weights": 135, "mult_adds": 2160, "elements": 80},
        {
            "name": "depthwise 3x3, pointwise 1x1",
            "output_shape": [5, 4, 4],
            "weights": 42,
            "mult_adds": 672,
            "elements": 80,
        },
    ]
