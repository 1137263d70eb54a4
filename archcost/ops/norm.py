"""Normalisation, and the learned per-channel scale."""

from __future__ import annotations

from typing import ClassVar

from archcost.cost import (
    BATCH_NORM_PARAMETER_OPS,
    BATCH_NORM_STATISTICS_OPS,
    BATCH_NORM_TRAINING_OPS,
    ELEMENT_RULES,
    LAYER_NORM_AFFINE_OPS,
    NO_COST,
    NORM_PARAMETER_OPS,
    BackwardCost,
    Cost,
)
from archcost.errors import OperatorError
from archcost.geometry import Shape, number, outer_axis, product, shape_text, whole
from archcost.ops.base import NEEDED_NOT, NOTHING, ElementWise, Op, Saved, Tensors, operator


@operator
class BatchNorm2d(Op):
    """Batch normalisation over each channel (Ioffe & Szegedy 2015): weight and bias learned, running statistics kept.

    Inference folds the four vectors to one scale and one shift: 2 operations per element. A frozen BatchNorm uses its
    running statistics in training too, so that its backward pass is one multiplication.
    The buffers are those of PyTorch: running mean, running variance, and the number of batches seen.
    """

    family: ClassVar[str] = "norm"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})
    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})
    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def __post_init__(self) -> None:
        number("eps", self.eps)
        number("momentum", self.momentum)

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if len(shape) not in (1, 3):
            raise OperatorError("BatchNorm2d needs an input of (channels, height, width) or (features,)")
        return shape

    def params(self, *inputs: Shape) -> Tensors:
        return {"weight": inputs[0][:1], "bias": inputs[0][:1]} if self.affine else NOTHING

    def buffers(self, *inputs: Shape) -> Tensors:
        return {"running_mean": inputs[0][:1], "running_var": inputs[0][:1], "num_batches_tracked": ()}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        per_element = ELEMENT_RULES["BatchNorm2d"].forward
        if training:
            per_element = BATCH_NORM_TRAINING_OPS - (0 if self.affine else 2)
        return Cost(0, per_element * product(inputs[0]))

    def cost_again(self, *inputs: Shape, training: bool = False) -> Cost:
        statistics = BATCH_NORM_STATISTICS_OPS * product(inputs[0]) if training else 0
        return Cost(0, self.cost(*inputs, training=training).element_ops - statistics)

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        elements = product(inputs[0])
        if self.affine and not trainable:
            return BackwardCost((Cost(0, elements),), NO_COST)
        to_input = Cost(0, ELEMENT_RULES["BatchNorm2d"].backward * elements)
        sums = Cost(0, BATCH_NORM_PARAMETER_OPS * elements)
        return BackwardCost((to_input,), sums) if self.affine else BackwardCost((to_input + sums,), NO_COST)

    def saved(self, *, to_input: bool, trainable: bool) -> frozenset[Saved]:
        return super().saved(to_input=to_input, trainable=trainable) if trainable or not self.affine else NEEDED_NOT

    def label(self, *inputs: Shape) -> str:
        return "batch norm"


@operator
class LayerNorm(Op):
    """Layer normalisation (Ba et al. 2016) over the last axis, or over the channels of (C, H, W) with ``axis=0``.

    Args:
        axis: the axis, 0 or -1.
        eps: added to the variance.
        affine: learn a factor and a summand for each element that is normalised together.
        normalized_axes: how many of the last axes are normalised together (with ``axis=-1``).
    """

    family: ClassVar[str] = "norm"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})
    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})
    axis: int = -1
    eps: float = 1e-6
    affine: bool = True
    normalized_axes: int = 1

    def __post_init__(self) -> None:
        outer_axis(self.axis)
        number("eps", self.eps)
        if whole("normalized_axes", self.normalized_axes) > 1 and self.axis != -1:
            raise OperatorError(f"`normalized_axes` (={self.normalized_axes}) must be 1 where `axis` is 0")

    def out_shape(self, *inputs: Shape) -> Shape:
        shape, count = self.one(inputs), self.normalized_axes
        if len(shape) < count:
            raise OperatorError(f"`normalized_axes` (={count}) must be at most the {len(shape)} axes of the input")
        return shape

    def params(self, *inputs: Shape) -> Tensors:
        size = (inputs[0][0],) if self.axis == 0 else inputs[0][-self.normalized_axes :]
        return {"weight": size, "bias": size} if self.affine else NOTHING

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        spared = 0 if self.affine else LAYER_NORM_AFFINE_OPS
        return Cost(0, (ELEMENT_RULES["LayerNorm"].forward - spared) * product(inputs[0]))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        elements = product(inputs[0])
        to_params = Cost(0, NORM_PARAMETER_OPS * elements) if trainable and self.affine else NO_COST
        return BackwardCost((Cost(0, ELEMENT_RULES["LayerNorm"].backward * elements),), to_params)

    def label(self, *inputs: Shape) -> str:
        return "layer norm"


