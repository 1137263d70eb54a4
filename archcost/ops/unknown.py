"""An operator of an imported model that archcost has no rules for."""

from __future__ import annotations

from typing import ClassVar

from archcost.errors import OperatorError
from archcost.geometry import Shape, shown, wholes
from archcost.ops.base import Free, operator


@operator
class Unknown(Free):
    """A gap: what the model calls it, and the ``shape`` of its output. Its cost is 0 because it is not known.

    Reports name every such node; it cannot be run.
    """

    family: ClassVar[str] = "unknown"
    arity: ClassVar[int | None] = None
    op_type: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.op_type, str) or not self.op_type.strip():
            raise OperatorError(f"`op_type` (={shown(self.op_type)}) must be a name")
        object.__setattr__(self, "shape", wholes("shape", self.shape))
        if not self.shape:
            raise OperatorError("`shape` must have at least one axis")

    def out_shape(self, *inputs: Shape) -> Shape:
        return self.shape

    def label(self, *inputs: Shape) -> str:
        return f"{self.op_type} (not counted)"
