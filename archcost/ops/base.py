"""What an operator is: hyper-parameters (a frozen dataclass) and the rules that follow from them.

Shapes are those of one image, ``(channels, height, width)`` or ``(features,)``, without the batch; axes count in that
shape. An operator holds no weights and no channel count of its input: both follow from the input shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, TypeVar

from archcost.cost import ELEMENT_RULES, NO_COST, BackwardCost, Cost
from archcost.errors import OperatorError
from archcost.geometry import Shape, product, shape_text, wholes

Tensors: TypeAlias = Mapping[str, Shape]
"""Parameter or buffer names with their shapes; the name is empty for an operator that is the parameter itself."""

Saved: TypeAlias = Literal["input", "output", "mask", "indices"]
NOTHING: Tensors = {}
_Class = TypeVar("_Class", bound=type)

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object):  # noqa: ANN201, D103  (typing has it from Python 3.11 on)
        return lambda function: function


@dataclass_transform(frozen_default=True)
def operator(cls: _Class) -> _Class:
    """Make ``cls`` a frozen dataclass.

    ``Op`` freezes, compares and prints all of them with the same few lines; to generate those methods anew for each of
    the forty classes, as ``dataclass(frozen=True)`` does, would take a quarter of the time that a summary takes.
    """
    return dataclass(eq=False, repr=False)(cls)  # type: ignore[return-value]


NEEDED_NOT: frozenset[Saved] = frozenset()


@operator
class Op(ABC):
    """Base of all operators: three rules, ``out_shape``, ``params`` and ``cost``, and what training adds to them.

    None of the three has a default, so an operator without a rule cannot be defined.
    """

    family: ClassVar[str]
    """What kind of work it is: conv, dense, pool, norm, activation, merge, reshape, dropout, input."""

    arity: ClassVar[int | None] = 1
    """Number of inputs; None for any number from one."""

    makes_tensor: ClassVar[bool] = True
    """False for a view of the input (in inference): no memory, no activation."""

    saved_for_input: ClassVar[frozenset[Saved]] = frozenset()
    """What the gradient to the input needs from the forward pass."""

    saved_for_params: ClassVar[frozenset[Saved]] = frozenset()
    """What the gradient to the parameters needs from the forward pass."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.__dict__ or name not in self.__dataclass_fields__:
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"

    @abstractmethod
    def out_shape(self, *inputs: Shape) -> Shape:
        """Return the output shape. Raises OperatorError when the inputs do not fit."""

    @abstractmethod
    def params(self, *inputs: Shape) -> Tensors:
        """Return the learnable tensors: name -> shape."""

    @abstractmethod
    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        """Return the work of one forward pass on one image."""

    def cost_again(self, *inputs: Shape, training: bool = False) -> Cost:
        """Return the work of computing the output of one image again; statistics of a batch are kept."""
        return self.cost(*inputs, training=training)

    @abstractmethod
    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        """Return the work of one backward pass on one image; ``trainable`` tells whether the parameters are trained."""

    def buffers(self, *inputs: Shape) -> Tensors:
        """Return the tensors that are stored but not learned: name -> shape."""
        return NOTHING

    def saved(self, *, to_input: bool, trainable: bool) -> frozenset[Saved]:
        """Return what the backward pass needs from the forward pass.

        Args:
            to_input: whether the gradient to an input is wanted.
            trainable: whether the gradient to the parameters is wanted.
        """
        return (self.saved_for_input if to_input else NEEDED_NOT) | (self.saved_for_params if trainable else NEEDED_NOT)

    def kind(self, *inputs: Shape) -> str:
        """Return the kind by which costs are grouped; a convolution tells conv, grouped, depthwise or pointwise."""
        return self.family

    def label(self, *inputs: Shape) -> str:
        """Return a short text for the operator column, such as ``conv 7x7/2``."""
        return type(self).__name__

    def one(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the only input shape. Raises OperatorError if there is not exactly one."""
        if len(inputs) != 1:
            raise OperatorError(f"{type(self).__name__} takes one input, not {len(inputs)}")
        return inputs[0]

    def image(self, inputs: tuple[Shape, ...]) -> tuple[int, int, int]:
        """Return the only input shape as (channels, height, width). Raises OperatorError for another rank."""
        shape = self.one(inputs)
        if len(shape) != 3:
            raise OperatorError(
                f"{type(self).__name__} needs an input of (channels, height, width), not {shape_text(shape)}"
            )
        return shape[0], shape[1], shape[2]


class ParameterFree(Op):
    """An operator that learns nothing."""

    def params(self, *inputs: Shape) -> Tensors:
        return NOTHING


class Free(ParameterFree):
    """An operator that only moves or renames elements: no arithmetic, forward or backward."""

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return NO_COST

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        return BackwardCost((NO_COST,) * len(inputs), NO_COST)


class ElementWise(ParameterFree):
    """One input, an output of its shape, and a fixed number of operations per element (``cost.ELEMENT_RULES``)."""

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.one(inputs)

    def cost(self, *inputs: Shape, training: bool = False) -> Cost:
        return Cost(0, ELEMENT_RULES[type(self).__name__].forward * product(self.one(inputs)))

    def backward_cost(self, *inputs: Shape, trainable: bool = True) -> BackwardCost:
        rule = ELEMENT_RULES[type(self).__name__]
        return BackwardCost((Cost(0, rule.backward * product(self.one(inputs))),), NO_COST)


@operator
class Input(Free):
    """An input of the graph: a tensor of ``shape`` for each image."""

    family: ClassVar[str] = "input"
    arity: ClassVar[int | None] = 0
    shape: Shape

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        if not self.shape:
            raise OperatorError("`shape` must have at least one axis")

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.shape
