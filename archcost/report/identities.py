"""The operator identities of the lecture, computed from operators: what a design costs, and what another costs instead.

Nothing here is a typed result: every number is the shape, weight or mult-add count of a small graph. Sources: the
lecture notes (depthwise separable convolution, 1x1 bottleneck, pooling and SE shapes), Szegedy et al. 2015 section 3
(Inception), Simonyan & Zisserman 2015 section 2.3 (stacks of 3x3), Howard et al. 2017 section 3.1 (separable).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from archcost.build import Builder, Sequential, Tensor
from archcost.geometry import Shape, product, shape_text
from archcost.graph import Graph
from archcost.ops import Conv2d, Flatten, GlobalAvgPool, Linear, Mul, Op, Reshape, Sigmoid
from archcost.receptive_field import receptive_fields
from archcost.report.formats import Table
from archcost.report.rows import rows_of, total


@dataclass(frozen=True)
class Design:
    """One way to do it: what it is, and its graph."""

    name: str
    graph: Graph

    @property
    def weights(self) -> int:
        """Learnable scalars."""
        return total(rows_of(self.graph))["params"]

    @property
    def mult_adds(self) -> int:
        """Mult-adds for one image."""
        return total(rows_of(self.graph))["mult_adds"]

    @property
    def terms(self) -> list[int]:
        """Mult-adds of each layer that has any."""
        return [row.mult_adds for row in rows_of(self.graph) if row.mult_adds]

    @property
    def weight_terms(self) -> list[int]:
        """Weights of each layer that has any."""
        return [row.params for row in rows_of(self.graph) if row.params]

    @property
    def output(self) -> Shape:
        """Shape of the output for one image."""
        return self.graph.shapes[self.graph.outputs[0]]

    @property
    def receptive_field(self) -> int:
        """Rows that one output element sees."""
        return receptive_fields(self.graph)[self.graph.outputs[0]].size[0]


@dataclass(frozen=True)
class Identity:
    """Designs that do the same, and the sentence that compares them."""

    title: str
    designs: tuple[Design, ...]
    conclusion: str


def plain(name: str, input_shape: Shape, *layers: Op) -> Design:
    """Return the design of ``layers`` one after the other."""
    return Design(name, Sequential(layers, input_shape, name))


def separable() -> Identity:
    """Standard against depthwise separable convolution: 6x6x3 input, 3x3, 5 filters, no padding."""
    inputs, filters, kernel = (3, 6, 6), 5, 3
    standard = plain("standard 3x3", inputs, Conv2d(filters, kernel, bias=False))
    depthwise = Conv2d(inputs[0], kernel, groups=inputs[0], bias=False)
    split = plain("depthwise 3x3, pointwise 1x1", inputs, depthwise, Conv2d(filters, 1, bias=False))
    ratio = Fraction(split.mult_adds, standard.mult_adds)
    rule = Fraction(1, filters) + Fraction(1, kernel**2)
    return Identity(
        "Standard against depthwise separable convolution (6x6x3 input, 5 filters of 3x3)",
        (standard, split),
        f"{_sum(split.terms)} mult-adds against {standard.mult_adds:,}: ratio {float(ratio):.2f} "
        f"{'=' if ratio == rule else '!='} 1/{filters} + 1/{kernel**2}",
    )


def bottleneck() -> Identity:
    """5x5 directly on 256 channels against 5x5 after a 1x1 reduction to 64."""
    inputs = (256, 254, 254)
    direct = plain("5x5 on 256 channels", inputs, Conv2d(64, 5, padding=2, bias=False))
    reduced = plain("1x1 to 64, then 5x5", inputs, Conv2d(64, 1, bias=False), Conv2d(64, 5, padding=2, bias=False))
    return Identity(
        "5x5 convolution with and without a 1x1 bottleneck (254x254x256 to 254x254x64)",
        (direct, reduced),
        f"{_sum(reduced.weight_terms)} weights against {direct.weights:,}: "
        f"{direct.weights / reduced.weights:.2f} times fewer",
    )


def inception_branch() -> Identity:
    """The 5x5 branch of the Inception module: 28x28x192 to 28x28x32."""
    inputs = (192, 28, 28)
    naive = plain("5x5 on 192 channels", inputs, Conv2d(32, 5, padding=2, bias=False))
    reduced = plain("1x1 to 16, then 5x5", inputs, Conv2d(16, 1, bias=False), Conv2d(32, 5, padding=2, bias=False))
    return Identity(
        "The 5x5 branch of the Inception module (28x28x192 to 28x28x32)",
        (naive, reduced),
        f"{_sum(reduced.terms)} mult-adds against {naive.mult_adds:,}: "
        f"{naive.mult_adds / reduced.mult_adds:.1f} times fewer",
    )


def small_kernels() -> Identity:
    """One large kernel against a stack of 3x3 with the same receptive field, in units of C^2 weights."""
    channels, size = 64, 32

    def stack(name: str, kernel: int, times: int) -> Design:
        layers = [Conv2d(channels, kernel, padding="same", bias=False) for _ in range(times)]
        return plain(name, (channels, size, size), *layers)

    seven, three, five, two = (
        stack("one 7x7", 7, 1),
        stack("three 3x3", 3, 3),
        stack("one 5x5", 5, 1),
        stack("two 3x3", 3, 2),
    )
    unit = channels**2

    def compare(large: Design, small: Design) -> str:
        more = 100 * (large.weights / small.weights - 1)
        same = "the same" if large.receptive_field == small.receptive_field else "another"
        return (
            f"{large.weights // unit}C^2 against {small.weights // unit}C^2 ({more:.0f}% more) "
            f"for {same} {large.receptive_field}x{large.receptive_field} receptive field"
        )

    return Identity(
        f"One large kernel against a stack of 3x3 (C = {channels} channels)",
        (seven, three, five, two),
        f"{compare(seven, three)}; {compare(five, two)}",
    )


def global_pooling() -> Identity:
    """Dense layer on a flattened map against dense layer after global average pooling."""
    inputs = (512, 16, 16)
    pooled = plain("global average pool", inputs, GlobalAvgPool(keep_axes=False))
    flat = plain("flatten, dense 1000", inputs, Flatten(), Linear(1000, bias=False))
    after = plain("global average pool, dense 1000", inputs, GlobalAvgPool(keep_axes=False), Linear(1000, bias=False))
    return Identity(
        "Global average pooling (16x16x512)",
        (pooled, flat, after),
        f"{shape_text(inputs)} becomes {shape_text(pooled.output)} with {pooled.weights} weights; "
        f"a classifier after it has {after.weights:,} weights instead of {flat.weights:,}: "
        f"{flat.weights // after.weights} times fewer",
    )


def squeeze_excitation() -> Identity:
    """The lecture's SE gate (one dense layer, sigmoid, no bias) against the paper's two layers with reduction 16."""
    inputs = (512, 16, 16)
    channels = inputs[0]

    def gate(name: str, widths: Sequence[int]) -> Design:
        net = Builder(name)
        x = net.input(inputs)
        scale: Tensor = net(GlobalAvgPool(keep_axes=False), x)
        for width in widths:
            scale = net(Linear(width, bias=False), scale)
        scale = net(Reshape((channels, 1, 1)), net(Sigmoid(), scale))
        return Design(name, net.build(net(Mul(), x, scale)))

    lecture = gate("one dense layer", [channels])
    paper = gate("two dense layers, r = 16", [channels // 16, channels])
    return Identity(
        "Squeeze and excitation (16x16x512)",
        (lecture, paper),
        f"{shape_text(inputs)} stays {shape_text(lecture.output)}; "
        f"{paper.weights:,} weights against {lecture.weights:,}",
    )


IDENTITIES: tuple[Callable[[], Identity], ...] = (
    separable,
    bottleneck,
    inception_branch,
    small_kernels,
    global_pooling,
    squeeze_excitation,
)


def _sum(terms: Sequence[int]) -> str:
    return f"{' + '.join(f'{term:,}' for term in terms)} = {sum(terms):,}"


def identities_table(identities: Sequence[Identity]) -> Table:
    """Return one table of all designs; the conclusions stand under it."""
    rows = []
    for number, identity in enumerate(identities, 1):
        for design in identity.designs:
            seen = receptive_fields(design.graph)[design.graph.outputs[0]]
            field = "all" if seen.everything else f"{seen.size[0]}x{seen.size[1]}"
            shape = shape_text(design.output)
            rows.append((number, design.name, shape, design.weights, design.mult_adds, field))
    notes = "\n".join(f"{number}. {one.title}\n   {one.conclusion}" for number, one in enumerate(identities, 1))
    headers = ("", "design", "output shape", "weights", "mult-adds", "receptive field")
    return Table("Operator identities", headers, tuple(rows), notes, (100, 100, 60, 90, 90, 50))


def identities_dict(identities: Sequence[Identity]) -> list[dict[str, object]]:
    """Return the identities as plain values."""
    return [
        {
            "title": identity.title,
            "conclusion": identity.conclusion,
            "designs": [
                {
                    "name": design.name,
                    "output_shape": list(design.output),
                    "weights": design.weights,
                    "mult_adds": design.mult_adds,
                    "elements": product(design.output),
                }
                for design in identity.designs
            ],
        }
        for identity in identities
    ]
