"""What flows between the nodes while a model is converted: constants, and tensors that depend on the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from archcost.build import Tensor
from archcost.geometry import Shape

Array = npt.NDArray[Any]


class Constant:
    """A tensor that no image changes. Its numbers are read or computed when they are first asked for.

    Args:
        load: returns the numbers.
        shape: of the tensor.
        dtype: of its elements.
        learned: whether it is a parameter of the network, or made from one.
        source: the stored tensor that it is, or that it is another view of; empty if there is none.
    """

    def __init__(
        self, load: Callable[[], Array], shape: Shape, dtype: np.dtype[Any], *, learned: bool = False, source: str = ""
    ) -> None:
        self._load = load
        self.shape = shape
        self.dtype = dtype
        self.learned = learned
        self.source = source

    @classmethod
    def of(cls, array: Array, *, learned: bool = False, source: str = "") -> Constant:
        """Return a constant whose numbers are known."""
        return cls(lambda: array, array.shape, array.dtype, learned=learned, source=source)

    @cached_property
    def array(self) -> Array:
        """The numbers."""
        return self._load()


@dataclass(frozen=True)
class Runtime:
    """A tensor that depends on the images.

    Attributes:
        tensor: our node, and its shape for one image.
        shape: the model's shape.
        batched: whether the first axis of ``shape`` is the batch, which the tensor's shape leaves out.
    """

    tensor: Tensor
    shape: Shape
    batched: bool

    @property
    def own(self) -> Shape:
        """The axes that our tensor has; it is of shape (1,) where there are none."""
        return self.shape[1:] if self.batched else self.shape


Value = Constant | Runtime


class BatchAxisError(Exception):
    """An operator works on the first axis, which was taken for a batch of several images."""