@operator
class InstanceNorm(Op):
    """Each channel of each image normalised over its positions, all axes but the first (Ulyanov et al. 2016)."""

    family: ClassVar[str] = "norm"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input"})
    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        number("epsilon", self.epsilon)

    def out_shape(self, *inputs: Shape) -> Shape:
        shape = self.one(inputs)
        if len(shape) < 2:
            raise OperatorError(f"InstanceNorm needs channels and at least one axis, not {shape_text(shape)}")
        return shape

    def params(self, *inputs: Shape) -> Tensors:
        return {"weight": inputs[0][:1], "bias": inputs[0][:1]}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, ELEMENT_RULES["InstanceNorm"].forward * product(inputs[0]))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        elements = product(inputs[0])
        to_params = Cost(0, NORM_PARAMETER_OPS * elements) if trainable else NO_COST
        return BackwardCost((Cost(0, ELEMENT_RULES["InstanceNorm"].backward * elements),), to_params)

    def label(self, *inputs: Shape) -> str:
        return "instance norm"


@operator
class LocalResponseNorm(ElementWise):
    """Local response normalisation across ``size`` neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    y = x / (k + alpha/size * sum of squares)^beta. Per element: a square, ``size`` - 1 additions, scale, add k, power
    and divide, that is ``size`` + 4 operations; as many again, and the same once more, backward.
    """

    family: ClassVar[str] = "norm"
    saved_for_input: ClassVar[frozenset[Saved]] = frozenset({"input", "output"})
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 2.0

    def __post_init__(self) -> None:
        whole("size", self.size)
        for name in ("alpha", "beta", "k"):
            number(name, getattr(self, name))

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.image(inputs)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, (self.size + 4) * product(self.image(inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((Cost(0, 2 * (self.size + 4) * product(inputs[0])),), NO_COST)

    def label(self, *inputs: Shape) -> str:
        return f"local response norm {self.size}"


@operator
class Scale(Op):
    """Learned factor for each element of one axis: the layer scale of ConvNeXt (Touvron et al. 2021).

    ``axis`` 0 scales channels of (C, H, W); -1 the last axis.
    """

    family: ClassVar[str] = "norm"
    saved_for_params: ClassVar[frozenset[Saved]] = frozenset({"input"})
    axis: int = 0

    def __post_init__(self) -> None:
        outer_axis(self.axis)

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.one(inputs)

    def params(self, *inputs: Shape) -> Tensors:
        return {"weight": (inputs[0][self.axis],)}

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, ELEMENT_RULES["Scale"].forward * product(inputs[0]))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        elements = product(inputs[0])
        to_params = Cost(0, 2 * elements) if trainable else NO_COST
        return BackwardCost((Cost(0, ELEMENT_RULES["Scale"].backward * elements),), to_params)

    def label(self, *inputs: Shape) -> str:
        return "scale"


@operator
class ConstantScale(ElementWise):
    """Multiplication by a constant ``factor``: the scaled residuals of Inception-ResNet (Szegedy et al. 2017)."""

    family: ClassVar[str] = "norm"
    factor: float

    def __post_init__(self) -> None:
        number("factor", self.factor)

    def label(self, *inputs: Shape) -> str:
        return f"scale by {self.factor:g}"
